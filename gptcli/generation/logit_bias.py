"""``--logit-bias``: what to add to the logit of one token, which is named by its text."""

import math
from collections.abc import Sequence

from gptcli.errors import InputError
from gptcli.sampling.settings import Sampling
from gptcli.text import quoted
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import quoted_tokens


def with_logit_bias(sampling: Sampling, tokenizer: Tokenizer, entries: Sequence[str]) -> Sampling:
    """Add ``TEXT=+5`` entries to a sampling: the id of TEXT, which must be one token, and what to add to its logit.

    Raises:
        InputError: an entry has no number, or its text is not one token.
    """
    biases = dict(sampling.logit_bias)
    for entry in entries:
        text, _, number = entry.rpartition("=")
        bias = _bias(number)
        if not text or bias is None:
            raise InputError(f"--logit-bias {quoted(entry)}: write TEXT=NUMBER, such as ' dragon=+5' or ' dragon=-inf'")
        ids = tokenizer.encode(text, special=True)
        if len(ids) != 1:
            raise InputError(
                f"--logit-bias {quoted(entry)}: the text is {len(ids):,} tokens ({quoted_tokens(tokenizer, ids)}), and "
                "has to be one"
            )
        biases[ids[0]] = bias
    return sampling.changed(logit_bias=biases)


def _bias(number: str) -> float | None:
    """A finite number or -inf, which forbids a token."""
    try:
        bias = float(number)
    except ValueError:
        return None
    return bias if bias < math.inf else None

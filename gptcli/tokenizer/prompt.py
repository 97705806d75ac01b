"""The ids that a model reads for a prompt."""

from collections.abc import Sequence

from gptcli.errors import InputError
from gptcli.text import quoted, quoted_few
from gptcli.tokenizer.base import Tokenizer


def prompt_ids(tokenizer: Tokenizer, prompt: str, *, bos: bool = False, n_vocab: int | None = None) -> list[int]:
    """The ids that a model reads for a prompt.

    What the checkpoint's own tokenizer puts before every text comes first (nothing for GPT-2). ``bos``, or an empty
    prompt, starts from the end-of-text token, which is what GPT-2 saw before every document.

    Raises:
        InputError: the end-of-text token is needed and the tokenizer has none; or an id is not below ``n_vocab``, so
            that the model has no row for it; or the tokenizer makes no tokens of the prompt.
    """
    read = tokenizer.encode(prompt)
    if prompt.strip() and not read:
        raise InputError(
            f"the tokenizer {tokenizer.name} makes no tokens of {quoted(prompt)}: nothing of it would be read"
        )
    ids = known(tokenizer, [*tokenizer.prefix_ids, *read], n_vocab)
    begun = bool(tokenizer.prefix_ids) and tokenizer.prefix_ids[-1] == tokenizer.eos_id
    if ids and (begun or not bos):
        return ids
    if n_vocab is not None and tokenizer.eos_id is not None and tokenizer.eos_id >= n_vocab:
        raise InputError(f"the end-of-text token of {tokenizer.name} is one that the model lacks: give a prompt")
    if tokenizer.eos_id is None:
        raise InputError(f"the tokenizer {tokenizer.name} has no end-of-text token to start from: give a prompt")
    return [tokenizer.eos_id, *ids]


def known(tokenizer: Tokenizer, ids: list[int], n_vocab: int | None, what: str = "the prompt") -> list[int]:
    """The ids of a text as they are, all of which the model knows.

    Raises:
        InputError: one is not below ``n_vocab``; ``what`` says what the text is.
    """
    unknown = next((token for token in ids if n_vocab is not None and token >= n_vocab), None)
    if unknown is not None:
        shown = f"{quoted(tokenizer.decode([unknown]))} (id {unknown:,})"
        raise InputError(f"{what} holds {shown}, a token of {tokenizer.name} that the model lacks")
    return ids


def quoted_tokens(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The first few tokens of a text, for a message, and how many more there are."""
    return quoted_few((tokenizer.decode([token]) for token in ids), len(ids))

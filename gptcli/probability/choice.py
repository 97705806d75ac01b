"""The candidates for a token, and what each filter cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from gptcli.probability.distribution import Candidate, Distribution, cut_by_filters, distribution
from gptcli.sampling.filters import Logits
from gptcli.sampling.settings import Sampling
from gptcli.sampling.softmax import softmax
from gptcli.tokenizer import Tokenizer


@dataclass(frozen=True)
class Cut:
    """What one filter cut.

    Attributes:
        filter: its name.
        count: tokens that it cut, of those that earlier filters had left.
        probability: their sum under the model, before temperature and filters.
    """

    filter: str
    count: int
    probability: float


@dataclass(frozen=True)
class Offer:
    """The candidates for the next token, and what each filter cut.

    Attributes:
        distribution: the most probable tokens, including those that filters cut.
        cuts: in the order of the filters.
    """

    distribution: Distribution
    cuts: list[Cut]


@dataclass(frozen=True)
class Explanation:
    """One token of a text, and the candidates for it.

    Attributes:
        position: among the tokens that were added, from 1.
        chosen: the token.
        distribution: the candidates; ``watched`` has the chosen token where it is not among them.
        cuts: what each filter cut.
    """

    position: int
    chosen: Candidate
    distribution: Distribution
    cuts: list[Cut]


def offer(
    logits: Logits,
    tokenizer: Tokenizer,
    sampling: Sampling,
    seen: Sequence[int],
    *,
    top: int,
    watch: Sequence[int] = (),
) -> Offer:
    """The candidates for the token after a text.

    Args:
        logits: what the model gives, [V].
        tokenizer: to name the tokens.
        sampling: how tokens are chosen.
        seen: the ids so far, prompt included.
        top: how many candidates to list.
        watch: ids to describe in any case.
    """
    masks = cut_by_filters(logits, sampling, seen)
    shares = softmax(logits)
    cuts = [Cut(name, int(mask.sum()), float(shares[mask].sum())) for name, mask in masks.items() if mask.any()]
    return Offer(distribution(logits, tokenizer, sampling, top=top, watch=watch, seen=seen), cuts)

"""What a token was chosen from: the candidates, and what each filter took away."""

from collections.abc import Sequence
from dataclasses import dataclass

from gptcli.probability.distribution import Candidate, Distribution, cut_by_filters, distribution
from gptcli.sampling.filters import Logits
from gptcli.sampling.settings import Sampling
from gptcli.sampling.softmax import softmax
from gptcli.tokenizer import Tokenizer


@dataclass(frozen=True)
class Cut:
    """What one filter took away.

    Attributes:
        filter: its name.
        count: tokens that it cut, of those that the filters before it had left.
        probability: what the model itself gave to them together.
    """

    filter: str
    count: int
    probability: float


@dataclass(frozen=True)
class Offer:
    """What may come next: the odds, and what each filter that cuts took away.

    Attributes:
        distribution: the most probable tokens, those that filters cut among them.
        cuts: in the order of the filters.
    """

    distribution: Distribution
    cuts: list[Cut]


@dataclass(frozen=True)
class Explanation:
    """One token of a text, and what it was chosen from.

    Attributes:
        index: its place among the tokens that were added, from 0.
        chosen: the token.
        distribution: what it was chosen from; ``watched`` holds the chosen one where it is not among the candidates.
        cuts: what each filter took away.
    """

    index: int
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
    """What may come after a text.

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

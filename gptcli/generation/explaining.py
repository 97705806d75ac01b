"""Why this token: what each step of a text was choosing from, and what the filters took away."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gptcli.generation.loop import Step
from gptcli.generation.sampling import Logits, Sampling, softmax
from gptcli.generation.writing import Completion, Piece, Writing
from gptcli.probability.distribution import Candidate, Distribution, cut_by_filters, distribution
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
        odds: the most probable tokens, those that filters cut among them.
        cuts: in the order of the filters.
    """

    odds: Distribution
    cuts: list[Cut]


@dataclass(frozen=True)
class Explanation:
    """One token of a text, and what it was chosen from.

    Attributes:
        index: its place among the tokens that were added, from 0.
        chosen: the token.
        odds: what it was chosen from; ``watched`` holds the chosen one where it is not among the candidates.
        cuts: what each filter took away.
    """

    index: int
    chosen: Candidate
    odds: Distribution
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


def explain(step: Step, tokenizer: Tokenizer, sampling: Sampling, *, top: int) -> Explanation:
    """What a step was choosing from.

    Args:
        step: the newest of its sample.
        tokenizer, sampling: of the same text.
        top: how many candidates to list.
    """
    index = len(step.sample.ids) - 1
    seen = step.sample.prompt_ids + step.sample.ids[:index]
    offered = offer(step.logits, tokenizer, sampling, seen, top=top, watch=[step.token])
    (chosen,) = offered.odds.watched
    listed = chosen in offered.odds.candidates
    odds = replace(offered.odds, watched=[]) if listed else offered.odds
    return Explanation(index, chosen, odds, offered.cuts)


class Explainer:
    """Explains the tokens of a writing as they come.

    Args:
        writing: whose pieces they will be.
        top: how many candidates to list.
        keep: hold the texts that are done too.
    """

    def __init__(self, writing: Writing, top: int, *, keep: bool = False) -> None:
        self._writing, self._top, self._keep = writing, top, keep
        self._texts: dict[int, tuple[Completion, list[Explanation]]] = {}
        self.begin()

    def begin(self) -> None:
        """Turn to the texts that are written now."""
        if not self._keep:
            self._texts.clear()
        for completion in self._writing.completions:
            self._texts.setdefault(id(completion), (completion, []))

    @property
    def texts(self) -> list[tuple[str, list[Explanation]]]:
        """The prompts of the texts that are held, and what was explained of each."""
        return [(completion.prompt, steps) for completion, steps in self._texts.values()]

    def add(self, piece: Piece) -> Explanation:
        """Explain one more token."""
        explained = explain(piece.step, self._writing.tokenizer, self._writing.request.sampling, top=self._top)
        self.steps(piece.completion).append(explained)
        return explained

    def steps(self, completion: Completion) -> list[Explanation]:
        """What was explained of a completion so far."""
        return self._texts[id(completion)][1]

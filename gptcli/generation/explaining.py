"""The candidates for each token of a text, recorded while it is written."""

from dataclasses import replace

from gptcli.generation.loop import ChosenToken
from gptcli.generation.writing import Completion, Piece, Writing
from gptcli.probability.choice import Explanation, offer
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer


def explain(step: ChosenToken, tokenizer: Tokenizer, sampling: Sampling, *, top: int) -> Explanation:
    """The candidates for a chosen token.

    Args:
        step: the newest of its sample.
        tokenizer, sampling: of the same text.
        top: how many candidates to list.
    """
    before = len(step.sample.ids) - 1
    seen = step.sample.prompt_ids + step.sample.ids[:before]
    offered = offer(step.logits, tokenizer, sampling, seen, top=top, watch=[step.token])
    (chosen,) = offered.distribution.watched
    listed = chosen in offered.distribution.candidates
    distribution = replace(offered.distribution, watched=[]) if listed else offered.distribution
    return Explanation(before + 1, chosen, distribution, offered.cuts)


class Explainer:
    """Records the candidates for the tokens of a ``Writing``.

    Args:
        writing: the source of the pieces.
        top: how many candidates to list.
        keep: keep finished texts too.
    """

    def __init__(self, writing: Writing, top: int, *, keep: bool = False) -> None:
        self._writing, self._top, self._keep = writing, top, keep
        self._texts: dict[int, tuple[Completion, list[Explanation]]] = {}
        self.begin()

    def begin(self) -> None:
        """Start with the next batch of texts."""
        if not self._keep:
            self._texts.clear()
        for completion in self._writing.completions:
            self._texts.setdefault(id(completion), (completion, []))

    @property
    def texts(self) -> list[tuple[str, list[Explanation]]]:
        """The prompt and the explanations of each text."""
        return [(completion.prompt, steps) for completion, steps in self._texts.values()]

    def add(self, piece: Piece) -> Explanation:
        """Explain one more token."""
        explained = explain(piece.step, self._writing.tokenizer, self._writing.request.sampling, top=self._top)
        self.steps(piece.completion).append(explained)
        return explained

    def steps(self, completion: Completion) -> list[Explanation]:
        """The explanations of a completion so far."""
        return self._texts[id(completion)][1]

"""Each token of a text that is being written, with what it was chosen from."""

from dataclasses import replace

from gptcli.generation.loop import ChosenToken
from gptcli.generation.writing import Completion, Piece, Writing
from gptcli.probability.choice import Explanation, offer
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer


def explain(step: ChosenToken, tokenizer: Tokenizer, sampling: Sampling, *, top: int) -> Explanation:
    """What a step was choosing from.

    Args:
        step: the newest of its sample.
        tokenizer, sampling: of the same text.
        top: how many candidates to list.
    """
    index = len(step.sample.ids) - 1
    seen = step.sample.prompt_ids + step.sample.ids[:index]
    offered = offer(step.logits, tokenizer, sampling, seen, top=top, watch=[step.token])
    (chosen,) = offered.distribution.watched
    listed = chosen in offered.distribution.candidates
    distribution = replace(offered.distribution, watched=[]) if listed else offered.distribution
    return Explanation(index, chosen, distribution, offered.cuts)


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

"""Each token of a text that is being written, with what it was chosen from."""

from dataclasses import replace

from gptcli.generation.loop import Step
from gptcli.generation.writing import Completion, Piece, Writing
from gptcli.probability.choice import Explanation, offer
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer


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
    """

    def __init__(self, writing: Writing, top: int) -> None:
        self._writing, self._top = writing, top
        self._steps: dict[int, list[Explanation]] = {id(completion): [] for completion in writing.completions}

    def add(self, piece: Piece) -> Explanation:
        """Explain one more token."""
        explained = explain(piece.step, self._writing.tokenizer, self._writing.request.sampling, top=self._top)
        self._steps[id(piece.completion)].append(explained)
        return explained

    def steps(self, completion: Completion) -> list[Explanation]:
        """What was explained of a completion so far."""
        return self._steps[id(completion)]

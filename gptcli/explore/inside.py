"""What the views show of the inside of the model, computed for the text on the screen and kept while that is the same.

Everything here runs in a thread of its own: a model may take seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gptcli.explore.state import Part, part_name

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.inspection.attribution import Attribution
    from gptcli.inspection.record import Record

# Attention weights of all layers are kept together up to so many numbers; else those of one layer.
_MOST_WEIGHTS = 12_000_000


@dataclass(frozen=True)
class Patterns:
    """Attention weights.

    Attributes:
        ids: the text.
        layers: which layers, from 0.
        weights: of each of these layers, [H, T, T]; a row is the token that looks.
    """

    ids: tuple[int, ...]
    layers: tuple[int, ...]
    weights: tuple[NDArray[np.float32], ...]

    def of(self, layer: int) -> NDArray[np.float32] | None:
        """Those of one layer; None where it is not there."""
        return self.weights[self.layers.index(layer)] if layer in self.layers else None


@dataclass(frozen=True)
class LensCells:
    """The best guess after each layer, at some positions.

    Attributes:
        ids: the text.
        first: the first position, from 0.
        best: [L + 1][positions] ids; the first row is the embedding, the last one the model's own answer.
        probabilities: of these.
    """

    ids: tuple[int, ...]
    first: int
    best: tuple[tuple[int, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Adds:
    """What makes the logit of a token.

    Attributes:
        ids: the text up to the position that predicts.
        attribution: the terms.
    """

    ids: tuple[int, ...]
    attribution: "Attribution"


class Inside:
    """Looks into a model.

    Args:
        checkpoint: the model and its tokenizer.
    """

    def __init__(self, checkpoint: "OpenCheckpoint") -> None:
        self._checkpoint = checkpoint
        self._key: Any = None
        self._record: Record | None = None

    def patterns(self, ids: tuple[int, ...], out: frozenset[Part], layer: int) -> Patterns:
        """The attention weights of all layers, or of one where all are too many.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``.
        """
        run = self._run(ids, out)
        config = self._checkpoint.config
        all_of_them = config.n_layer * config.n_head * len(ids) ** 2 <= _MOST_WEIGHTS
        layers = tuple(range(config.n_layer)) if all_of_them else (layer,)
        return Patterns(ids, layers, tuple(run.layers[each].pattern.cpu().numpy() for each in layers))

    def lens(self, ids: tuple[int, ...], out: frozenset[Part], first: int, end: int) -> LensCells:
        """The best guesses after each layer at the positions from ``first`` to ``end``.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``; or the numbers overflow.
        """
        from gptcli.inspection.lens import stage_logprobs, streams

        best, probabilities = [], []
        for _, _, stream in streams(self._run(ids, out), self._checkpoint.model):
            logprobs = stage_logprobs(self._checkpoint.model, stream[first:end], self._checkpoint.n_vocab)
            most, token = logprobs.max(-1)
            best.append(tuple(token.tolist()))
            probabilities.append(tuple(most.exp().tolist()))
        return LensCells(ids, first, tuple(best), tuple(probabilities))

    def adds(self, ids: tuple[int, ...], out: frozenset[Part], token: int) -> Adds:
        """What each part adds to the logit of the token after a text.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``.
        """
        from gptcli.inspection.attribution import attribute

        data = self._checkpoint.tokenizer.token_bytes(token)
        return Adds(ids, attribute(self._checkpoint.model, self._run(ids, out), token, data))

    def _run(self, ids: Sequence[int], out: frozenset[Part]) -> "Record":
        from gptcli.inspection.record import record

        key = (tuple(ids), out)
        if self._record is None or key != self._key:
            self._record = None
            self._record = record(self._checkpoint.model, ids, self.changes(out))
            self._key = key
        return self._record

    def changes(self, out: frozenset[Part]) -> Any:
        """The interventions that take parts out; None where none is."""
        from gptcli.inspection.request import made, requested

        if not out:
            return None
        return made(self._checkpoint, requested([part_name(part) for part in sorted(out, key=str)]))

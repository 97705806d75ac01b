"""What the views show of the inside of the model, computed for the text on the screen and kept while that is the same.

Everything here runs in a thread of its own: a model may take seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import GptcliError, OverflowedError
from gptcli.explore.state import Part, part_name
from gptcli.model.native.record import shared_prefix

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.inspection.ablation import Ablation
    from gptcli.inspection.attribution import Attribution
    from gptcli.inspection.neurons import Neurons
    from gptcli.inspection.record import Record
    from gptcli.model.native.record import NativeRecord

_Column = tuple[tuple[int, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Patterns:
    """Attention weights.

    Attributes:
        ids: the text.
        layers: which layers, from 0.
        weights: of each of these layers, [H, T, T]; a row is the token that looks.
        pictures: what was drawn of them, kept for the next time.
    """

    ids: tuple[int, ...]
    layers: tuple[int, ...]
    weights: tuple[NDArray[np.float32], ...]
    pictures: dict[Any, Any] = field(default_factory=dict, compare=False)

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


@dataclass(frozen=True)
class Effects:
    """What each head and MLP does for the model's own prediction.

    Attributes:
        ids: the text up to the position that predicts.
        ablation: how far the logit falls without each part.
    """

    ids: tuple[int, ...]
    ablation: "Ablation"

    @property
    def token(self) -> bytes:
        """The prediction."""
        return b"" if self.ablation.token is None else self.ablation.token.token

    @property
    def limit(self) -> float:
        """The largest effect, of either sign."""
        return max((abs(each) for layer in self.ablation.layers for each in (*layer.heads, layer.mlp)), default=1) or 1

    def of(self, part: Part) -> float:
        """The effect of a part."""
        layer, head = self.ablation.layers[part[0]], part[1]
        return layer.mlp if head is None else layer.heads[head]


@dataclass(frozen=True)
class Active:
    """The most active neurons at the end of a text.

    Attributes:
        ids: the text.
        neurons: of one layer.
    """

    ids: tuple[int, ...]
    neurons: "Neurons"


# States unembedded at a time: each gives a logit for every token.
_ROWS = 64


def _best(logits: NDArray[np.float32]) -> "tuple[NDArray[np.int64], NDArray[np.float32]]":
    """The best token of each row [N, V], and its probability: [N] each.

    Raises:
        OverflowedError: a row has none.
    """
    most = logits.max(axis=1, keepdims=True)
    if not np.isfinite(most).all():
        raise OverflowedError
    return logits.argmax(axis=1), 1 / np.exp(logits - most).sum(axis=1)


# What cannot be looked at: some inspections read a text, not tokens.
_NOT_ITS_TOKENS = "the tokens up to here are not those of their text: type it to look at it"
_MOST_NEURONS, _WORDS = 24, 8


class Inside:
    """Looks into a model.

    Args:
        checkpoint: the model and its tokenizer.
    """

    def __init__(self, checkpoint: "OpenCheckpoint") -> None:
        self._checkpoint = checkpoint
        self._key: Any = None
        self._record: Record | None = None
        self._native: NativeRecord | None = None
        self._lens: tuple[tuple[int, ...], frozenset[Part], dict[int, _Column]] = ((), frozenset(), {})

    def patterns(self, ids: tuple[int, ...], out: frozenset[Part], layer: int | None) -> Patterns:
        """The attention weights of one layer, or of all.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``.
        """
        layers = tuple(range(self._checkpoint.config.n_layer)) if layer is None else (layer,)
        native = self._native_run(ids, out)
        if native is not None:
            return Patterns(ids, layers, tuple(map(native.pattern, layers)))
        run = self._run(ids, out)
        return Patterns(ids, layers, tuple(run.layers[each].pattern.cpu().numpy() for each in layers))

    def lens(self, ids: tuple[int, ...], out: frozenset[Part], first: int, end: int) -> LensCells:
        """The best guesses after each layer at the positions from ``first`` to ``end``.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``; or the numbers overflow.
        """
        before, was_out, columns = self._lens
        same = shared_prefix(before, ids) if was_out == out else 0
        columns = {position: column for position, column in columns.items() if position < same}
        missing = [position for position in range(first, end) if position not in columns]
        if missing:
            columns |= self._columns(ids, out, missing)
        self._lens = (ids, out, columns)
        shown = [columns[position] for position in range(first, end)]
        best, probabilities = zip(*shown, strict=True)
        return LensCells(ids, first, tuple(zip(*best, strict=True)), tuple(zip(*probabilities, strict=True)))

    def _columns(self, ids: tuple[int, ...], out: frozenset[Part], positions: "Sequence[int]") -> "dict[int, _Column]":
        """The best guess after each layer and its probability, at some positions."""
        native, n_vocab = self._native_run(ids, out), self._checkpoint.n_vocab
        best: list[list[int]] = []
        probabilities: list[list[float]] = []
        rows = list(positions)
        if native is not None:
            states = native.stream[:, rows]
            stages, count, width = states.shape
            found = [
                _best(native.engine.unembed(some)[:, :n_vocab])
                for some in np.split(states.reshape(-1, width), range(_ROWS, stages * count, _ROWS))
            ]
            best = np.concatenate([ids for ids, _ in found]).reshape(stages, count).tolist()
            probabilities = np.concatenate([shares for _, shares in found]).reshape(stages, count).tolist()
        else:
            from gptcli.inspection.stages import stage_logprobs, streams

            for _, _, stream in streams(self._run(ids, out), self._checkpoint.model):
                most, token = stage_logprobs(self._checkpoint.model, stream[rows], n_vocab).max(-1)
                best.append(token.tolist())
                probabilities.append(most.exp().tolist())
        return {
            position: (tuple(row[index] for row in best), tuple(row[index] for row in probabilities))
            for index, position in enumerate(rows)
        }

    def _native_run(self, ids: tuple[int, ...], out: frozenset[Part]) -> "NativeRecord | None":
        """The activations of a text in C; None where that does not run the model, or parts are out."""
        engine = None if out else self._checkpoint.native
        if engine is None:
            return None
        if self._native is None or self._native.ids != ids:
            self._native = engine.record(ids, after=self._native)
        return self._native

    def adds(self, ids: tuple[int, ...], out: frozenset[Part], token: int) -> Adds:
        """What each part adds to the logit of the token after a text.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``.
        """
        from gptcli.inspection.attribution import attribute

        data = self._checkpoint.tokenizer.token_bytes(token)
        return Adds(ids, attribute(self._checkpoint.model, self._run(ids, out), token, data))

    def effects(self, ids: tuple[int, ...]) -> Effects | str:
        """What each part does for the model's prediction after a text; or why that cannot be said.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``.
        """
        from gptcli.inspection.ablation import ablate

        text = self._text(ids)
        return _NOT_ITS_TOKENS if text is None else Effects(ids, ablate(self._checkpoint, text))

    def neurons(self, ids: tuple[int, ...], layer: int) -> Active | str:
        """The most active neurons of a layer after a text; or why that cannot be said.

        Raises:
            GptcliError: see ``OpenCheckpoint.model``.
        """
        from gptcli.inspection.neurons import neurons
        from gptcli.inspection.places import Positions

        text = self._text(ids)
        if text is None:
            return _NOT_ITS_TOKENS
        last = Positions(((-1, -1),), (), False, "-1")
        most = min(_MOST_NEURONS, self._checkpoint.config.mlp_width)
        return Active(ids, neurons(self._checkpoint, text, layers=str(layer + 1), top=most, at=last, words=_WORDS))

    def _text(self, ids: tuple[int, ...]) -> str | None:
        """The text whose tokens these are; None where its tokens are others."""
        tokenizer = self._checkpoint.tokenizer
        start = len(tokenizer.prefix_ids) if list(ids[: len(tokenizer.prefix_ids)]) == tokenizer.prefix_ids else 0
        for text in (tokenizer.decode(ids[start:]), ""):
            try:
                if tuple(self._checkpoint.encode_prompt(text)) == ids:
                    return text
            except GptcliError:
                continue
        return None

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

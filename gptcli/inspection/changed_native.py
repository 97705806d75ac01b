"""Generation with interventions in C (see ``changed_engine``)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gptcli.inspection.changed_engine import ChangedEngine, Result
from gptcli.inspection.changed_rows import Floats, Means, Row
from gptcli.inspection.places import check_layers
from gptcli.inspection.variants_native import NativeRuns, standing
from gptcli.model.config import GPTConfig
from gptcli.model.native.changes import NativeChange, changing
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.library import Hooks

if TYPE_CHECKING:
    from gptcli.inspection.interventions import Change, Interventions


class ChangedNativeEngine(ChangedEngine[NativeEngine]):
    """The engine in C with interventions; not with frozen attention.

    Args:
        engine: shares its weights.
        interventions: what is changed.
    """

    def __init__(self, engine: NativeEngine, interventions: "Interventions") -> None:
        check_layers(engine.config)
        assert not interventions.frozen
        super().__init__(engine.new_session(), engine.config, interventions)
        self._plain = engine

    def new_session(self) -> "ChangedNativeEngine":
        """Another engine with the same interventions (see ``Engine.new_session``)."""
        return ChangedNativeEngine(self._plain, self._interventions)

    def recording(self, ids: Sequence[int]) -> NativeEngine:
        """What records this text with the changes; nothing else may use this engine meanwhile.

        Raises:
            IndexError, InputError: as ``prefill``.
        """
        self._bind([ids], len(ids))
        return self._with_changes(lambda engine: engine)

    def _with_changes(self, call: Callable[[NativeEngine], Result]) -> Result:
        # Not a method of this object: the two would keep each other, and the cache, until a garbage collection.
        self._engine.hooks_of = partial(_hooks_of, self._config, self._interventions.changes, self._rows)
        return call(self._engine)

    @property
    def _means(self) -> Means:
        return NativeRuns(self._plain).means


def _hooks_of(
    config: GPTConfig, changes: Sequence["Change"], texts: Sequence[Row], rows: Sequence[int], positions: Sequence[int]
) -> Hooks:
    """The changes of a call that reads tokens of these rows, at these positions of what the rows hold."""
    spans = [(first, last, texts[rows[first]], positions[first]) for first, last in _texts(rows, positions)]
    made: list[NativeChange] = []
    for index, change in enumerate(changes):
        own = change.how == "mean" and change.value is None
        if change.positions is None and change.how != "replace" and not own:
            made += _columns(config, change, (0, len(rows)), change.value)
            continue
        for first, last, row, at in spans:
            for tokens in _tokens(row.indices[index], first, last, row.start + at):
                value = row.means[index] if own else change.value
                if change.how == "replace":
                    assert value is not None
                    here = row.start + at + np.arange(tokens[0] - first, tokens[1] - first)
                    value = value[change.at(here)]
                made += _columns(config, change, tokens, value)
    return changing(made)


def _columns(
    config: GPTConfig, change: "Change", tokens: tuple[int, int], value: Floats | None
) -> Iterator[NativeChange]:
    """A change of some tokens; ``value``: [...], or [tokens, ...] for ``replace``."""
    where, layer, width, unit = standing(config, change.point)
    each = change.how == "replace"
    flat = None if value is None else value.reshape(len(value) if each else 1, width)
    for first, last in _runs(change.members) if change.members is not None else [(0, width // unit)]:
        columns = first * unit, last * unit
        part = None if flat is None else flat[:, columns[0] : columns[1]]
        yield NativeChange(
            where, layer, tokens, columns, part if part is None or each else part[0], add=change.how == "add"
        )


def _texts(rows: Sequence[int], positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where tokens of one row follow each other in a call: the first, and the one behind the last."""
    start = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at] != rows[at - 1] or positions[at] != positions[at - 1] + 1:
            yield start, at
            start = at


def _tokens(indices: Sequence[int] | None, first: int, last: int, position: int) -> Iterator[tuple[int, int]]:
    """Those tokens of a call, from ``first`` at a position of the text, that stand at some positions; None: at all."""
    if indices is None:
        yield first, last
        return
    inside = [index for index in indices if position <= index < position + last - first]
    yield from ((first + low - position, first + high - position) for low, high in _runs(inside))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Numbers in rising order as ranges: from, and to before."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[start], numbers[at - 1] + 1
            start = at

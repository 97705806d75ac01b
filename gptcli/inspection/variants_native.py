"""Changed runs with the engine in C, without torch (see ``variants``)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gptcli.inspection.places import Kind, Point, check_layers
from gptcli.inspection.variants import BYTES, Edit
from gptcli.model.config import GPTConfig
from gptcli.model.native.changes import NativeChange, Where, changing
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.record import Cache, NativeRecord, Part, cache_memory
from gptcli.probability.reading import check_fits

Floats = NDArray[np.float32]
_PARTS: dict[Kind, Part] = {"attention": "attention", "mlp": "mlp", "neuron": "neurons"}


class NativeRuns:
    """Runs of an engine, whose batch stays as it is."""

    def __init__(self, engine: NativeEngine) -> None:
        self._engine = engine

    def trunk(self, ids: Sequence[int], points: Sequence[Point] = (), *, frozen: bool = False) -> "NativeTrunk":
        """Run a text once (see ``Runs.trunk``)."""
        return NativeTrunk(self._engine, ids, points, frozen=frozen)

    def means(self, ids: Sequence[int], points: Sequence[Point]) -> dict[Point, Floats]:
        """The means over a text (see ``Runs.means``)."""
        size = self._engine.config.n_positions
        texts = [ids[start : start + size] for start in range(0, len(ids), size)]
        runs = [seen(recorded(self._engine, text, points), points) for text in texts]
        sums = {point: np.sum([run[point].sum(0, dtype=np.float64) for run in runs], axis=0) for point in points}
        return {point: (total / len(ids)).astype(np.float32) for point, total in sums.items()}


def recorded(engine: NativeEngine, ids: Sequence[int], points: Sequence[Point]) -> NativeRecord:
    """Record what stands at some points in a text.

    Raises:
        InputError: there is no token, or more than the context holds; or the model has no layers.
    """
    check_fits(ids, engine.n_positions)
    check_layers(engine.config)
    return engine.record(ids, parts=list(dict.fromkeys(_PARTS[kind] for kind, _ in points if kind in _PARTS)))


def seen(run: NativeRecord, points: Sequence[Point]) -> dict[Point, Floats]:
    """What stood at some points of a run, [T, ...] each."""

    def whole(kind: Kind) -> Floats:
        if kind in _PARTS:
            return run.parts[_PARTS[kind]]
        return run.heads if kind == "head" else run.stream[int(kind == "layer") :]

    return {(kind, layer): whole(kind)[layer] for kind, layer in points}


class NativeTrunk:
    """One run of a text, from which changed runs branch off.

    Args:
        engine: the engine.
        ids: the text.
        points: what else of this run is kept.
        frozen: whether the changed runs look where this one does.

    Attributes:
        ids: as given.
        seen: what stood at the points, [T, ...] each.

    Raises:
        InputError: there is no token, or more than the context holds.
    """

    def __init__(
        self, engine: NativeEngine, ids: Sequence[int], points: Sequence[Point] = (), *, frozen: bool = False
    ) -> None:
        self.ids, self._engine = list(ids), engine
        self._run = recorded(engine, ids, points)
        self.seen = seen(self._run, points)
        self._cache: NDArray[np.floating] = np.empty(0, engine.cache_type)
        # Queries and keys of the unchanged run, [L, T, ...]: attention weights are made of these.
        self._looking = (self._run.queries, np.ascontiguousarray(self._run.keys.swapaxes(1, 2))) if frozen else None

    @property
    def last(self) -> Floats:
        """The residual stream after the last layer, [T, C]."""
        last: Floats = self._run.stream[-1]
        return last

    @property
    def at_once(self) -> int:
        """How many runs fit into the memory for them."""
        config = self._engine.config
        each = config.cached_per_token + sum(config.qkv_widths) + 2 * config.mlp_width + 6 * config.n_embd
        return max(BYTES // (4 * (len(self.ids) * each + config.vocab_size)), 1)

    def branch(self, layer: int, edits: Sequence[Edit], count: int) -> Floats:
        """The last stream of changed runs (see ``Trunk.branch``)."""
        config, length = self._engine.config, len(self.ids)
        made = np.empty((count, length, config.n_embd), np.float32)
        if layer == config.n_layer:
            made[:] = self.last
            return made
        self._cache = cache_memory(count * length * config.cached_per_token, self._engine.cache_type, self._cache)
        hooks = changing(
            [native_change(config, edit, length) for edit in edits],
            stream=made.ctypes.data,
            room=count * length,
            first_layer=config.n_layer,
            start=self._run.stream[layer].ctypes.data,
            period=length,
        )
        if self._looking is not None:
            hooks.given_queries, hooks.given_keys = (array.ctypes.data for array in self._looking)
        self._engine.run(
            self.ids * count,
            [row for row in range(count) for _ in self.ids],
            [*range(length)] * count,
            [],
            length,
            mode=self._engine.TEXTS,
            cache=Cache(self._cache.ctypes.data, count, length),
            hooks=hooks,
            first=layer,
        )
        return made

    def logits(self, stream: Floats) -> Floats:
        """Logits of rows of the residual stream (see ``Trunk.logits``)."""
        return self._engine.unembed(stream)


def native_change(config: GPTConfig, edit: Edit, length: int) -> NativeChange:
    """An edit as the engine takes it, in a batch of texts of this length."""
    where, layer, whole, size = standing(config, edit.point)
    columns = (0, whole) if edit.head is None else (edit.head * size, (edit.head + 1) * size)
    first = edit.row * length + (edit.position or 0)
    tokens = (first, first + (length if edit.position is None else 1))
    values = edit.value
    if values is not None:
        # [T, ...], or the same at all positions.
        values = values.reshape(-1, columns[1] - columns[0])
        values = values[0] if len(values) == 1 else values
    return NativeChange(where, layer, tokens, columns, values)


def standing(config: GPTConfig, point: Point) -> tuple[Where, int, int, int]:
    """A point as the engine knows it: where, in which layer, its columns, and those of one head or neuron."""
    kind, layer = point
    where: dict[Kind, Where] = {"head": "heads", "layer": "stream", "embedding": "stream", **_PARTS}
    widths = {"head": (config.heads_width, config.head_size), "neuron": (config.mlp_width, 1)}
    whole, unit = widths.get(kind, (config.n_embd, config.n_embd))
    return where[kind], layer + (kind == "layer"), whole, unit

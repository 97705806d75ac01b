"""The activations of one text, as the engine in C records them. Shapes as in ``gpt``: T positions, L layers."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig
from gptcli.model.native.library import Hooks
from gptcli.model.native.weights import OVERREAD_BYTES

_LINE = 64  # bytes of a line of the processor's caches


def cache_memory(
    numbers: int, cache_type: "np.dtype[np.floating]", old: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Uninitialized memory for so many cached keys and values, and a few more that the kernels may read.

    It begins at a line of the processor's caches: a vector that crosses one is read twice.

    Args:
        old: memory from here, which is used again where the size is the same: the system has to clear new memory first.

    Raises:
        MemoryError: there is not so much.
    """
    needed = numbers * cache_type.itemsize + OVERREAD_BYTES
    if old is not None and old.nbytes == needed:
        return old
    memory = np.empty(needed + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + needed].view(cache_type)


Part = Literal["attention", "neurons", "mlp"]
"""What is recorded only on request: what attention or the MLP adds to the stream, what the MLP's last matrix reads."""


class Cache(NamedTuple):
    """Where the library finds keys and values: the address, the rows of the batch, and the positions of each."""

    at: int
    rows: int
    capacity: int


class Look(Protocol):
    """What a record asks of its engine."""

    @property
    def config(self) -> GPTConfig:
        """The shape."""

    @property
    def cache_type(self) -> "np.dtype[np.floating]":
        """The precision in which it caches keys and values."""

    def pattern(
        self, layer: int, queries: NDArray[np.float32], keys: NDArray[np.floating], *, scores: bool = False
    ) -> NDArray[np.float32]:
        """Where a layer looks (see ``NativeEngine.pattern``)."""

    def unembed(self, stream: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of a residual stream (see ``NativeEngine.unembed``)."""


@dataclass(frozen=True, eq=False)
class NativeRecord:
    """The activations of one text. Nothing that is read later changes them.

    Attributes:
        engine: which recorded them.
        ids: the text.
        kept: how many of its first positions were taken from another record.
        stream: the residual stream before the first layer and after each, [L + 1, T, C].
        queries: after norms and rotation, [L, T, H, D].
        heads: what each head gathered, before the output projection, [L, T, H, D].
        parts: what else was asked for: ``attention`` and ``mlp`` [L, T, C], ``neurons`` [L, T, F].
    """

    engine: Look
    ids: tuple[int, ...]
    kept: int
    stream: NDArray[np.float32]
    queries: NDArray[np.float32]
    heads: NDArray[np.float32]
    parts: dict[Part, NDArray[np.float32]]
    _cache: NDArray[np.floating]  # keys and values in the engine's precision, and some more

    @property
    def keys(self) -> NDArray[np.float32]:
        """The keys after norms and rotation, [L, K, T, D]."""
        return self._both[:, 0].astype(np.float32, copy=False)

    @property
    def values(self) -> NDArray[np.float32]:
        """The values, [L, K, T, D]."""
        return self._both[:, 1].astype(np.float32, copy=False)

    @property
    def _both(self) -> NDArray[np.floating]:
        config = self.engine.config
        shape = (config.n_layer, 2, config.kv_heads, len(self.ids), config.head_size)
        return self._cache[: math.prod(shape)].reshape(shape)

    @property
    def cache(self) -> Cache:
        """Its keys and values as the library takes them: a batch of one row, which is full."""
        return Cache(self._cache.ctypes.data, 1, len(self.ids))

    def hooks(self, start: int) -> Hooks:
        """Have a call that reads the tokens from a position on recorded here."""

        def place(array: NDArray[np.float32]) -> int:
            return array.ctypes.data + start * array.strides[1]

        parts = {name: place(array) for name, array in self.parts.items()}
        arrays = {"stream": self.stream, "queries": self.queries, "heads": self.heads}
        return Hooks(room=len(self.ids), **{name: place(array) for name, array in arrays.items()}, **parts)

    def pattern(self, layer: int, *, scores: bool = False) -> NDArray[np.float32]:
        """The attention weights of a layer, [H, T, T]; each row (a query) sums to 1.

        Args:
            layer: from 0.
            scores: instead the scores before the softmax, -infinity where a query does not look.
        """
        return self.engine.pattern(layer, self.queries[layer], self._both[layer, 0], scores=scores)

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """The logits after each token, [T, V]; computed at the first use."""
        return self.engine.unembed(self.stream[-1])


def new_record(engine: Look, ids: Sequence[int], after: NativeRecord | None, parts: Collection[Part]) -> NativeRecord:
    """Memory for the activations of a text, with those of the beginning that it shares with another record."""
    config, length = engine.config, len(ids)
    layers, heads = config.n_layer, (config.n_head, config.head_size)
    widths = {"attention": config.n_embd, "neurons": config.mlp_width, "mlp": config.n_embd}
    kept = 0 if after is None or set(parts) - after.parts.keys() else shared_prefix(after.ids, ids)
    made = NativeRecord(
        engine,
        tuple(ids),
        kept,
        np.empty((layers + 1, length, config.n_embd), np.float32),
        np.empty((layers, length, *heads), np.float32),
        np.empty((layers, length, *heads), np.float32),
        {part: np.empty((layers, length, widths[part]), np.float32) for part in parts},
        cache_memory(length * config.cached_per_token, engine.cache_type),
    )
    if after is not None and kept:
        made.stream[:, :kept], made.queries[:, :kept] = after.stream[:, :kept], after.queries[:, :kept]
        made.heads[:, :kept], made._both[:, :, :, :kept] = after.heads[:, :kept], after._both[:, :, :, :kept]
        for part, array in made.parts.items():
            array[:, :kept] = after.parts[part][:, :kept]
    return made


def shared_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two texts begin with in common."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))

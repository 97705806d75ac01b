"""The C engine behind the ``Engine`` protocol: C owns the weights; Python owns the key/value cache."""

import ctypes
import os
from array import array
from collections.abc import Callable, Collection, Sequence
from copy import copy
from threading import Lock
from typing import ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import GptcliError
from gptcli.model.bounds import check_extend, check_prefill, check_refill, check_rewind, check_select, check_step
from gptcli.model.config import GPTConfig
from gptcli.model.engine import CacheType, EngineFacts, Take, read_by_blocks
from gptcli.model.memory import free_memory, out_of_memory_in_c
from gptcli.model.native.library import BEST, Hooks, address, kernels, library
from gptcli.model.native.record import Cache, NativeRecord, Part, cache_memory, new_record
from gptcli.model.native.shape import Tables, shape_of, sine_positions
from gptcli.model.native.weights import (
    KIND_NAMES,
    KINDS,
    MATRICES,
    NORM_WEIGHTS,
    VECTORS,
    Kind,
    StoredMatrix,
    as_float32,
    slot_of,
    view,
)
from gptcli.system.threads import default_threads


class _Owner:
    """Shared by all engines with the same weights: it frees the weights with the last engine, and has their lock."""

    _all: ClassVar["WeakSet[_Owner]"] = WeakSet()

    def __init__(self, found: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = found, handle
        self.turn = Lock()
        self._all.add(self)

    @classmethod
    def forked(cls) -> None:
        """Replace the locks in a forked child: a thread that held one does not exist here and cannot release it."""
        for owner in list(cls._all):
            owner.turn = Lock()

    def __del__(self) -> None:
        self._library.gptcli_free(self._handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Owner.forked)


class NativeEngine:
    """A GPT in C.

    Args:
        config: a configuration that it supports (see ``why_not``).
        threads: how many; None: one a core. All engines of a process share the threads of the first one.
        level: which instruction set (see ``library``).
        cache: precision of the cached keys and values. Half of the bytes of each step at long contexts are theirs;
            float16 rounds them, and everything is still computed in float32.

    Raises:
        GptcliError: there is no memory.
    """

    # Modes of gptcli_read: see native.h.
    STEPS, ONE_TEXT, TEXTS = range(3)
    # Prompts are read in chunks of this many tokens, which bounds the memory of the activations.
    _PIECE = 512
    # Memory of the logits that are given away in blocks: of 50,257 tokens 333 rows.
    _LOGITS_BYTES = 64 << 20
    # Up to so many tokens run all layers in one call, as that is about as short as a step.
    _SHORT = 16

    def __init__(
        self, config: GPTConfig, threads: int | None = None, level: int = BEST, cache: CacheType = "float32"
    ) -> None:
        found = library()
        assert found is not None, "ask available() first"
        self._library, self.config, self.cache_type = found, config, np.dtype(cache)
        shape = shape_of(config)
        self._handle = found.gptcli_new(
            ctypes.byref(shape), threads or default_threads(), level, int(cache == "float16")
        )
        self._checked(-1 if not self._handle else 0)
        self._owner = _Owner(found, self._handle)
        self._cache: NDArray[np.floating] = np.empty(0, self.cache_type)
        self._cache_at = 0
        self._shape: tuple[int, ...] = ()  # of the cache: layers, 2, rows, numbers of a row
        self._capacity = 0
        self._lengths: list[int] = []
        self._texts: list[list[int]] = []  # the ids of each row, for angles that depend on its length
        self._tables = Tables(config)
        self.kinds: dict[str, Kind] = {}  # requested storage types of the matrices, by name
        self.matrices: list[str] = []  # names of the matrices that it has
        self._vectors: dict[str, int] = {}  # names of the vectors that it has, and how many numbers each has
        self._borrowed: list[StoredMatrix] = []
        # What is changed while tokens of these rows of the batch (of a record: 0), at these positions, are read; None:
        # nothing.
        self.hooks_of: Callable[[Sequence[int], Sequence[int]], Hooks] | None = None
        if config.positions == "sinusoidal":
            self._fill_vector("wpe.weight", sine_positions(config))

    def new_session(self) -> "NativeEngine":
        """Another engine that shares the weights (see ``Engine.new_session``)."""
        made = copy(self)
        made._cache, made._cache_at, made._shape, made._lengths = np.empty(0, self.cache_type), 0, (), []
        made._tables, made.hooks_of = Tables(self.config), None
        return made

    @property
    def guessed(self) -> int | None:
        """It does not guess."""
        return None

    def facts(self) -> EngineFacts:
        """Its name, instruction set and types (see ``Engine.facts``). It computes in float32 for all storage types."""
        alike = len(set(self.kinds.values())) == 1
        weights = self._weights if alike or self._weights in ("int8", "int4") else "float32"
        name = f"C ({kernels()})"
        itemsize = self.cache_type.itemsize
        return EngineFacts(name, "cpu", "float32", weights, self.threads, self.bytes_per_step, itemsize)

    def fill(
        self,
        name: str,
        stored: NDArray[np.generic],
        dtype: str,
        kind: Kind,
        transposed: bool = False,
        *,
        first: int = 0,
        rows: int | None = None,
    ) -> bool:
        """Copy a weight into the engine, or some rows of a matrix. The rows from 0 on have to come first.

        Args:
            name: of the parameter in the PyTorch GPT, for example ``h.0.attn.c_attn.weight``.
            stored: its numbers, contiguous: [out, in], or [in, out] where ``transposed``; bfloat16 as uint16.
            dtype: their type: ``F32``, ``F16`` or ``BF16``.
            kind: how to store a matrix; vectors are stored in float32.
            transposed: whether ``stored`` is transposed.
            first: index of the first of these rows.
            rows: number of rows of the whole matrix; None: as many as ``stored`` has.

        Returns:
            False when the numbers contain NaN or infinity.

        Raises:
            GptcliError: there is no memory.
        """
        layer, slot = slot_of(name)
        if not self.finite(stored, dtype):
            return False
        if slot in MATRICES:
            count, columns = reversed(stored.shape) if transposed else stored.shape
            if first == 0:
                self.make_room(name, kind, count if rows is None else rows, columns)
            where = (MATRICES.index(slot), layer, first, count, stored.ctypes.data, KINDS.index(dtype), int(transposed))
            self._checked(self._library.gptcli_fill_matrix(self._handle, *where))
            return True
        vector = as_float32(stored, dtype)
        if slot == "wpe.weight":
            vector = vector[self.config.position_offset :]
        elif self.config.norm_plus_one and slot in NORM_WEIGHTS:
            vector = 1 + vector
        self._fill_vector(name, vector)
        return True

    def finite(self, stored: NDArray[np.generic], dtype: str) -> bool:
        """Whether contiguous numbers of a type of ``fill`` are neither NaN nor infinite."""
        return bool(self._library.gptcli_finite(stored.ctypes.data, stored.size, KINDS.index(dtype)))

    def _fill_vector(self, name: str, values: NDArray[np.float32]) -> None:
        layer, slot = slot_of(name)
        vector = np.ascontiguousarray(values)
        numbers = (VECTORS.index(slot), layer, vector.ctypes.data, vector.size)
        self._checked(self._library.gptcli_fill_vector(self._handle, *numbers))
        self._vectors[name] = vector.size

    @property
    def vectors(self) -> dict[str, NDArray[np.float32]]:
        """Its vectors by name, as it computes with them: views of its memory, valid as long as the engine."""
        found = self._library.gptcli_vector_view
        places = ((name, size, *slot_of(name)) for name, size in self._vectors.items())
        return {
            name: view(ctypes.c_void_p(found(self._handle, VECTORS.index(slot), layer)), np.float32, size)
            for name, size, layer, slot in places
        }

    def make_room(self, name: str, kind: Kind, rows: int, columns: int) -> StoredMatrix:
        """Allocate a matrix [rows, columns], uninitialized; the caller writes its numbers.

        Raises:
            GptcliError: there is no memory.
        """
        self.kinds[name] = kind
        layer, slot = slot_of(name)
        where = (MATRICES.index(slot), layer, KINDS.index(kind), rows, columns)
        self._checked(self._library.gptcli_alloc_matrix(self._handle, *where))
        self.matrices.append(name)
        return self.kept(name)

    def borrow(self, name: str, kind: Kind, rows: int, columns: int, stored: StoredMatrix) -> None:
        """Use a matrix [rows, columns] where it lies, without a copy; the engine keeps its memory alive.

        Args:
            name: of the parameter.
            kind: how it is stored.
            rows: of the matrix.
            columns: of the matrix.
            stored: contiguous numbers, followed by at least ``OVERREAD_BYTES`` that can be read; and its scales.
        """
        self.kinds[name] = kind
        self._borrowed.append(stored)
        layer, slot = slot_of(name)
        where = (MATRICES.index(slot), layer, KINDS.index(kind), rows, columns)
        scales = None if stored.scales is None else stored.scales.ctypes.data
        self._library.gptcli_borrow_matrix(self._handle, *where, stored.numbers.ctypes.data, scales)
        self.matrices.append(name)

    def kept(self, name: str) -> StoredMatrix:
        """A matrix of the engine, which was allocated before."""
        layer, slot = slot_of(name)
        numbers, scales, about = ctypes.c_void_p(), ctypes.c_void_p(), (ctypes.c_int * 2)()
        found = map(ctypes.addressof, (numbers, scales, about))
        self._library.gptcli_matrix_view(self._handle, MATRICES.index(slot), layer, *found)
        rows, row_bytes = about
        return StoredMatrix(
            view(numbers, np.uint8, rows, row_bytes), view(scales, np.float32, rows) if scales.value else None
        )

    @property
    def threads(self) -> int:
        """Threads that compute."""
        return int(self._library.gptcli_threads(self._handle))

    @property
    def bytes_per_step(self) -> int:
        """Bytes of weights that one step reads."""
        return int(self._library.gptcli_bytes(self._handle))

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self.config.n_positions

    def row_bytes(self, capacity: int) -> int:
        """Bytes of a row of a batch: its cache (three times, for ``select`` copies it twice), and its logits."""
        cache = capacity * self.config.cached_per_token * self.cache_type.itemsize
        return 3 * cache + 4 * 4 * self.config.vocab_size

    def free_bytes(self) -> int | None:
        """The memory that is left for batches."""
        return free_memory()

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        self._start(rows, capacity)
        return np.concatenate([self._prompt(row, ids, len(ids), logits=True) for row, ids in enumerate(rows)])

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``)."""
        self._start(rows, capacity)
        if len(rows) > 1 and self._tables.fixed:
            ids = [token for row in rows for token in row]
            of = [row for row, text in enumerate(rows) for _ in text]
            positions = [position for text in rows for position in range(len(text))]
            return self._read(ids, of, positions, range(len(ids)), max(positions) + 1, mode=self.TEXTS)
        # Each row has the angles of its own length.
        read = (
            self._read(ids, [row] * len(ids), range(len(ids)), range(len(ids)), len(ids), mode=self.ONE_TEXT)
            for row, ids in enumerate(rows)
        )
        return np.concatenate(list(read))

    def _start(self, rows: Sequence[Sequence[int]], capacity: int) -> None:
        """Allocate a new batch for these rows, of which nothing is read yet."""
        config = self.config
        check_prefill(rows, capacity, config.n_positions, config.vocab_size)
        _, keys, _ = config.qkv_widths
        self._capacity = capacity
        self._make_cache((config.n_layer, 2, len(rows), capacity * keys))
        self._lengths = [0] * len(rows)
        self._texts = [list(ids) for ids in rows]

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``).

        The layers read as many tokens at once as those of a prompt; logits are computed for fewer.
        """
        if not self._tables.fixed:
            read_by_blocks(self, ids, take, first)
            return
        self._start([ids], len(ids))
        for start in range(0, len(ids), self._PIECE):
            end = min(start + self._PIECE, len(ids))
            count, wanted = end - start, range(max(first - start, 0), end - start)
            self._read(ids[start:end], [0] * count, range(start, end), wanted, end, mode=self.ONE_TEXT, take=take)

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        check_step(ids, self._lengths, self._capacity, self.config.vocab_size)
        rows = range(len(ids))
        if self._tables.fixed:
            return self._read(ids, rows, list(self._lengths), rows, max(self._lengths, default=0) + 1, mode=self.STEPS)
        for row, token in enumerate(ids):
            self._turn_long(row, 1)
            self._texts[row].append(token)
        # Each row has the angles of its own length.
        lengths = [length + 1 for length in self._lengths]
        steps = ((row, self._lengths[row], length) for row, length in enumerate(lengths))
        return np.concatenate(
            [self._read([ids[row]], [row], [at], [0], length, mode=self.STEPS) for row, at, length in steps]
        )

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row by these ids (see ``Engine.refill``)."""
        check_refill(row, ids, self._lengths, self._capacity, self.config.vocab_size)
        self._lengths[row] = 0
        self._texts[row] = list(ids)
        self._prompt(row, ids, len(ids), logits=False)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        check_select(rows, self._lengths)
        if list(rows) == list(range(len(self._lengths))):
            return
        kept = self._rows_of_cache()[:, :, list(rows)]
        lengths = [self._lengths[row] for row in rows]
        self._texts = [list(self._texts[row]) for row in rows]
        self._make_cache(kept.shape)
        self._rows_of_cache()[...] = kept
        self._lengths = lengths

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        check_extend(ids, self._lengths, self._capacity, self.config.vocab_size)
        self._turn_long(0, len(ids))
        if not self._tables.fixed:
            self._texts[0] += ids
        start = self._lengths[0]
        end = start + len(ids)
        return self._read(ids, [0] * len(ids), range(start, end), range(len(ids)), end, mode=self.ONE_TEXT)

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        check_rewind(count, self._lengths)
        self._turn_long(0, -count)
        self._lengths[0] -= count
        if not self._tables.fixed:
            del self._texts[0][len(self._texts[0]) - count :]

    def _turn_long(self, row: int, more: int) -> None:
        """Recompute a row's cache where ``more`` tokens (negative: fewer) move its length across longrope's threshold.

        Longrope's frequencies depend on the length of the whole text: keys that were cached before have other angles.
        """
        before = self._lengths[row]
        if before and self.config.turns_long(before, before + more):
            self._prompt(row, self._texts[row], before + more, logits=False)

    def _make_cache(self, shape: tuple[int, ...]) -> None:
        """Allocate the cache. There are no rows until the caller sets their lengths."""
        self._shape, self._lengths = shape, []
        try:
            self._cache = cache_memory(int(np.prod(shape)), self.cache_type, self._cache)
        except MemoryError as error:
            raise self.no_memory() from error
        self._cache_at = self._cache.ctypes.data

    def _rows_of_cache(self) -> NDArray[np.floating]:
        """A view of the cache: [layers, 2, rows, numbers of a row]."""
        return self._cache[: int(np.prod(self._shape))].reshape(self._shape)

    def _prompt(self, row: int, ids: Sequence[int], length: int, *, logits: bool) -> NDArray[np.float32]:
        """Read a row's ids from position 0: logits [1, V] after the last, or [0, V]. ``length``: of the whole text."""
        read = np.empty((0, self.config.vocab_size), np.float32)
        for start in range(0, len(ids), self._PIECE):
            piece = ids[start : start + self._PIECE]
            last = start + len(piece) == len(ids)
            wanted = [len(piece) - 1] if logits and last else []
            places = range(start, start + len(piece))
            read = self._read(piece, [row] * len(piece), places, wanted, length, mode=self.ONE_TEXT)
        return read

    def _read(
        self,
        ids: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
        length: int,
        *,
        mode: int,
        take: Take | None = None,
    ) -> NDArray[np.float32]:
        """Read tokens of the batch: logits [wanted, V] (see ``run``)."""
        cache = Cache(self._cache_at, self._shape[2], self._capacity)
        hooks = None if self.hooks_of is None else self.hooks_of(rows, positions)
        logits = self.run(ids, rows, positions, wanted, length, mode=mode, cache=cache, hooks=hooks, take=take)
        for row, position in zip(rows, positions, strict=True):
            self._lengths[row] = position + 1
        return logits

    def run(
        self,
        ids: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
        length: int,
        *,
        mode: int,
        cache: Cache,
        hooks: Hooks | None = None,
        first: int = 0,
        take: Take | None = None,
    ) -> NDArray[np.float32]:
        """Read tokens, without the checks of their numbers, which C trusts.

        Args:
            ids, rows, positions: of each token.
            wanted: the tokens whose logits are computed.
            length: of the longest sequence, on which rotary tables may depend.
            mode: ``STEPS``, ``ONE_TEXT`` or ``TEXTS``.
            cache: where keys and values are.
            hooks: what is recorded and changed.
            first: the first layer that is run, whose input is ``hooks.start``; from 0.
            take: is given the logits, in blocks; None: they are returned.

        Returns:
            Logits, [wanted, V]; with ``take``, memory of no meaning.

        Raises:
            GptcliError: there is no memory.
        """
        # C trusts these numbers: the callers have checked them.
        # One array, and numpy only for the logits: a step evicts Python from the processor's caches, so little of
        # Python should run here.
        numbers = array("i", (*ids, *rows, *positions, *wanted))
        place, count, nbytes = numbers.buffer_info()[0], len(ids), numbers.itemsize * len(ids)
        most = max(len(wanted), 1) if take is None else max(self._LOGITS_BYTES // (4 * self.config.vocab_size), 1)
        logits = np.empty((min(len(wanted), most), self.config.vocab_size), np.float32)
        arguments = (
            self._handle,
            count,
            place,
            place + nbytes,
            place + 2 * nbytes,
            mode,
            *self._tables.reach(length),
            *cache,
        )
        at, to = place + 3 * nbytes, address(logits.data) if len(wanted) else 0
        layers = self.config.n_layer
        # Python handles Ctrl-C only between calls: a prompt is read layer by layer, so that Ctrl-C takes effect soon.
        together = count <= self._SHORT and take is None
        at_once, stages = (layers + 1, layers + 1) if together else (1, layers)
        read = self._library.gptcli_read
        with self._owner.turn:
            for stage in range(first, stages, at_once):
                self._checked(read(*arguments, len(wanted), at, to, stage, stage + at_once, hooks))
                if hooks is not None:
                    hooks.start = None  # the next call finds the residual stream where this one left it
            for start in range(0, 0 if together else len(wanted), most):
                some = min(most, len(wanted) - start)
                self._checked(read(*arguments, some, at + start * numbers.itemsize, to, layers, layers + 1, hooks))
                if take is not None:
                    take(logits[:some])
        return logits

    def record(
        self, ids: Sequence[int], *, after: NativeRecord | None = None, parts: Collection[Part] = ()
    ) -> NativeRecord:
        """Read one text and record its activations. The batch stays as it is.

        Args:
            ids: the text.
            after: a record of this engine whose text begins in the same way: only the rest is read.
            parts: what is recorded in addition; ``after`` is of use only where it has them too.

        Raises:
            IndexError: there is no id, more than the context holds, or one is not in the vocabulary.
            GptcliError: there is no memory.
        """
        check_prefill([ids], len(ids), self.config.n_positions, self.config.vocab_size)
        made = new_record(self, ids, after if self._tables.fixed else None, parts)
        for start in range(made.kept, len(ids), self._PIECE):
            end = min(start + self._PIECE, len(ids))
            rows, positions, hooks = [0] * (end - start), range(start, end), made.hooks(start)
            if self.hooks_of is not None:
                changed = self.hooks_of(rows, positions)
                hooks.changes, hooks.change_count, hooks.kept = changed.changes, changed.change_count, changed
            self.run(ids[start:end], rows, positions, [], len(ids), mode=self.ONE_TEXT, cache=made.cache, hooks=hooks)
        return made

    def pattern(
        self, layer: int, queries: NDArray[np.float32], keys: NDArray[np.floating], *, scores: bool = False
    ) -> NDArray[np.float32]:
        """Where a layer looks, from its recorded queries and keys.

        Args:
            layer: from 0.
            queries: of the latest T positions, [T, H, D], contiguous.
            keys: of all S, [K, S, D], in ``cache_type``, contiguous, followed by at least 256 readable bytes.
            scores: as they are before the softmax, -infinity where a query does not look; else the weights.

        Returns:
            [H, T, S].

        Raises:
            GptcliError: there is no memory.
        """
        count, length = len(queries), keys.shape[1]
        found = np.empty((self.config.n_head, count, length), np.float32)
        arrays = queries.ctypes.data, keys.ctypes.data, length, int(scores), found.ctypes.data
        with self._owner.turn:
            self._checked(self._library.gptcli_pattern(self._handle, layer, count, length - count, *arrays))
        return found

    def unembed(self, stream: NDArray[np.float32]) -> NDArray[np.float32]:
        """The final norm and the unembedding of rows of the residual stream: [N, C] -> logits [N, V].

        Raises:
            GptcliError: there is no memory.
        """
        rows = np.ascontiguousarray(stream, np.float32)
        logits = np.empty((len(rows), self.config.vocab_size), np.float32)
        for start in range(0, len(rows), self._PIECE):
            some, said = rows[start : start + self._PIECE], logits[start : start + self._PIECE]
            with self._owner.turn:
                self._checked(self._library.gptcli_unembed(self._handle, len(some), some.ctypes.data, said.ctypes.data))
        return logits

    def _checked(self, result: int) -> None:
        if result:
            raise self.no_memory()

    def no_memory(self) -> GptcliError:
        """The error where there is no memory for the weights, or the context."""
        rows, capacity = (self._shape[2], self._capacity) if self._shape else (0, 0)
        cache: CacheType = "float16" if self.cache_type.itemsize == 2 else "float32"
        return out_of_memory_in_c(self.config, self._weights, rows, capacity, cache)

    @property
    def _weights(self) -> str:
        """Storage type of the matrices; of several, the one with the fewest bits."""
        kind = max(self.kinds.values(), key=KINDS.index, default="F32")
        return KIND_NAMES.get(kind, kind)

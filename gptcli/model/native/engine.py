"""The C engine behind the ``Engine`` protocol: it keeps the weights; Python keeps the cache."""

import ctypes
import os
from array import array
from collections.abc import Sequence
from copy import copy
from threading import Lock
from typing import ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import GptcliError
from gptcli.model.bounds import check_extend, check_prefill, check_refill, check_rewind, check_select, check_step
from gptcli.model.config import GPTConfig
from gptcli.model.engine import EngineFacts
from gptcli.model.memory import free_memory, out_of_memory_in_c
from gptcli.model.native.library import BEST, address, kernels, library
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

# Floats behind the cache that the kernels may read (and ignore), and the bytes of one.
_SPARE, _FLOAT_BYTES = 64, 4


class _Owner:
    """What all engines of the same weights hold, so that the last of them frees these, and one at a time reads."""

    _all: ClassVar["WeakSet[_Owner]"] = WeakSet()

    def __init__(self, found: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = found, handle
        self.turn = Lock()
        self._all.add(self)

    @classmethod
    def forked(cls) -> None:
        """In a child: the thread whose turn it was when the process forked is not here to end it."""
        for owner in list(cls._all):
            owner.turn = Lock()

    def __del__(self) -> None:
        self._library.gptcli_free(self._handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Owner.forked)


class NativeEngine:
    """A GPT in C.

    Args:
        config: a shape that it runs (see ``why_not``).
        threads: how many; None: one a core. All engines of a process share the first one's.
        level: which instruction set (see ``library``).

    Raises:
        GptcliError: there is no memory.
    """

    # Prompts are read in pieces of this many tokens, which bounds the memory that the activations take.
    _PIECE = 512
    # So many tokens are read in one call: that is as short as a step.
    _SHORT = 16

    def __init__(self, config: GPTConfig, threads: int | None = None, level: int = BEST) -> None:
        found = library()
        assert found is not None, "ask available() first"
        self._library, self.config = found, config
        shape = shape_of(config)
        self._handle = found.gptcli_new(ctypes.byref(shape), threads or default_threads(), level)
        self._checked(-1 if not self._handle else 0)
        self._owner = _Owner(found, self._handle)
        self._cache, self._cache_at = np.empty(0, np.float32), 0
        self._shape: tuple[int, ...] = ()  # layers, 2, rows, numbers of a row
        self._capacity = 0
        self._lengths: list[int] = []
        self._texts: list[list[int]] = []  # of each row, for angles that depend on its length
        self._tables = Tables(config)
        self._kinds: set[Kind] = set()  # of its matrices
        self.matrices: list[str] = []  # names of those that it has
        if config.positions == "sinusoidal":
            self._fill_vector("wpe.weight", sine_positions(config))

    def new_session(self) -> "NativeEngine":
        """Another engine with the same weights (see ``Engine.new_session``)."""
        made = copy(self)
        made._cache, made._cache_at, made._shape, made._lengths = np.empty(0, np.float32), 0, (), []
        made._tables = Tables(self.config)
        return made

    @property
    def guessed(self) -> int | None:
        """It does not guess."""
        return None

    def facts(self) -> EngineFacts:
        """What it is (see ``Engine.facts``). It computes in float32, however it keeps its weights."""
        weights = self._weights if len(self._kinds) == 1 or self._weights in ("int8", "int4") else "float32"
        name = f"C ({kernels()})"
        return EngineFacts(name, "cpu", "float32", weights, self.threads, self.bytes_per_step, _FLOAT_BYTES)

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
        """Give the engine one of its weights, or some rows of a matrix, the first ones first.

        Args:
            name: as the PyTorch GPT calls it, such as ``h.0.attn.c_attn.weight``.
            stored: its numbers, contiguous: [out, in], or [in, out] where ``transposed``; bfloat16 as uint16.
            dtype: what they are: ``F32``, ``F16`` or ``BF16``.
            kind: how to keep a matrix; vectors are kept in float32.
            transposed: whether ``stored`` has to be turned.
            first: number of the first of these rows.
            rows: how many a matrix has altogether; None: these.

        Returns:
            False when they hold NaN or infinity.

        Raises:
            GptcliError: there is no memory.
        """
        layer, slot = slot_of(name)
        source = KINDS.index(dtype)
        if not self._library.gptcli_finite(stored.ctypes.data, stored.size, source):
            return False
        if slot in MATRICES:
            count, columns = reversed(stored.shape) if transposed else stored.shape
            if first == 0:
                self.make_room(name, kind, count if rows is None else rows, columns)
            where = (MATRICES.index(slot), layer, first, count, stored.ctypes.data, source, int(transposed))
            self._checked(self._library.gptcli_fill_matrix(self._handle, *where))
            return True
        vector = as_float32(stored, dtype)
        if slot == "wpe.weight":
            vector = vector[self.config.position_offset :]
        elif self.config.norm_plus_one and slot in NORM_WEIGHTS:
            vector = 1 + vector
        self._fill_vector(name, vector)
        return True

    def _fill_vector(self, name: str, values: NDArray[np.float32]) -> None:
        layer, slot = slot_of(name)
        vector = np.ascontiguousarray(values)
        numbers = (VECTORS.index(slot), layer, vector.ctypes.data, vector.size)
        self._checked(self._library.gptcli_fill_vector(self._handle, *numbers))

    def make_room(self, name: str, kind: Kind, rows: int, columns: int) -> StoredMatrix:
        """Room for a matrix [rows, columns], whose numbers are the caller's to write.

        Raises:
            GptcliError: there is no memory.
        """
        self._kinds.add(kind)
        layer, slot = slot_of(name)
        where = (MATRICES.index(slot), layer, KINDS.index(kind), rows, columns)
        self._checked(self._library.gptcli_alloc_matrix(self._handle, *where))
        self.matrices.append(name)
        return self.kept(name)

    def kept(self, name: str) -> StoredMatrix:
        """A matrix that the engine has, or has room for."""
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
        """What a row of a batch takes: its cache, twice more while rows are selected, and its logits."""
        return 3 * 4 * capacity * self.config.cached_per_token + 4 * 4 * self.config.vocab_size

    def free_bytes(self) -> int | None:
        """The memory that is left for batches."""
        return free_memory()

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        config = self.config
        check_prefill(rows, capacity, config.n_positions, config.vocab_size)
        _, keys, _ = config.qkv_widths
        self._capacity = capacity
        self._make_cache((config.n_layer, 2, len(rows), capacity * keys))
        self._lengths = [0] * len(rows)
        self._texts = [list(ids) for ids in rows]
        return np.concatenate([self._prompt(row, ids, len(ids), logits=True) for row, ids in enumerate(rows)])

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        check_step(ids, self._lengths, self._capacity, self.config.vocab_size)
        rows = range(len(ids))
        if self._tables.fixed:
            return self._read(ids, rows, list(self._lengths), rows, max(self._lengths, default=0) + 1, prefill=False)
        for row, token in enumerate(ids):
            self._turn_long(row, 1)
            self._texts[row].append(token)
        # Each row has the angles of its own length.
        lengths = [length + 1 for length in self._lengths]
        steps = ((row, self._lengths[row], length) for row, length in enumerate(lengths))
        return np.concatenate(
            [self._read([ids[row]], [row], [at], [0], length, prefill=False) for row, at, length in steps]
        )

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Forget one row and read these ids in its place (see ``Engine.refill``)."""
        check_refill(row, ids, self._lengths, self._capacity, self.config.vocab_size)
        self._lengths[row] = 0
        self._texts[row] = list(ids)
        self._prompt(row, ids, len(ids), logits=False)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        check_select(rows, self._lengths)
        if list(rows) == list(range(len(self._lengths))):
            return
        kept = self._cache[:-_SPARE].reshape(self._shape)[:, :, list(rows)]
        lengths = [self._lengths[row] for row in rows]
        self._texts = [list(self._texts[row]) for row in rows]
        self._make_cache(kept.shape)
        self._cache[:-_SPARE].reshape(self._shape)[...] = kept
        self._lengths = lengths

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        check_extend(ids, self._lengths, self._capacity, self.config.vocab_size)
        self._turn_long(0, len(ids))
        if not self._tables.fixed:
            self._texts[0] += ids
        start = self._lengths[0]
        end = start + len(ids)
        return self._read(ids, [0] * len(ids), range(start, end), range(len(ids)), end, prefill=True)

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        check_rewind(count, self._lengths)
        self._turn_long(0, -count)
        self._lengths[0] -= count
        if not self._tables.fixed:
            del self._texts[0][len(self._texts[0]) - count :]

    def _turn_long(self, row: int, more: int) -> None:
        """Read a row's text again, where it has other angles once it is longer or shorter by so many tokens.

        Frequencies of longrope depend on the whole text: keys that were cached before have others' angles.
        """
        border, before = self.config.long_from, self._lengths[row]
        if border is not None and before and (before > border) != (before + more > border):
            self._prompt(row, self._texts[row], before + more, logits=False)

    def _make_cache(self, shape: tuple[int, ...]) -> None:
        """Room for the shape; the one there is where it fits, as new memory has to be cleared first.

        There are no rows before the caller says how long they are.
        """
        self._shape, self._lengths = shape, []
        needed = int(np.prod(shape)) + _SPARE
        if self._cache.size != needed:
            try:
                self._cache = np.empty(needed, np.float32)
            except MemoryError as error:
                raise self.no_memory() from error
            self._cache_at = self._cache.ctypes.data

    def _prompt(self, row: int, ids: Sequence[int], length: int, *, logits: bool) -> NDArray[np.float32]:
        """Read a row's ids from its beginning: logits [1, V] after the last, or [0, V]. ``length``: of its text."""
        read = np.empty((0, self.config.vocab_size), np.float32)
        for start in range(0, len(ids), self._PIECE):
            piece = ids[start : start + self._PIECE]
            last = start + len(piece) == len(ids)
            wanted = [len(piece) - 1] if logits and last else []
            places = range(start, start + len(piece))
            read = self._read(piece, [row] * len(piece), places, wanted, length, prefill=True)
        return read

    def _read(
        self,
        ids: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
        length: int,
        *,
        prefill: bool,
    ) -> NDArray[np.float32]:
        """Read tokens: logits [wanted, V]. ``length``: of the longest sequence, on which rotary tables may depend."""
        # C trusts these numbers: the callers have checked them.
        # One array, and no numpy but for the logits: after a step, all of Python has to come back into the caches.
        numbers = array("i", (*ids, *rows, *positions, *wanted))
        place, count, nbytes = numbers.buffer_info()[0], len(ids), numbers.itemsize * len(ids)
        logits = np.empty((len(wanted), self.config.vocab_size), np.float32)
        arguments = (
            self._handle,
            count,
            place,
            place + nbytes,
            place + 2 * nbytes,
            int(prefill),
            *self._tables.reach(length),
            self._cache_at,
            self._shape[2],
            self._capacity,
            len(wanted),
            place + 3 * nbytes,
            address(logits.data) if len(wanted) else 0,
        )
        stages = self.config.n_layer + 1
        # Python hears Ctrl-C between two calls: a prompt is read layer by layer, so that it need not wait for the end.
        at_once = 1 if count > self._SHORT else stages
        with self._owner.turn:
            for first in range(0, stages, at_once):
                self._checked(self._library.gptcli_read(*arguments, first, first + at_once))
        for row, position in zip(rows, positions, strict=True):
            self._lengths[row] = position + 1
        return logits

    def _checked(self, result: int) -> None:
        if result:
            raise self.no_memory()

    def no_memory(self) -> GptcliError:
        """The error where there is no memory for the weights, or the context."""
        rows, capacity = (self._shape[2], self._capacity) if self._shape else (0, 0)
        return out_of_memory_in_c(self.config, self._weights, rows, capacity)

    @property
    def _weights(self) -> str:
        """How matrices are kept: of several kinds, that with the fewest bits."""
        kind = max(self._kinds, key=KINDS.index, default="F32")
        return KIND_NAMES.get(kind, kind)

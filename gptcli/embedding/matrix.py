"""A matrix that stays in its file: memory-mapped, read as float32 a few rows at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gptcli.checkpoint.files.header import TensorInfo
from gptcli.checkpoint.files.mapped import map_tensor
from gptcli.errors import CheckpointError
from gptcli.system.threads import default_threads

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# NumPy has no bfloat16: it is mapped as 16-bit integers.
_STORED = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
# Small enough to stay in the cache until its second use, and large enough for BLAS.
_CHUNK_BYTES = 4 << 20
# From this many numbers on, all cores are used. The threads are ours: BLAS's stall on a busy machine.
_MANY = 10_000_000


class Matrix:
    """A matrix [n, d], of which only the current rows are in memory.

    Args:
        stored: the numbers as in the file; uint16 is bfloat16.
        chunk_bytes: bytes of float32 in memory at a time; at least one row.
    """

    def __init__(self, stored: npt.NDArray[Any], chunk_bytes: int = _CHUNK_BYTES) -> None:
        self._stored = stored
        self.shape: tuple[int, int] = (stored.shape[0], stored.shape[1])
        self._chunk_rows = max(1, chunk_bytes // (4 * self.shape[1]))
        self._lengths = np.empty(0, np.float32)

    def count(self, rows: int | None) -> int:
        """``rows``, or the number of all rows for None."""
        return self.shape[0] if rows is None else min(rows, self.shape[0])

    def chunks(self, rows: int | None = None, first: int = 0) -> Iterator[tuple[int, Floats]]:
        """Rows ``first`` to ``rows`` (or all) in chunks: the first row of each, and its numbers."""
        end = self.count(rows)
        for start in range(first, end, self._chunk_rows):
            yield start, _as_float32(self._stored[start : min(start + self._chunk_rows, end)])

    def each(self, of_chunk: Callable[[int, Floats], Floats], rows: int | None = None) -> Floats:
        """A number for each of the first ``rows`` rows (or all): [rows].

        Args:
            of_chunk: (first row of a chunk, its numbers) -> the numbers; called in several threads.
            rows: how many.
        """
        result = np.empty(self.count(rows), np.float32)

        def fill(first: int, end: int) -> None:
            for start, chunk in self.chunks(end, first):
                result[start : start + len(chunk)] = of_chunk(start, chunk)

        threads = default_threads() if len(result) * self.shape[1] >= _MANY else 1
        edges = [len(result) * part // threads for part in range(threads + 1)]
        if threads == 1:
            fill(*edges)
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, edges[:-1], edges[1:]))
        return result

    def times(self, vector: Floats, rows: int | None = None) -> Floats:
        """The product of each of the first ``rows`` rows (or all) with a vector [d]: [rows].

        BLAS computes it in an order of its own: equal rows may differ in their last bits.
        """
        if self._stored.dtype == np.float32 and self._stored.flags.aligned:  # no conversion: used in the file's mapping
            return np.asarray(self._stored[:rows] @ vector)
        return self.each(lambda _, chunk: chunk @ vector, rows)

    def lengths(self, rows: int | None = None) -> Floats:
        """The Euclidean lengths of the first ``rows`` rows (or all): [rows]; computed once."""
        count = self.count(rows)
        if len(self._lengths) < count:
            self._lengths = self.each(lambda _, chunk: row_lengths(chunk), count)
        return self._lengths[:count]

    def take(self, rows: Sequence[int]) -> Floats:
        """Some rows, [k, d]."""
        return _as_float32(self._stored[list(rows)])


def row_lengths(vectors: Floats) -> Floats:
    """The Euclidean length of each row of [n, d]: [n]."""
    lengths: Floats = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def map_matrix(tensor: TensorInfo) -> Matrix:
    """Map a tensor of a safetensors file as a matrix.

    Raises:
        CheckpointError: it is not a matrix of floating-point numbers, or the file cannot be mapped.
    """
    where = f"{tensor.file}: tensor '{tensor.name}'"
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        raise CheckpointError(f"{where} is no embedding: its shape is {list(tensor.shape)}, not [words, dimensions]")
    if tensor.dtype not in _STORED:
        raise CheckpointError(f"{where} is {tensor.dtype}: similarity is worked out on {', '.join(_STORED)} only")
    return Matrix(map_tensor(tensor, _STORED[tensor.dtype]))


def _as_float32(rows: npt.NDArray[Any]) -> Floats:
    if rows.dtype == np.uint16:  # bfloat16 is the upper half of a float32
        return (np.asarray(rows, np.uint32) << 16).view(np.float32)
    return np.asarray(rows, np.float32)

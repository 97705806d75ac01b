"""Memory-mapped tensors and files. All mapping of files happens here."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gptcli.checkpoint.files.bus_errors import watch
from gptcli.checkpoint.files.header import TensorInfo
from gptcli.errors import CheckpointError
from gptcli.system.regular_file import Version, changed, opened


def map_tensor(info: TensorInfo, dtype: DTypeLike) -> NDArray[Any]:
    """A tensor as a view of its file: read on access, and unmapped with the array.

    Args:
        info: from the header.
        dtype: numpy's for its elements, of the same size.

    Raises:
        CheckpointError: the file changed after its header was read, or cannot be read.
        MemoryError: there is no address space for it.
    """
    if info.nbytes == 0:
        return np.empty(info.shape, dtype)
    first = info.start - info.start % mmap.ALLOCATIONGRANULARITY
    memory = _map(info.file, info.version, first, info.end, writable=False)
    return np.frombuffer(memory, dtype, info.count, info.start - first).reshape(info.shape)


class MappedFiles:
    """Files of a checkpoint, each mapped once: a mapping holds an open file, and tensors are many."""

    def __init__(self) -> None:
        self._memory: dict[Path, mmap.mmap] = {}

    def tensor(self, info: TensorInfo, dtype: DTypeLike) -> NDArray[Any]:
        """What ``map_tensor`` returns, as a view of all of its file."""
        if info.nbytes == 0:
            return map_tensor(info, dtype)
        if info.file not in self._memory:
            self._memory[info.file] = map_file(info.file, info.version)
        return np.frombuffer(self._memory[info.file], dtype, info.count, info.start).reshape(info.shape)


def release(numbers: NDArray[Any]) -> None:
    """Give back the memory of a mapped array that was read, or of a part of one; reading it again reads the file.

    Pages of a mapped file count as this process's memory until then. It does nothing for other arrays, and where the
    system has no such advice.
    """
    memory, start = _place(numbers)
    if memory is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (start + numbers.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0:
        memory.madvise(mmap.MADV_DONTNEED, first, size)


def bytes_after(numbers: NDArray[Any]) -> int:
    """How many bytes of a mapped file can be read after a contiguous array in it; 0 for other arrays."""
    memory, start = _place(numbers)
    return 0 if memory is None else len(memory) - start - numbers.nbytes


def _place(numbers: NDArray[Any]) -> tuple[mmap.mmap | None, int]:
    """The mapping that an array is in, if it is in one, and where it begins there."""
    owner: Any = numbers
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    if not isinstance(owner, mmap.mmap):
        return None, 0
    return owner, numbers.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data


def map_file(path: Path, known: Version | None = None, *, writable: bool = False) -> mmap.mmap:
    """All of a file.

    Args:
        path: the file.
        known: its version when its header was read; None accepts any.
        writable: make the memory writable; the file does not change.

    Raises:
        CheckpointError: it is empty, changed after its header was read, or cannot be read.
        MemoryError: there is no address space for it.
    """
    return _map(path, known, 0, 0, writable=writable)


def _map(path: Path, known: Version | None, first: int, end: int, *, writable: bool) -> mmap.mmap:
    """The bytes of a file from ``first`` to before ``end``; 0 means to its end. Each mapping holds an open file."""
    access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
    with opened(path, known) as (file, version):
        if version.size == 0:
            raise CheckpointError(f"{path} is empty")
        try:
            memory = mmap.mmap(file.fileno(), (end or version.size) - first, access=access, offset=first)
        except ValueError as error:  # it has become shorter
            raise changed(path) from error
    watch(path, version.size)
    return memory

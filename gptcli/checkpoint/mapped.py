"""Tensors where they lie: parts of a file, mapped into memory. The one place where files are mapped."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gptcli.bus_errors import watch
from gptcli.checkpoint.header import TensorInfo
from gptcli.checkpoint.regular_file import Version, changed, opened
from gptcli.errors import CheckpointError


def map_tensor(info: TensorInfo, dtype: DTypeLike) -> NDArray[Any]:
    """A tensor as it lies in its file; read when it is looked at, and gone from memory with the array.

    Args:
        info: of the header that was read.
        dtype: numpy's for its elements, of the same size.

    Raises:
        CheckpointError: the file is not the one whose header was read any more, or cannot be read.
        MemoryError: there is no address space for it.
    """
    if info.nbytes == 0:
        return np.empty(info.shape, dtype)
    first = info.start - info.start % mmap.ALLOCATIONGRANULARITY
    memory = _map(info.file, info.version, first, info.end, writable=False)
    return np.frombuffer(memory, dtype, info.count, info.start - first).reshape(info.shape)


def map_file(path: Path, known: Version | None = None, *, writable: bool = False) -> mmap.mmap:
    """All of a file.

    Args:
        path: the file.
        known: what it was when its header was read; None takes any.
        writable: the memory may be written to, which does not reach the file.

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
        except ValueError as error:  # it is shorter by now
            raise changed(path) from error
    watch(path, version.size)
    return memory

"""Stored tensors from memory-mapped files: all of one, or the part that one of several processes needs."""

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gptcli.checkpoint.families import Part
from gptcli.checkpoint.families.scaled import Scale
from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.checkpoint.files.mapped import map_file
from gptcli.checkpoint.weights.converted import multiplied_out

Share = tuple[int, Sequence[tuple[int, int]]]
"""A dimension of one of our tensors, and the ranges of it, start and stop, that are wanted."""

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


class Files:
    """The files of a checkpoint, mapped for loading in order.

    Pages read from a mapped file count as this process's memory until it is unmapped. If every tensor already has the
    wanted type, the mapping is the model's memory. If some are converted, the pages would add to it, so the files are
    unmapped and mapped again from time to time.

    Args:
        header: of the checkpoint.
        dtype: that the model is to have.
        qkv_widths: how its ``c_attn`` divides (see ``GPTConfig``).
        scales: of matrices that are stored in 8 bits (see ``Blueprint``).
    """

    _LIMIT = 1 << 25

    def __init__(
        self,
        header: Header,
        dtype: torch.dtype,
        qkv_widths: tuple[int, int, int],
        scales: Mapping[str, Scale] | None = None,
    ) -> None:
        self._scales = scales or {}
        self._header, self._dtype, self._qkv_widths = header, dtype, qkv_widths
        self._mapped = all(_DTYPES.get(tensor.dtype) == dtype for tensor in header.tensors.values())
        self._memory: dict[Path, mmap.mmap] = {}
        self._read = 0

    def read(self, part: Part, key: str, share: Share | None = None) -> Tensor:
        """One stored tensor of a part, or the share of it (see ``cut``).

        Raises:
            CheckpointError: its file cannot be read, or changed after its header was read.
            MemoryError: there is no address space for it.
        """
        scale = self._scales.get(key)
        if scale is None:
            stored = self._stored(key)
        else:
            tensors = self._header.tensors
            stored = torch.from_numpy(multiplied_out(tensors[key], tensors[scale.key], scale))
        stored = cut(stored, part, key, share, self._qkv_widths)
        self._read += stored.numel() * stored.element_size()
        # A view would keep the whole mapping: a tensor that is not converted, among others that are, is copied.
        return stored if self._mapped or stored.dtype != self._dtype else stored.clone()

    def _stored(self, key: str) -> Tensor:
        """A tensor as it lies."""
        info = self._header.tensors[key]
        if self._read > self._LIMIT and not self._mapped:
            self._memory.clear()
            self._read = 0
        if info.file not in self._memory:
            self._memory[info.file] = map_file(info.file, info.version, writable=True)
        return _tensor(self._memory[info.file], info)


def _tensor(memory: mmap.mmap, info: TensorInfo) -> Tensor:
    """A stored tensor as a view of its file; a copy where an odd header length misaligns it for torch."""
    dtype = _DTYPES[info.dtype]
    numbers = np.frombuffer(memory, np.uint8)[info.start : info.end]
    if info.start % dtype.itemsize:
        numbers = numbers.copy()
    return torch.from_numpy(numbers).view(dtype).reshape(info.shape)


def cut(stored: Tensor, part: Part, key: str, share: Share | None, qkv_widths: tuple[int, int, int]) -> Tensor:
    """Cut a stored tensor to a share of the tensor of ours that a ``Part`` makes of it.

    Args:
        stored: in the file's layout; bytes outside the share are not read.
        part: how our tensor is made.
        key: the stored tensor, one of ``part.keys``.
        share: a dimension of our tensor and its wanted ranges; for q, k and v the same heads of each. None: all.
        qkv_widths: rows of q, k and v, where our tensor has those three.
    """
    if part.how in ("first half", "second half"):
        half = stored.shape[0] // 2
        stored = stored.narrow(0, half if part.how == "second half" else 0, half)
    if share is None:
        return stored
    dim, ranges = share
    if part.how == "transposed":
        dim = 1 - dim
    elif part.how == "stacked":  # each stored tensor is one of q, k and v, and counts its rows from 0
        place = part.keys.index(key)
        before, (start, stop) = sum(qkv_widths[:place]), ranges[place]
        ranges = [(start - before, stop - before)]
    elif part.how == "regrouped":
        ranges = _of_groups(ranges, qkv_widths)
    pieces = [stored.narrow(dim, start, stop - start) for start, stop in ranges]
    return pieces[0].contiguous() if len(pieces) == 1 else torch.cat(pieces, dim)


def _of_groups(ranges: Sequence[tuple[int, int]], qkv_widths: tuple[int, int, int]) -> Sequence[tuple[int, int]]:
    """Where rows of q, k and v lie in a file that has them group by group: a key and a value head, and their queries.

    Whole groups lie together. Of a part of one group, its queries, its key and its value are taken one by one.
    """
    (q_start, q_stop), (k_start, k_stop), _ = ranges
    queries, head = qkv_widths[0] * (k_stop - k_start) // qkv_widths[1], k_stop - k_start
    rows = queries + 2 * head
    if q_stop - q_start == queries:
        return [(q_start * rows // queries, q_stop * rows // queries)]
    group = (k_start - qkv_widths[0]) // head
    start, inside = group * rows, q_start - group * queries
    keys = start + queries
    return [(start + inside, start + inside + q_stop - q_start), (keys, keys + head), (keys + head, start + rows)]

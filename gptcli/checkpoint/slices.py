"""Stored tensors, or only the parts of them that one of several processes needs, from memory-mapped files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gptcli.checkpoint.families import Part
from gptcli.checkpoint.header import Header
from gptcli.errors import CheckpointError

Share = tuple[int, Sequence[tuple[int, int]]]
"""A dimension of one of our tensors, and the ranges of it, start and stop, that are wanted."""

_FORMAT_NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


class Files:
    """The files of a checkpoint, open for loading in order.

    What is read of a mapped file counts as this process's memory until the mapping goes. Where every tensor already has
    the wanted type the mapping is the model's memory. Where some are converted it would come on top, so the files are
    closed and opened again every so many bytes.

    Args:
        header: of the checkpoint.
        dtype: that the model is to have.
        qkv_widths: how its ``c_attn`` divides (see ``GPTConfig``).
    """

    _LIMIT = 1 << 25

    def __init__(self, header: Header, dtype: torch.dtype, qkv_widths: tuple[int, int, int]) -> None:
        self._header, self._dtype, self._qkv_widths = header, dtype, qkv_widths
        self._mapped = all(tensor.dtype == _FORMAT_NAMES[dtype] for tensor in header.tensors.values())
        self._open: dict[Path, Any] = {}
        self._read = 0

    def read(self, part: Part, key: str, share: Share | None = None) -> Tensor:
        """One stored tensor of a part, or what ``read_stored`` cuts of it.

        Raises:
            CheckpointError: its file cannot be opened.
        """
        file = self._header.tensors[key].file
        if self._read > self._LIMIT and not self._mapped:
            self._open.clear()
            self._read = 0
        if file not in self._open:
            self._open[file] = _open(file)
        stored = read_stored(self._open[file], part, key, share, self._qkv_widths)
        self._read += stored.numel() * stored.element_size()
        # A view would keep the whole mapping: a tensor that is not converted, among others that are, is copied.
        return stored if self._mapped or stored.dtype != self._dtype else stored.clone()


def _open(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} cannot be opened: {error}") from error


def read_stored(file: Any, part: Part, key: str, share: Share | None, qkv_widths: tuple[int, int, int]) -> Tensor:
    """One stored tensor of a ``Part``, cut such that what is made of the cut ones is the share.

    Args:
        file: safetensors' open file that holds it; bytes outside the share are not read.
        part: what our tensor is made of.
        key: the stored tensor, one of ``part.keys``.
        share: a dimension of our tensor and the ranges of it that are wanted: of q, k and v the same heads, where it
            has those three. None wants all.
        qkv_widths: rows of q, k and v, where our tensor has those three.

    Returns:
        The stored tensor, or its share, in the file's own layout.
    """
    if share is None:
        whole: Tensor = file.get_tensor(key)
        return whole
    dim, ranges = share
    if part.how == "transposed":
        dim = 1 - dim
    elif part.how == "stacked":  # each stored tensor is one of q, k and v, and counts its rows from 0
        place = part.keys.index(key)
        before, (start, stop) = sum(qkv_widths[:place]), ranges[place]
        ranges = [(start - before, stop - before)]
    elif part.how == "regrouped":  # a key and a value head, and the query heads that share them, lie together
        rows, of_queries = sum(qkv_widths), qkv_widths[0]
        ranges = [(start * rows // of_queries, stop * rows // of_queries) for start, stop in ranges[:1]]
    view = file.get_slice(key)
    pieces = [view[slice(start, stop)] if dim == 0 else view[:, slice(start, stop)] for start, stop in ranges]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)

"""A stored tensor, or only the part of it that one of several processes needs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gptcli.checkpoint.families import Part


def read_stored(file: Any, part: Part, key: str, share: tuple[int, Sequence[tuple[int, int]]] | None = None) -> Tensor:
    """One stored tensor of a ``Part``, cut such that what is made of the cut ones is the share.

    Args:
        file: safetensors' open file that holds it; bytes outside the share are not read.
        part: what our tensor is made of.
        key: the stored tensor, one of ``part.keys``.
        share: a dimension of our tensor and the ranges of it that are wanted: of q, k and v the same heads, where it
            has those three. None wants all.

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
        ranges = ranges[:1]
    elif part.how == "regrouped":  # q, k and v of one head lie together
        ranges = [(3 * start, 3 * stop) for start, stop in ranges[:1]]
    view = file.get_slice(key)
    pieces = [view[slice(start, stop)] if dim == 0 else view[:, slice(start, stop)] for start, stop in ranges]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)

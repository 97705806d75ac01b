"""A checkpoint's weights as numpy arrays, without torch: rows or columns of a tensor, in float32.

``arranged`` says where the rows of one of our tensors lie in the file; the loader of the engine in C uses it too.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.families import Blueprint, Part
from gptcli.checkpoint.families.scaled import Scale
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.mapped import map_tensor
from gptcli.checkpoint.weights.faults import not_finite
from gptcli.model.config import GPTConfig
from gptcli.model.native.weights import as_float32

Floats = NDArray[np.float32]

# NumPy has no bfloat16 and no float8: they are mapped as integers of their size.
_STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "i1", "F8_E4M3": "u1", "F8_E5M2": "u1"}


class Arrays:
    """The weights of a checkpoint by our names (``h.0.mlp.c_fc.weight``), read from the mapped files when asked for.

    Args:
        header: of the checkpoint.
        blueprint: checked against the header.
    """

    def __init__(self, header: Header, blueprint: Blueprint) -> None:
        self.config = blueprint.config
        self._header, self._blueprint = header, blueprint

    def has(self, name: str) -> bool:
        """Whether the model has a tensor of this name."""
        return name in self._blueprint.tensors

    def vector(self, name: str) -> Floats | None:
        """All numbers of a vector or of a small tensor, in its shape; None where the model has none of this name."""
        return self.rows(name) if self.has(name) else None

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Floats:
        """Rows ``start`` to before ``stop`` (or the end) of a tensor.

        Raises:
            CheckpointError: the file changed after its header was read, or a number is NaN or infinite.
        """
        taken = []
        for first, rows, dtype in self._pieces(name):
            low, high = max(start - first, 0), len(rows) if stop is None else min(stop - first, len(rows))
            if low < high:
                taken.append((first, as_float32(rows[low:high], dtype)))
        taken.sort(key=lambda each: each[0])
        return self._finite(name, taken[0][1] if len(taken) == 1 else np.concatenate([rows for _, rows in taken]))

    def columns(self, name: str, start: int, stop: int) -> Floats:
        """Columns ``start`` to before ``stop`` of a matrix: [rows, columns]. Errors as for ``rows``."""
        pieces = sorted(self._pieces(name), key=lambda piece: piece[0])
        return self._finite(name, np.concatenate([as_float32(rows[:, start:stop], dtype) for _, rows, dtype in pieces]))

    def pick(self, name: str, ids: Sequence[int]) -> Floats:
        """Some rows of a matrix, in this order: [ids, columns]. Errors as for ``rows``."""
        pieces = list(self._pieces(name))
        if len(pieces) > 1:
            return self.rows(name)[list(ids)]
        _, rows, dtype = pieces[0]
        return self._finite(name, as_float32(rows[list(ids)], dtype))

    def _pieces(self, name: str) -> Iterator[tuple[int, NDArray[Any], str]]:
        """Rows of our tensor that lie together in the file: the first one's number, themselves, and their type."""
        part = self._blueprint.tensors[name]
        stored = [self._stored(key) for key in part.keys]
        for index, first, rows in arranged(part, [array for array, _ in stored], self.config):
            yield first, rows.T if part.how == "transposed" else rows, stored[index][1]

    def _stored(self, key: str) -> tuple[NDArray[Any], str]:
        """A tensor of the file and its type; one with scales is multiplied with them."""
        info = self._header.tensors[key]
        numbers = map_tensor(info, _STORED[info.dtype])
        scale = self._blueprint.scales.get(key)
        if scale is None:
            return numbers, info.dtype
        other = self._header.tensors[scale.key]
        by = as_float32(map_tensor(other, _STORED[other.dtype]), other.dtype)
        return _multiplied_out(_eight_bits(numbers, info.dtype), by, scale), "F32"

    def _finite(self, name: str, numbers: Floats) -> Floats:
        if not np.isfinite(numbers).all():
            raise not_finite(name, self._blueprint.tensors[name])
        return numbers


def arranged(part: Part, stored: Sequence[NDArray[Any]], config: GPTConfig) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """What lies together in the file and in our tensor that a ``Part`` makes of it.

    Args:
        part: how our tensor is made.
        stored: the file's tensors, in the order of ``part.keys``.
        config: of the model.

    Yields:
        The index of a stored tensor, the number of its first row in ours, and these rows (as columns where
        ``part.how`` is transposed).
    """
    first = 0
    for index, tensor in enumerate(stored):
        rows = tensor
        if part.how == "rows":
            rows = tensor.reshape(1, -1)
        elif part.how in ("first half", "second half"):
            half = len(tensor) // 2
            rows = tensor[:half] if part.how == "first half" else tensor[half:]
        for place, piece in _in_our_order(part, rows, first, config):
            yield index, place, piece
        first += rows.shape[1 if part.how == "transposed" else 0]


def _in_our_order(
    part: Part, stored: NDArray[Any], start: int, config: GPTConfig
) -> Iterator[tuple[int, NDArray[Any]]]:
    """What lies together in a stored tensor and in ours, and where it begins in ours (see ``How``)."""
    if part.how != "regrouped":
        yield start, stored
        return
    group = [width // config.kv_heads for width in config.qkv_widths]
    for head in range(config.kv_heads):
        at, before = head * sum(group), 0
        for rows, width in zip(group, config.qkv_widths, strict=True):
            yield before + head * rows, stored[at : at + rows]
            at, before = at + rows, before + width


def _eight_bits(stored: NDArray[Any], dtype: str) -> Floats:
    """Numbers of 8 bits as float32. Of float8 there are 256, looked up in a table."""
    if dtype == "I8":
        return stored.astype(np.float32)
    codes = np.arange(256, dtype=np.uint16)
    if dtype == "F8_E5M2":  # the upper half of a float16
        return (codes << 8).view(np.float16).astype(np.float32)[stored]
    sign, exponent, fraction = codes >> 7, (codes >> 3 & 15).astype(int), codes & 7
    values = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7))
    values[(codes & 127) == 127] = np.nan
    return (np.where(sign == 1, -values, values).astype(np.float32))[stored]


def _multiplied_out(stored: Floats, by: Floats, scale: Scale) -> Floats:
    """A matrix of 8 bits times its scales (as ``slices.multiply_out`` does with torch)."""
    if scale.block is None:
        return stored * by.reshape(())
    rows, columns = stored.shape
    tall, wide = scale.block
    by_block = by.reshape(-(-rows // tall), -(-columns // wide))
    return stored * np.repeat(np.repeat(by_block, tall, axis=0)[:rows], wide, axis=1)[:, :columns]

"""A checkpoint's weights as numpy arrays, without torch: rows or columns of a tensor, in float32.

``arranged`` says where the rows of one of our tensors lie in the file; the loader of the engine in C uses it too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gptcli.checkpoint.families import Blueprint, Part
from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.checkpoint.files.mapped import map_tensor
from gptcli.checkpoint.weights.converted import CONVERTED, multiplied_out
from gptcli.checkpoint.weights.converted import as_float32 as converted
from gptcli.checkpoint.weights.faults import not_finite
from gptcli.model.config import GPTConfig
from gptcli.model.native.weights import as_float32

Floats = NDArray[np.float32]
Stored = tuple[NDArray[Any], str]
"""Numbers as they lie in a file (bfloat16 as uint16), and their type there."""

MAPPED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
"""The types that are used as they lie in the file; others are converted."""


class Arrays:
    """The weights of a checkpoint by our names (``h.0.mlp.c_fc.weight``), read from the mapped files when asked for.

    Args:
        header: of the checkpoint.
        blueprint: checked against the header.
    """

    def __init__(self, header: Header, blueprint: Blueprint) -> None:
        self.config = blueprint.config
        self._header, self._blueprint = header, blueprint
        self._checked: set[tuple[str, int, int | None]] = set()  # rows that were found to be finite

    def has(self, name: str) -> bool:
        """Whether the model has a tensor of this name."""
        return name in self._blueprint.tensors

    def vector(self, name: str) -> Floats | None:
        """All numbers of a small tensor, in its shape; None where the model has none of this name."""
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
                taken.append(as_float32(rows[low:high], dtype))
        found = taken[0] if len(taken) == 1 else np.concatenate(taken)
        if (name, start, stop) not in self._checked:
            self._finite(name, found)
            self._checked.add((name, start, stop))
        return found

    def columns(self, name: str, which: range | Sequence[int]) -> Floats:
        """Some columns of a matrix, in this order: [rows, columns]. Errors as for ``rows``."""
        chosen = slice(which.start, which.stop) if isinstance(which, range) else list(which)
        pieces = [as_float32(rows[:, chosen], dtype) for _, rows, dtype in self._pieces(name)]
        return self._finite(name, np.concatenate(pieces))

    def pick(self, name: str, ids: Sequence[int]) -> Floats:
        """Some rows of a matrix, in this order: [ids, columns]. Errors as for ``rows``."""
        pieces = self._pieces(name)
        if len(pieces) > 1:
            return self.rows(name)[list(ids)]
        _, rows, dtype = pieces[0]
        return self._finite(name, as_float32(rows[list(ids)], dtype))

    def _pieces(self, name: str) -> list[tuple[int, NDArray[Any], str]]:
        """Rows of our tensor that lie together in the file, in order: the number of the first, themselves, their type.

        Matrices that GPT-2 keeps as [in, out] are turned.
        """
        part = self._blueprint.tensors[name]
        tensors = (stored_numbers(self._blueprint, self._header, self._header.tensors[key]) for key in part.keys)
        turned = part.how == "transposed"
        pieces = [
            (first, rows.T if turned else rows, dtype) for first, rows, dtype in arranged(part, tensors, self.config)
        ]
        return sorted(pieces, key=lambda piece: piece[0])

    def _finite(self, name: str, numbers: Floats) -> Floats:
        if not np.isfinite(numbers).all():
            raise not_finite(name, self._blueprint.tensors[name])
        return numbers


def stored_numbers(
    blueprint: Blueprint,
    header: Header,
    info: TensorInfo,
    mapped: Callable[[TensorInfo, DTypeLike], NDArray[Any]] = map_tensor,
) -> Stored:
    """A stored tensor and the type of its numbers: as it lies in the file, or converted to float32.

    Args:
        blueprint: checked against the header.
        header: of the checkpoint.
        info: of the tensor, from there.
        mapped: maps a tensor that is used as it lies.

    Raises:
        CheckpointError: the file changed after its header was read, or cannot be read.
    """
    scale = blueprint.scales.get(info.name)
    if scale is not None:
        return multiplied_out(info, header.tensors[scale.key], scale), "F32"
    if info.dtype in CONVERTED:
        return converted(info), "F32"
    return mapped(info, MAPPED[info.dtype]), info.dtype


def arranged(part: Part, tensors: Iterable[Stored], config: GPTConfig) -> Iterator[tuple[int, NDArray[Any], str]]:
    """What lies together in the file and in our tensor that a ``Part`` makes of it.

    Args:
        part: how our tensor is made.
        tensors: the file's tensors, in the order of ``part.keys``.
        config: of the model.

    Yields:
        The number of the first row in our tensor, the rows (columns where ``part.how`` is transposed), and their type.
    """
    first = 0
    for stored, dtype in tensors:
        rows = stored
        if part.how == "rows":
            rows = stored.reshape(1, -1)
        elif part.how in ("first half", "second half"):
            half = len(stored) // 2
            rows = stored[:half] if part.how == "first half" else stored[half:]
        for place, piece in _in_our_order(part, rows, first, config):
            yield place, piece, dtype
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

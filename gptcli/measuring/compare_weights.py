"""Which weights of two checkpoints differ and by how much, read block by block from the mapped files."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.families import Blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.weights.arrays import Arrays
from gptcli.model.quantize import fake_quantize, kind_of
from gptcli.model.shapes import is_matrix, parameter_shapes
from gptcli.system.answer import MaybeInfinite

if TYPE_CHECKING:
    from gptcli.checkpoint.weights.placement import Placement

# Numbers of each checkpoint in memory at a time: 16 MB in float32.
_BLOCK = 1 << 22
_EMBEDDING, _UNEMBEDDING = "wte.weight", "lm_head.weight"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TensorDifference:
    """A tensor of two checkpoints.

    Attributes:
        name: gptcli's, which is GPT-2's.
        shape_a: its shape in A; None where A has no such tensor.
        shape_b: its shape in B; None where B has no such tensor.
        differing: how many numbers differ; None where the shapes do.
        largest: the largest absolute difference.
        mean: the mean of the absolute differences.
        relative: the norm of the difference, divided by the norm of A's tensor.
    """

    name: str
    shape_a: tuple[int, ...] | None
    shape_b: tuple[int, ...] | None
    differing: int | None
    largest: float | None
    mean: float | None
    relative: MaybeInfinite | None

    @property
    def equal(self) -> bool:
        """Whether both have the same numbers."""
        return self.differing == 0


@dataclass(frozen=True)
class WeightComparison:
    """The weights of two checkpoints, as their models have them: in one layout, whatever the files' is.

    Attributes:
        tensors: in the order of the model.
        equal: how many of them are equal.
        numbers: how many numbers were compared.
        differing: how many of these differ.
        largest: the largest absolute difference.
        relative: the norm of all differences, divided by the norm of A's numbers that were compared.
    """

    tensors: tuple[TensorDifference, ...]
    equal: int
    numbers: int
    differing: int
    largest: float
    relative: MaybeInfinite


class Weights:
    """The weights of a checkpoint in the precision that it runs in.

    Args:
        header: of the checkpoint.
        blueprint: checked against the header.
        placement: of which the precision and the quantization count.
    """

    def __init__(self, header: Header, blueprint: Blueprint, placement: "Placement") -> None:
        self._arrays, self._placement = Arrays(header, blueprint), placement
        self._tied = blueprint.config.tied
        self.shapes = parameter_shapes(blueprint.config)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; a tied unembedding is the embedding."""
        return self.shapes.get(self._stored(name))

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``start`` to before ``stop`` of a tensor.

        Raises:
            CheckpointError: the file changed after its header was read, or a number is NaN or infinite.
        """
        stored = self._stored(name)
        numbers = self._arrays.rows(stored, start, stop)
        quantize = self._placement.quantize
        if quantize != "none":
            return fake_quantize(numbers, kind_of(stored, quantize)) if is_matrix(stored, numbers.shape) else numbers
        if self._placement.dtype == "float16":
            with np.errstate(over="ignore"):  # the model itself refuses to run so
                return numbers.astype(np.float16).astype(np.float32)
        return to_bfloat16(numbers) if self._placement.dtype == "bfloat16" else numbers

    def _stored(self, name: str) -> str:
        return _EMBEDDING if name == _UNEMBEDDING and self._tied else name


def to_bfloat16(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to bfloat16 (to nearest, ties to even), as float32. The numbers are finite."""
    bits = np.ascontiguousarray(numbers).view(np.uint32)
    rounded = bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def compare_weights(a: Weights, b: Weights, progress: Progress = lambda done, total: None) -> WeightComparison:
    """Compare all tensors of two checkpoints.

    Args:
        a, b: the checkpoints.
        progress: called with how many numbers are done, and of how many.

    Raises:
        CheckpointError: a file changed after its header was read, or a number is NaN or infinite.
    """
    names = list(dict.fromkeys([*a.shapes, *b.shapes]))
    total = sum(math.prod(a.shape(name) or ()) for name in names if a.shape(name) == b.shape(name))
    tensors, sums, done = [], _Sums(), 0
    for name in names:
        own = _Sums()
        if a.shape(name) == b.shape(name):
            for left, right in _blocks(a, b, name):
                own.add(left, right)
                done += left.size
                progress(done, total)
            sums.join(own)
        tensors.append(_difference(name, a.shape(name), b.shape(name), own))
    equal = sum(tensor.equal for tensor in tensors)
    return WeightComparison(tuple(tensors), equal, sums.count, sums.differing, sums.largest, sums.relative)


def _blocks(a: Weights, b: Weights, name: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The same rows of both, some at a time."""
    rows, *columns = a.shape(name) or (0,)
    step = max(_BLOCK // math.prod(columns), 1)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        yield a.rows(name, start, stop), b.rows(name, start, stop)


class _Sums:
    """Sums over differences, in float64."""

    def __init__(self) -> None:
        self.count = self.differing = 0
        self.largest = self.total = self._square = self._square_a = 0.0

    def add(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
        self.count += a.size
        self._square_a += _square(a)
        difference = b.astype(np.float64) - a
        if changed := int(np.count_nonzero(difference)):
            self.differing += changed
            absolute = np.abs(difference)
            self.largest = max(self.largest, float(absolute.max()))
            self.total += float(absolute.sum())
            self._square += float((difference * difference).sum())

    def join(self, other: "_Sums") -> None:
        self.count, self.differing = self.count + other.count, self.differing + other.differing
        self.largest, self.total = max(self.largest, other.largest), self.total + other.total
        self._square, self._square_a = self._square + other._square, self._square_a + other._square_a

    @property
    def relative(self) -> float:
        if self._square == 0:
            return 0.0
        return math.sqrt(self._square / self._square_a) if self._square_a else math.inf


def _square(numbers: NDArray[Any]) -> float:
    flat = numbers.astype(np.float64).ravel()
    return float(flat @ flat)


def _difference(
    name: str, shape_a: tuple[int, ...] | None, shape_b: tuple[int, ...] | None, sums: _Sums
) -> TensorDifference:
    if shape_a != shape_b:
        return TensorDifference(name, shape_a, shape_b, None, None, None, None)
    mean = sums.total / sums.count if sums.count else 0.0
    return TensorDifference(name, shape_a, shape_b, sums.differing, sums.largest, mean, sums.relative)

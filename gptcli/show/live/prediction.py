"""An INT8 matrix as what is left of it after a prediction, which compresses better: tales' embedding by a quarter.

The rows of an embedding have much in common, more so those of rare tokens. Two products are predicted of each number,
``(factors[row, 0] * shared[0, column] + factors[row, 1] * shared[1, column] + 512) >> 10`` in integers, the same
everywhere: they approximate the matrix's first two singular vectors. What is left is written row by row in the order of
the rows' scales, so that rows of about the same spread are neighbours, and a code that adapts fits each of them.
engine.js adds the prediction again.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fewer rows save little, and of more columns the singular vectors take long.
LEAST_ROWS, MOST_COLUMNS = 4096, 1024
_SHIFT = 10
_SAMPLE = 8192  # rows that the singular vectors are found from


class Predicted(NamedTuple):
    """A matrix [rows, columns] as a prediction and what is left.

    Attributes:
        shared: int16 [2, columns].
        factors: int8 [rows, 2].
        left: int8 [rows, columns], by increasing scale, of equal ones by row; additions wrap around.
    """

    shared: "NDArray[np.int16]"
    factors: "NDArray[np.int8]"
    left: "NDArray[np.int8]"


def predict(numbers: "NDArray[np.int8]", scales: "NDArray[np.float32]") -> Predicted:
    """The prediction of a matrix.

    Args:
        numbers: [rows, columns].
        scales: one a row; they give the order of ``left``.
    """
    import numpy as np

    axes = _axes(numbers)  # [columns, 2]
    along = numbers.astype(np.float32) @ axes
    size = np.maximum(np.abs(along).max(axis=0), 1e-6)
    factors = np.rint(along / size * 127).astype(np.int8)
    shared = np.clip(np.rint(axes * (size / 127) * (1 << _SHIFT)), -32767, 32767).astype(np.int16).T
    left, wide = np.empty_like(numbers), shared.astype(np.int32)
    for place, row in enumerate(np.argsort(scales, kind="stable")):
        guess = (factors[row].astype(np.int32) @ wide + (1 << _SHIFT - 1)) >> _SHIFT
        left[place] = (numbers[row] - guess).astype(np.uint8).view(np.int8)
    return Predicted(np.ascontiguousarray(shared), factors, left)


def _axes(numbers: "NDArray[np.int8]") -> "NDArray[np.float32]":
    """About the first two right singular vectors, orthonormal: [columns, 2]."""
    import numpy as np

    sample = numbers[:: max(len(numbers) // _SAMPLE, 1)].astype(np.float32)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.asarray(vectors[:, :-3:-1], np.float32)

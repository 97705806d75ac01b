"""Fake quantization: the values of matrices after int8 or int4. The engine in C computes with quantized matrices.

int8: symmetric, one scale a row; the largest weight of the row becomes 127 or -127.
int4: each group of 32 weights of a row has a scale, and each weight is one of sixteen levels. The levels are denser
near zero, where most weights are. They minimize the error of normally distributed groups under the best scale for each
group (Lloyd 1982; NF4 of Dettmers et al. 2023 has the same idea).

Neither can represent weights that are far smaller than the largest one of their row (int4: of their group). In a row
with a weight of 1e6, ordinary weights are less than half a quantization step and become 0, in PyTorch as in C;
``models show --quantized`` prints the effect on a model's logits. Activations do not have this problem: PyTorch keeps
them in float32, and C in 16 bits, or in 32 where an outlier dwarfs the others of its group.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

GROUP = 32
LEVELS = np.array([-127, -104, -81, -64, -49, -36, -23, -11, 0, 12, 23, 36, 49, 64, 81, 102], np.float32)
# Candidate scales of a group: each maps the largest weight to the outermost level plus one of these offsets.
_ATTEMPTS = range(-24, 25, 3)


def kind_of(name: str, quantize: Literal["int8", "int4"]) -> Literal["int8", "int4"]:
    """The quantized type of one matrix. With int4, only the MLPs have 4 bits; they are two thirds of a layer.

    The embedding, from which all logits are computed, and the matrices of attention always have 8 bits: in the bundled
    model, 4 bits would lose more accuracy there than in the MLPs.
    """
    return "int8" if name in ("wte.weight", "lm_head.weight") or ".attn." in name else quantize


def fake_quantize(matrix: NDArray[np.float32], kind: Literal["int8", "int4"]) -> NDArray[np.float32]:
    """Quantize and dequantize a matrix [rows, columns]; rows that are not whole groups have int8 in any case."""
    if kind == "int8" or matrix.shape[1] % GROUP:
        return _int8(matrix)
    return _int4(matrix.reshape(-1, GROUP)).reshape(matrix.shape)


def _int8(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    return np.asarray(np.rint(matrix * inverse) * (largest / np.float32(127)))


def _int4(groups: NDArray[np.float32]) -> NDArray[np.float32]:
    """Groups [n, 32]: fit a least-squares scale to the levels of each candidate scale, and keep the best."""
    outermost = np.take_along_axis(groups, np.abs(groups).argmax(1, keepdims=True), 1)
    outermost = np.where(outermost == 0, np.float32(1), outermost)
    best, scale = np.full(len(groups), -1.0), np.zeros(len(groups), np.float32)
    for attempt in _ATTEMPTS:
        levels = _nearest(groups * ((LEVELS[0] + attempt) / outermost))
        along, square = (levels * groups).sum(1), (levels * levels).sum(1)
        fitted = np.divide(along, square, out=np.zeros_like(along), where=square > 0)
        better = along * fitted > best  # the squared norm of the projection on these levels
        best, scale = np.where(better, along * fitted, best), np.where(better, fitted, scale)
    half = scale.astype(np.float16).astype(np.float32)[:, None]
    inverse = np.divide(np.float32(1), half, out=np.zeros_like(half), where=half != 0)
    return np.asarray(_nearest(groups * inverse) * half)


def _nearest(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The level nearest to each number."""
    return LEVELS[np.searchsorted((LEVELS[1:] + LEVELS[:-1]) / 2, x, side="left")]

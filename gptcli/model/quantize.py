"""Matrices in 8 and 4 bits: what their values become. The engine in C computes with such; here they are worked out.

int8: symmetric, one scale a row, the largest weight of which becomes 127 or -127.
int4: 32 weights of a row share a scale, and each is one of sixteen levels that lie closer together near zero, where
most weights are: the levels that lose least of normally distributed groups, each with the scale that suits it best
(Lloyd 1982; NF4 of Dettmers et al. 2023 has the same idea).

What neither can hold: weights far smaller than the largest one of their row (in 4 bits, of their 32). Next to a weight
of 1e6, ordinary ones of the same row are less than half a step and become 0, in PyTorch as in C; ``models show
--quantized`` says what that does to a model's logits. Activations lose nothing like that: PyTorch keeps them in
float32, and C in 16 bits, or in 32 where one of a thousand dwarfs the others.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

GROUP = 32
LEVELS = np.array([-127, -104, -81, -64, -49, -36, -23, -11, 0, 12, 23, 36, 49, 64, 81, 102], np.float32)
# Scales that are tried for a group: those that bring its largest weight this far from the outermost level.
_ATTEMPTS = range(-24, 25, 3)


def kind_of(name: str, quantize: Literal["int8", "int4"]) -> Literal["int8", "int4"]:
    """How one matrix is kept. Four bits are for the MLPs, two thirds of the blocks.

    The embedding, of which every logit is made, and the matrices of attention have eight in any case: in the bundled
    model they would cost more than the MLPs do.
    """
    return "int8" if name in ("wte.weight", "lm_head.weight") or ".attn." in name else quantize


def fake_quantize(matrix: NDArray[np.float32], kind: Literal["int8", "int4"]) -> NDArray[np.float32]:
    """What a matrix [rows, columns] becomes in 8 or 4 bits; rows that are not whole groups have 8 bits."""
    if kind == "int8" or matrix.shape[1] % GROUP:
        return _int8(matrix)
    return _int4(matrix.reshape(-1, GROUP)).reshape(matrix.shape)


def _int8(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    return np.asarray(np.rint(matrix * inverse) * (largest / np.float32(127)))


def _int4(groups: NDArray[np.float32]) -> NDArray[np.float32]:
    """Groups [n, 32]: of some scales, the one that loses least; for each the best one for the levels it chose."""
    outermost = np.take_along_axis(groups, np.abs(groups).argmax(1, keepdims=True), 1)
    outermost = np.where(outermost == 0, np.float32(1), outermost)
    best, scale = np.full(len(groups), -1.0), np.zeros(len(groups), np.float32)
    for attempt in _ATTEMPTS:
        levels = _nearest(groups * ((LEVELS[0] + attempt) / outermost))
        along, square = (levels * groups).sum(1), (levels * levels).sum(1)
        fitted = np.divide(along, square, out=np.zeros_like(along), where=square > 0)
        better = along * fitted > best  # what the projection on these levels explains
        best, scale = np.where(better, along * fitted, best), np.where(better, fitted, scale)
    half = scale.astype(np.float16).astype(np.float32)[:, None]
    inverse = np.divide(np.float32(1), half, out=np.zeros_like(half), where=half != 0)
    return np.asarray(_nearest(groups * inverse) * half)


def _nearest(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The level nearest to each number."""
    return LEVELS[np.searchsorted((LEVELS[1:] + LEVELS[:-1]) / 2, x, side="left")]

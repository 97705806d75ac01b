"""A naive version of every kernel, in float64 and without blocks, packing or vectors: what the name says and no more.

One function for each entry of the table of kernels (gptcli/model/native/src/kernels.c), of the same name.
"""

import math
from typing import Any

import numpy as np

Array = Any  # of numpy

GROUP, ACT_GROUP, ACT_MAX = 32, 1024, 127 * 256 + 127
INT4_LEVELS = np.array([-127, -104, -81, -64, -49, -36, -23, -11, 0, 12, 23, 36, 49, 64, 81, 102], np.float64)


def gemv(weights: Array, x: Array) -> Array:
    """weights [rows, columns], x [m, columns] -> [m, rows]."""
    return x.astype(np.float64) @ weights.astype(np.float64).T


def microkernel(a: Array, b: Array) -> Array:
    """a [m, k], b [k, n] -> [m, n]."""
    return a.astype(np.float64) @ b.astype(np.float64)


microkernel_unpacked = microkernel


def quantize_activations(x: Array) -> tuple[Array, Array]:
    """x float32 [n] -> int16 [n], and a float32 scale for each ACT_GROUP columns."""
    q, scales = np.zeros(x.size, np.int16), []
    for start in range(0, x.size, ACT_GROUP):
        part = x[start : start + ACT_GROUP]
        largest = np.abs(part).max()
        q[start : start + ACT_GROUP] = np.rint(part * (np.float32(ACT_MAX) / largest if largest else np.float32(0)))
        scales.append(largest / np.float32(ACT_MAX))
    return q, np.array(scales, np.float32)


def split_activations(kind: str, q: Array, width: int) -> tuple[Array, Array]:
    """q int16 [n] -> int8 [n / width, 2, width], the high and the low bytes of ``width`` columns; and sums of -128 q.

    For int4 the first halves of all groups in 2 * width columns come before their second halves. The sums are over
    ACT_GROUP columns (int8) or 2 * width (int4).
    """
    if kind == "int4":
        q = q.reshape(-1, 2 * width // GROUP, 2, GROUP // 2).transpose(0, 2, 1, 3).reshape(-1)
    low = (q.astype(np.int64) + 128) % 256 - 128
    high = (q - low) // 256
    block = ACT_GROUP if kind == "int8" else 2 * width
    sums = [-128 * int(q[start : start + block].astype(np.int64).sum()) for start in range(0, q.size, block)]
    return np.stack([high.reshape(-1, width), low.reshape(-1, width)], 1).astype(np.int8), np.array(sums)


def int_gemm_pack(weights: Array, nr: int, padded: int) -> Array:
    """Integer weights [n, columns] -> int16 pairs of neighbouring columns [padded / 2, nr, 2], padded with zeros."""
    full = np.zeros((nr, padded), np.int16)
    full[: weights.shape[0], : weights.shape[1]] = weights
    return full.reshape(nr, padded // 2, 2).transpose(1, 0, 2)


int_microkernel = gemv


def quantize_row(kind: str, x: Array) -> Array:
    """x float32 [columns] -> what the row's numbers are worth once they are stored."""
    if kind == "F32":
        return x
    if kind == "F16":
        return x.astype(np.float16)
    if kind == "BF16":
        bits = x.view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    if kind == "int8":
        scale = np.abs(x).max() / np.float32(127)
        return np.rint(x * (np.float32(127) / np.abs(x).max())) * scale
    return np.concatenate([_int4_group(group.astype(np.float64)) for group in x.reshape(-1, GROUP)])


def _int4_group(x: Array) -> Array:
    """The best of 17 scales about the one that makes the largest number -127."""
    best, worth = np.inf, np.zeros_like(x)
    for attempt in range(-24, 25, 3):
        inverse = (INT4_LEVELS[0] + attempt) / x[np.abs(x).argmax()]
        levels = nearest_levels(x * inverse)
        scale = np.float64(np.float16(levels @ x / (levels @ levels)))
        error = np.square(levels * scale - x).sum()
        if error < best:
            best, worth = error, nearest_levels(x / scale) * scale
    return worth


def nearest_levels(x: Array) -> Array:
    """The nearest level to each number."""
    return INT4_LEVELS[np.abs(x[:, None] - INT4_LEVELS).argmin(1)]


def dequantize_row(weights: Array, row: int, start: int, count: int) -> Array:
    """Columns start..start + count of a row."""
    return weights[row, start : start + count]


def layer_norm(x: Array, weight: Array | None, bias: Array | None, epsilon: float) -> Array:
    """Layer normalization of x [n] (Ba et al. 2016)."""
    x = x.astype(np.float64)
    normed = (x - x.mean()) / math.sqrt(x.var() + epsilon)
    return normed * (1.0 if weight is None else weight) + (0.0 if bias is None else bias)


def epilogue(sums: Array, bias: Array | None, mode: str, activation: str, old: Array) -> Array:
    """What becomes of a linear layer's sums."""
    x = sums.astype(np.float64) + (0.0 if bias is None else bias)
    if mode == "store":
        return x
    if mode == "add":
        return old + x
    if activation == "relu":
        return np.maximum(x, 0.0)
    if activation == "gelu":
        return np.array([0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in x])
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax_numerators(x: Array) -> Array:
    """exp(x - max x)."""
    x = x.astype(np.float64)
    return np.exp(x - x.max())


def attention_scores(q: Array, keys: Array, scale: float) -> Array:
    """q [d], keys [count, d] -> [count]."""
    return keys.astype(np.float64) @ q.astype(np.float64) * scale


def attention_mix(p: Array, values: Array, factor: float) -> Array:
    """p [count], values [count, d] -> [d]."""
    return p.astype(np.float64) @ values.astype(np.float64) * factor


def top_k(x: Array, k: int) -> Array:
    """The indices of the k largest, from the largest down; of equal ones the first."""
    return np.argsort(-x, kind="stable")[:k]


def exp_sum(x: Array, largest: float) -> float:
    """The sum of exp(x - largest)."""
    return math.fsum(math.exp(float(value) - largest) for value in x)


def sum(x: Array) -> float:
    """The sum of all numbers."""
    return math.fsum(x.tolist())


def attention(q: Array, keys: Array, values: Array, scale: float) -> Array:
    """One head's attention of one query over the keys that it may see: [d]."""
    p = softmax_numerators(attention_scores(q, keys, scale))
    return attention_mix(p, values, 1.0 / p.sum())

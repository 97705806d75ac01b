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


def norm(kind: str, x: Array, weight: Array | None, bias: Array | None, epsilon: float) -> Array:
    """A norm of x [n]: layer (Ba et al. 2016), rms (Zhang and Sennrich 2019), or none."""
    x = x.astype(np.float64)
    if kind == "none":
        return x
    x = x - x.mean() if kind == "layer" else x
    normed = x / math.sqrt(np.square(x).mean() + epsilon)
    return normed * (1.0 if weight is None else weight) + (0.0 if bias is None else bias)


_ACTIVATIONS = {
    "gelu_new": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)),
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


def epilogue(sums: Array, bias: Array | None, mode: str, activation: str, old: Array) -> Array:
    """What becomes of a linear layer's sums."""
    x = sums.astype(np.float64) + (0.0 if bias is None else bias)
    if mode in ("store", "add"):
        return x if mode == "store" else old + x
    activated = np.array([_ACTIVATIONS[activation](value) for value in x.tolist()])
    return activated if mode == "activate" else old * activated


def rotate(x: Array, turns: Array, interleaved: int) -> Array:
    """Pairs of x [R] as complex numbers, turned by turns [2, R / 2], cosines and sines; the others stay."""
    half, x = turns.shape[-1], x.astype(np.float64)
    pairs = x[: 2 * half].reshape(half, 2).T if interleaved else x[: 2 * half].reshape(2, half)
    turned = (pairs[0] + 1j * pairs[1]) * (turns[0] + 1j * turns[1].astype(np.float64))
    both = np.stack((turned.real, turned.imag))
    return np.concatenate(((both.T if interleaved else both).reshape(-1), x[2 * half :]))


def soft_cap(x: Array, factor: float, cap: float) -> Array:
    """x times a factor, and not beyond a cap where there is one."""
    x = x.astype(np.float64) * factor
    return cap * np.tanh(x / cap) if cap else x


def add_slope(x: Array, slope: float, distance: int) -> Array:
    """Scores, less a slope for each position between key and query (Press et al. 2022); `distance`: of the last key."""
    return x - slope * (distance + np.arange(x.size, dtype=np.float64)[::-1])


def clamp(x: Array, limit: float) -> Array:
    """x between -limit and limit."""
    return np.clip(x, -limit, limit)


def softmax_numerators(x: Array) -> Array:
    """exp(x - max x)."""
    x = x.astype(np.float64)
    return np.exp(x - x.max())


def attention_scores(q: Array, keys: Array, scale: float) -> Array:
    """q [queries, d], keys [count, d] -> [queries, count]."""
    return q.astype(np.float64) @ keys.astype(np.float64).T * scale


def attention_mix(p: Array, values: Array) -> Array:
    """p [queries, count], values [count, d] -> [queries, d]."""
    return p.astype(np.float64) @ values.astype(np.float64)


def top_k(x: Array, k: int) -> Array:
    """The indices of the k largest, from the largest down; of equal ones the first."""
    return np.argsort(-x, kind="stable")[:k]


def exp_sum(x: Array, largest: float) -> float:
    """The sum of exp(x - largest)."""
    return math.fsum(math.exp(float(value) - largest) for value in x)


def entropy_sums(x: Array, largest: float) -> tuple[float, float]:
    """The sums of exp(d) and of exp(d) * d, where d is x - largest."""
    differences = [float(value) - largest for value in x]
    return math.fsum(map(math.exp, differences)), math.fsum(math.exp(d) * d for d in differences)


def rank_of(x: Array, at: int) -> int:
    """The rank of x[at] in a stable sort, from 1."""
    return int(np.argsort(-x, kind="stable").tolist().index(at)) + 1


def sum(x: Array) -> float:
    """The sum of all numbers."""
    return math.fsum(x.tolist())


def attention(
    q: Array, keys: Array, values: Array, scale: float, *, window: int = 0, cap: float = 0.0, slope: float = 0.0
) -> Array:
    """One head's attention of one query over the keys up to its own, of which it sees a window: [d]."""
    seen = slice(max(len(keys) - window, 0) if window else 0, len(keys))
    scores = soft_cap(attention_scores(q[None], keys[seen], scale)[0], 1.0, cap)
    p = softmax_numerators(add_slope(scores, slope, 0))
    return attention_mix(p[None], values[seen])[0] / p.sum()

"""Stored tensors whose type no engine keeps (float8 and int8 with scales, float64) as float32, without torch."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.families.scaled import Scale
from gptcli.checkpoint.files.header import TensorInfo
from gptcli.checkpoint.files.mapped import map_tensor
from gptcli.model.native.weights import as_float32 as widened

Floats = NDArray[np.float32]

# Bits of the exponent and of the mantissa of the two kinds of float8 (Micikevicius et al. 2022, table 1).
_FLOAT8 = {"F8_E4M3": (4, 3), "F8_E5M2": (5, 2)}
_PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I8": "i1"}
CONVERTED = (*_FLOAT8, "F64", "I8")
"""The types that are converted when they are loaded, for any engine."""


def as_float32(info: TensorInfo) -> Floats:
    """A stored tensor of any of the types above, or of those that scales have, in float32.

    Args:
        info: from the header.

    Raises:
        CheckpointError: the file changed after its header was read, or cannot be read.
        MemoryError: there is no memory for it.
    """
    if info.dtype in _FLOAT8:
        return float8_values(info.dtype).take(map_tensor(info, np.uint8))
    if info.dtype == "BF16":
        return widened(map_tensor(info, np.uint16), "BF16")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, which the loader refuses
        converted: Floats = map_tensor(info, _PLAIN[info.dtype]).astype(np.float32)
    return converted


def multiplied_out(info: TensorInfo, scale_info: TensorInfo, scale: Scale) -> Floats:
    """A matrix in 8 bits times its scales: [rows, columns] in float32.

    Args:
        info: of the matrix.
        scale_info: of its scales: one, or one for each block: [ceil(rows / block rows), ceil(columns / block columns)].
        scale: says which numbers share one.

    Raises:
        CheckpointError: the file changed after its header was read, or cannot be read.
        MemoryError: there is no memory for it.
    """
    matrix, factors = as_float32(info), as_float32(scale_info)
    if scale.block is None:
        matrix *= factors.reshape(())
        return matrix
    (rows, columns), (height, width) = matrix.shape, scale.block
    by_block = factors.reshape(-(-rows // height), -(-columns // width))
    for band, of_band in enumerate(by_block):  # one band of blocks at a time, so that no second matrix is made
        matrix[band * height : (band + 1) * height] *= np.repeat(of_band, width)[:columns]
    return matrix


@cache
def float8_values(dtype: str) -> Floats:
    """The value of each of the 256 bytes of a kind of float8: [256] in float32.

    A byte is a sign, an exponent e with bias b and a mantissa m of p bits: 2^(e - b) * (1 + m / 2^p), and
    2^(1 - b) * m / 2^p where e is 0. E5M2 has infinities and NaN as IEEE 754 has; E4M3 has no infinity, and NaN only
    where all bits of both are set (Micikevicius et al. 2022, "FP8 formats for deep learning").
    """
    exponent_bits, mantissa_bits = _FLOAT8[dtype]
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    bias = (1 << (exponent_bits - 1)) - 1
    values = sign * np.ldexp(np.where(exponent > 0, 1 + fraction, fraction), np.maximum(exponent, 1) - bias)
    if dtype == "F8_E5M2":
        special = exponent == (1 << exponent_bits) - 1
        values[special] = np.where(fraction[special] > 0, np.nan, sign[special] * np.inf)
    else:
        values[(codes & 0x7F) == 0x7F] = np.nan
    return np.asarray(values, np.float32)

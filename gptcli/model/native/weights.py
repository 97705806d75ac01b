"""Weights of the C library: supported configurations, names, storage types; and views of its memory as arrays."""

import ctypes
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig
from gptcli.model.native.library import library, unavailable
from gptcli.model.quantize import GROUP

Kind = Literal["F32", "F16", "BF16", "int8", "int4"]
"""Storage type of weights; arithmetic is float32 with all. int8: symmetric, one scale a row. int4: sixteen levels, one
scale for 32 weights of a row (rows whose length is no multiple of 32 are int8)."""

KINDS: tuple[Kind, ...] = ("F32", "F16", "BF16", "int8", "int4")
KIND_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
# Both in the order of the enums in native.h.
MATRICES: tuple[str, ...] = (
    "wte.weight",
    "lm_head.weight",
    "project_in.weight",
    "project_out.weight",
    "attn.c_attn.weight",
    "attn.c_proj.weight",
    "mlp.c_gate.weight",
    "mlp.c_fc.weight",
    "mlp.c_proj.weight",
)
VECTORS: tuple[str, ...] = (
    "wpe.weight",
    "ln_0.weight",
    "ln_0.bias",
    "ln_f.weight",
    "ln_f.bias",
    "lm_head.bias",
    "ln_1.weight",
    "ln_1.bias",
    "ln_1_out.weight",
    "ln_1_out.bias",
    "ln_2.weight",
    "ln_2.bias",
    "ln_2_out.weight",
    "ln_2_out.bias",
    "attn.q_norm.weight",
    "attn.q_norm.bias",
    "attn.k_norm.weight",
    "attn.k_norm.bias",
    "attn.c_attn.bias",
    "attn.c_proj.bias",
    "mlp.c_gate.bias",
    "mlp.c_fc.bias",
    "mlp.c_proj.bias",
)
# Bytes after a matrix or a cache that the kernels may read (and ignore): native.h's OVERREAD, which counts floats.
OVERREAD_BYTES = 256
# Bytes of a group of 4 bits: two indices a byte, and a float16. The same as in native.h.
_GROUP_BYTES = GROUP // 2 + 2
NORM_WEIGHTS = tuple(name for name in VECTORS if re.search(r"(ln_\w+|_norm)\.weight$", name))


def why_not(config: GPTConfig) -> str | None:
    """Why the engine in C cannot run this configuration here, as a sentence without its full stop; None if it can.

    It supports every option of GPTConfig that other engines run. List new options that it lacks in ``_UNKNOWN``.
    """
    found = [what for what, there in _UNKNOWN.items() if there(config)]
    return unavailable() or (f"the engine in C does not run models with {', '.join(found)}" if found else None)


# Features that the engine in C does not support, each with a test whether a configuration has it.
_UNKNOWN: dict[str, Callable[[GPTConfig], bool]] = {}


class StoredMatrix(NamedTuple):
    """A matrix as the engine stores it: views of its memory, valid as long as the engine exists.

    Attributes:
        numbers: bytes, [rows, bytes of a row]; an ``int4`` row is its indices, followed by its scales in float16.
        scales: for ``int8``, one a row: [rows].
    """

    numbers: NDArray[np.uint8]
    scales: NDArray[np.float32] | None


def is_matrix(name: str) -> bool:
    """Whether a weight is one of the matrices, which may be quantized."""
    return slot_of(name)[1] in MATRICES


def row_bytes(kind: Kind, columns: int) -> int:
    """Bytes of a row of a matrix that is stored in 8 or 4 bits, as the library lays it out (see ``Kind``)."""
    return columns // GROUP * _GROUP_BYTES if kind == "int4" and columns % GROUP == 0 else columns


def checksum(memory: memoryview) -> int:
    """A checksum of 64 bits that finds damage, not intent; as fast as the memory. Releases Python's lock."""
    found = library()
    assert found is not None, "ask available() first"
    return int(found.gptcli_checksum(np.frombuffer(memory, np.uint8).ctypes.data, len(memory)))


def slot_of(name: str) -> tuple[int, str]:
    """Index of the layer and name within it; index 0 for weights outside the layers."""
    found = re.fullmatch(r"h\.(\d+)\.(.+)", name)
    return (int(found[1]), found[2]) if found else (0, name)


def view(address: ctypes.c_void_p, dtype: type[np.generic], *shape: int) -> NDArray[Any]:
    """A view of the engine's memory as an array."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory: Any = (ctypes.c_char * size).from_address(address.value or 0)
    return np.frombuffer(memory, dtype).reshape(shape)


def as_float32(stored: NDArray[np.generic], dtype: str) -> NDArray[np.float32]:
    """Convert numbers of a checkpoint to float32; bfloat16 is passed as uint16."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)

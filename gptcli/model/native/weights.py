"""What the C side knows: which shapes, which weights, how they are kept; and its memory as arrays."""

import ctypes
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig
from gptcli.model.native.library import unavailable

Kind = Literal["F32", "F16", "BF16", "int8", "int4"]
"""How weights are kept; arithmetic is float32 with all of them. int8: symmetric, one scale a row. int4: sixteen levels,
one scale for 32 weights of a row (rows that do not divide by 32 are int8)."""

KINDS: tuple[Kind, ...] = ("F32", "F16", "BF16", "int8", "int4")
KIND_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
# Both in the order of the C side's numbers (native.h).
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
NORM_WEIGHTS = tuple(name for name in VECTORS if re.search(r"(ln_\w+|_norm)\.weight$", name))


def why_not(config: GPTConfig) -> str | None:
    """Why the engine in C cannot run this shape here, in a sentence without its full stop; None where it can.

    It runs all that a GPTConfig says today. What one will say that it does not know belongs into ``_UNKNOWN``.
    """
    found = [what for what, there in _UNKNOWN.items() if there(config)]
    return unavailable() or (f"the engine in C does not run models with {', '.join(found)}" if found else None)


# All that the engine in C does not know, and whether a shape has it. The one list of these.
_UNKNOWN: dict[str, Callable[[GPTConfig], bool]] = {}


class StoredMatrix(NamedTuple):
    """A matrix as the engine keeps it: views of its memory, good for as long as the engine lives.

    Attributes:
        numbers: bytes, [rows, bytes of a row]; of ``int4``, a row's indices and behind them its scales in float16.
        scales: of ``int8``, one a row: [rows].
    """

    numbers: NDArray[np.uint8]
    scales: NDArray[np.float32] | None


def is_matrix(name: str) -> bool:
    """Whether a weight is one of the matrices, which may be kept in few bits."""
    return slot_of(name)[1] in MATRICES


def slot_of(name: str) -> tuple[int, str]:
    """Layer and name in it; layer 0 of what belongs to none."""
    found = re.fullmatch(r"h\.(\d+)\.(.+)", name)
    return (int(found[1]), found[2]) if found else (0, name)


def view(address: ctypes.c_void_p, dtype: type[np.generic], *shape: int) -> NDArray[Any]:
    """Memory of the engine as an array."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory: Any = (ctypes.c_char * size).from_address(address.value or 0)
    return np.frombuffer(memory, dtype).reshape(shape)


def as_float32(stored: NDArray[np.generic], dtype: str) -> NDArray[np.float32]:
    """Numbers of a checkpoint as float32; bfloat16 comes as uint16."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)

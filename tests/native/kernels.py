"""The kernels of the library as Python functions: one for each entry of the table of kernels."""

import ctypes
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gptcli.model.native import library
from tests.native.reference import ACT_GROUP, GROUP

Array = NDArray[Any]
KINDS = ("F32", "F16", "BF16", "int8", "int4")
# Behind every array that a kernel reads: vectors may reach over the end (OVERREAD in native.h).
_OVERREAD_BYTES = 256


class Matrix(ctypes.Structure):
    """``matrix`` in native.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("rows", ctypes.c_int),
        ("columns", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("row_bytes", ctypes.c_size_t),
    )


class Activations(ctypes.Structure):
    """``activations`` in native.h."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("x", "q", "scale", "correction"))


class AttentionJob(ctypes.Structure):
    """``attention`` in native.h: what is not given is NULL, 0 or none."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("qkv", "out", "keys", "values", "rows", "positions")),
        *(
            (name, ctypes.c_int)
            for name in (
                *("m", "heads", "kv_heads", "head_size", "capacity", "prefill"),
                *("half", "window", "qk_norm", "norm_kind", "rotary_dim", "interleaved"),
            )
        ),
        *((name, ctypes.c_float) for name in ("scale", "cap", "clip", "epsilon")),
        *((name, ctypes.c_void_p) for name in ("q_norm", "q_norm_bias", "k_norm", "k_norm_bias")),
        *((name, ctypes.c_void_p) for name in ("turns", "growth", "slopes", "parts")),
        *((name, ctypes.c_void_p) for name in ("given_queries", "given_keys")),
        ("period", ctypes.c_int),
    )


class PrefetchRange(ctypes.Structure):
    """``prefetch_range`` in native.h."""

    _fields_ = (("address", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


_matrix, _pointer, _int, _size, _float = (
    ctypes.POINTER(Matrix),
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_size_t,
    ctypes.c_float,
)
PROTOTYPES: dict[str, Any] = {
    "gemv": (None, _matrix, _int, _int, Activations, _int, _pointer, _size, PrefetchRange),
    "microkernel": (None, _int, _pointer, _pointer, _size, _pointer, _size, _int, _int, _int),
    "microkernel_unpacked": (None, _int, _pointer, _size, _pointer, _size, _pointer, _size, _int, _int),
    "split_activations": (None, _int, _int, _pointer, _pointer),
    "int_gemm_pack": (None, _matrix, _int, _int, _pointer),
    "int_microkernel": (None, _matrix, _pointer, _pointer, _pointer, _pointer),
    "quantize_activations": (_int, _pointer, _int, _pointer, _pointer),
    "quantize_row": (None, _matrix, _int, _pointer),
    "dequantize_row": (None, _matrix, _int, _int, _int, _pointer),
    "norm": (None, _int, _pointer, _pointer, _pointer, _float, _int, _pointer),
    "epilogue": (None, _pointer, _pointer, _int, _int, _int, _pointer),
    "rotate": (None, _pointer, _pointer, _int, _int),
    "soft_cap": (None, _pointer, _int, _float, _float),
    "add_slope": (None, _pointer, _int, _float, _int),
    "clamp": (None, _pointer, _int, _float),
    "softmax_numerators": (_float, _pointer, _int, _pointer),
    "attention_scores": (None, _pointer, _int, _pointer, _int, _int, _int, _float, _pointer, _size),
    "attention_mix": (None, _pointer, _size, _int, _pointer, _int, _int, _int, _pointer, _size),
    "top_k": (_int, _pointer, _int, _int, _pointer, _pointer),
    "exp_sum": (ctypes.c_double, _pointer, _int, _float),
    "entropy_sums": (None, _pointer, _int, _float, _pointer),
    "rank_of": (_int, _pointer, _int, _int),
    "sum": (_float, _pointer, _size, _int),
}


def kernel_names(found: ctypes.CDLL) -> list[str]:
    """The names in the table of kernels."""
    name_of = found.gptcli_kernel_name
    name_of.restype = ctypes.c_char_p
    names: list[str] = []
    while (name := name_of(len(names))) is not None:
        names.append(name.decode())
    return names


class Kernels:
    """The kernels of an instruction set; ``None`` where it lacks one.

    Attributes:
        mr, nr: the block of the microkernels.
        lanes: floats of a vector, where there is VNNI.
    """

    def __init__(self, level: int, found: ctypes.CDLL | None = None) -> None:
        self.library = cast(Any, found or library.library())
        self.level = level
        block = (ctypes.c_int * 2)()
        self.library.gptcli_microkernel_block(level, block)
        self.mr, self.nr = block
        self.lanes = self.nr // 2

    def __getattr__(self, name: str) -> Any:
        address_of = self.library.gptcli_kernel
        address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_char_p]
        address = address_of(self.level, name.encode())
        return None if address is None else ctypes.CFUNCTYPE(*PROTOTYPES[name])(address)


def roomy(array: Any, dtype: Any = np.float32) -> Array:
    """A copy with zeros behind its end, which kernels may read."""
    array = np.ascontiguousarray(array, dtype)
    room = np.zeros(array.nbytes + _OVERREAD_BYTES, np.uint8)
    copy: Array = room[: array.nbytes].view(dtype).reshape(array.shape)
    copy[...] = array
    return copy


def at(array: Array | None) -> ctypes.c_void_p | None:
    """A pointer to an array, which lives as long as the pointer."""
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


class Stored:
    """A matrix in memory, of a kind, and as C sees it: ``c``.

    Args:
        kind: one of ``KINDS``; int4 only where ``columns`` are whole groups.
        columns: of it.
        rows: of it.
    """

    def __init__(self, kind: str, rows: int, columns: int) -> None:
        each = {"F32": 4 * columns, "F16": 2 * columns, "BF16": 2 * columns, "int8": columns}
        row_bytes = each.get(kind, columns // GROUP * 18)
        self.kind, self.shape = kind, (rows, columns)
        self.data = roomy(np.zeros((rows, row_bytes)), np.uint8)
        self.scale = roomy(np.zeros(rows))
        self.c = Matrix(at(self.data), at(self.scale), rows, columns, KINDS.index(kind), row_bytes)

    @classmethod
    def of(cls, kernels: Kernels, kind: str, values: Array) -> "Stored":
        """Values [rows, columns], quantized by the kernel."""
        made = cls(kind, *values.shape)
        for row, x in enumerate(roomy(values)):
            kernels.quantize_row(made.c, row, at(x))
        return made

    def values(self, kernels: Kernels) -> Array:
        """What it is worth, float32 [rows, columns], by the kernel."""
        out = np.zeros(self.shape, np.float32)
        for row in range(self.shape[0]):
            kernels.dequantize_row(self.c, row, 0, self.shape[1], at(out[row]))
        return out


class Quantized:
    """Activations [m, columns] as gemv takes them with a kind of weights; ``values``: what they are worth."""

    def __init__(self, kernels: Kernels, kind: str, x: Array, *, for_gemv: bool = True) -> None:
        m, columns = x.shape
        padded, groups = -(-columns // 128) * 128, -(-columns // ACT_GROUP)
        self.x, self.q = roomy(x), roomy(np.zeros((m, padded)), np.int16)
        self.scale = roomy(np.zeros((m, groups)))
        self.correction = roomy(np.zeros((m, padded // 8)), np.int32)
        self.c = Activations(at(self.x), at(self.q), at(self.scale), at(self.correction))
        self.values = x.astype(np.float64)
        if kind not in ("int8", "int4"):
            return
        for row in range(m):
            kernels.quantize_activations(at(self.x[row]), columns, at(self.q[row]), at(self.scale[row]))
        scales = np.repeat(self.scale, ACT_GROUP, axis=1)[:, :columns].astype(np.float64)
        self.values = self.q[:, :columns] * scales
        if for_gemv and kernels.split_activations is not None:
            for row in range(m):
                kernels.split_activations(KINDS.index(kind), columns, at(self.q[row]), at(self.correction[row]))

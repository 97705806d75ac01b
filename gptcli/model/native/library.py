"""Loading of the compiled library: version check, and the signatures of its functions."""

import ctypes
import functools
import os
from contextlib import suppress
from pathlib import Path

_FOLDER = Path(__file__).parent
NAMES = ("libgptcli.so", "libgptcli.dylib")
# The same as in native.h: increased with every change of a structure, an enum or a function's arguments.
ABI_VERSION = 8
# Level 5: the best instruction set available; 4: no AMX; 3: AVX-512 without VNNI; 2: AVX2 with VNNI, 1: without; 0:
# plain C.
BEST = 5


_INTS = (
    "n_layer n_embd n_head kv_heads head_size mlp_width vocab_size embedding_width activation norm_kind norm qk_norm "
    "final_norm embedding_norm parallel_residual shared_norm gated rotary_dim rotary_interleaved"
)
_FLOATS = "layer_norm_epsilon residual_scale embedding_scale logit_scale qkv_clip attention_cap logit_cap"
_FloatArray, _IntArray = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_int)


class Shape(ctypes.Structure):
    """A model's shape as the library takes it (``gptcli_shape`` in native.h): ``GPTConfig``'s fields, by name."""

    _fields_ = (
        *((name, ctypes.c_int) for name in _INTS.split()),
        *((name, ctypes.c_float) for name in _FLOATS.split()),
        ("attention_scales", _FloatArray),
        ("windows", _IntArray),
        ("rotary_tables", _IntArray),
        ("alibi_slopes", _FloatArray),
    )


class Change(ctypes.Structure):
    """A change at a point of the model (``gptcli_change`` in native.h)."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ["point", "layer", "first", "last", "start", "width", "stride", "add"]),
        ("values", ctypes.c_void_p),
    )


class Hooks(ctypes.Structure):
    """What a call records and changes (``gptcli_hooks`` in native.h)."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ["stream", "queries", "heads", "attention", "neurons", "mlp", "start"]),
        ("changes", ctypes.POINTER(Change)),
        *((name, ctypes.c_int) for name in ("room", "change_count", "first_layer", "period")),
        *((name, ctypes.c_void_p) for name in ("given_queries", "given_keys")),
    )


class UnfitError(Exception):
    """The library does not fit this version of the package; the message says why."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built or does not fit here (see ``unavailable``)."""
    return _open()[0]


def available() -> bool:
    """Whether the engine in C is there, is faster than torch here, and is not switched off (``GPTCLI_NATIVE=0``)."""
    return unavailable() is None


def unavailable() -> str | None:
    """Why the engine in C can run no model here, as a sentence without its full stop; None where it can."""
    if os.environ.get("GPTCLI_NATIVE") == "0":
        return "the engine in C is switched off (GPTCLI_NATIVE=0)"
    found = kernels()
    if found is None:
        return _open()[1]
    if found == "plain":
        return "this processor has neither AVX2 nor NEON, and torch is faster than the engine in plain C"
    return None


def kernels(level: int = BEST) -> str | None:
    """The instruction set that would be used; None without the library.

    One of ``avx512 and amx``, ``avx512 and vnni``, ``avx512``, ``avx2 and vnni``, ``avx2``, ``neon``, ``plain``.
    """
    found = library()
    return None if found is None else str(found.gptcli_kernels(level).decode())


def address(numbers: memoryview) -> int:
    """The address of an array's ``data``, which must be contiguous, writable and not empty.

    numpy's own way to get it runs Python code, which is slow after each step, as the step evicts it from the caches.
    """
    return ctypes.addressof(ctypes.c_char.from_buffer(numbers))


def open_library(path: Path) -> ctypes.CDLL:
    """Load a library and declare the signatures of its functions.

    Raises:
        UnfitError: it cannot be loaded here, or has another version than this package.
    """
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        raise UnfitError(f"the engine in C does not load here: {error}") from error
    try:
        version, size = found.gptcli_abi_version, found.gptcli_struct_size
        size.restype = ctypes.c_size_t
        fits = (version(), size()) == (ABI_VERSION, ctypes.sizeof(Shape))
        if fits:
            return _declared(found)
    except AttributeError:
        pass  # the library is older than the version check, or lacks a function
    raise UnfitError(f"{path} is of another version of gptcli; 'python -m gptcli.model.native.build' builds it again")


def _open() -> tuple[ctypes.CDLL | None, str]:
    """The library, or why there is none, as a sentence without its full stop."""
    from gptcli.model.native.build import WHY_NOT

    why = ""
    for path in (path for name in NAMES if (path := _FOLDER / name).exists()):
        try:
            return open_library(path), ""
        except UnfitError as error:
            why = str(error)
    if why:
        return None, why
    why, path = "'python -m gptcli.model.native.build' builds it", _FOLDER / WHY_NOT
    with suppress(OSError, UnicodeError, IndexError):
        why = f"{path.read_text(encoding='utf-8').splitlines()[0]} (all of it: {path})"
    return None, f"the engine in C was not built: {why}"


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the argument and result types of each function."""
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    read = [pointer, number, *[pointer] * 3, number, *[pointer] * 3, *[number] * 3, *[pointer] * 2, *[number] * 2]
    for name, result, arguments in (
        ("gptcli_kernels", ctypes.c_char_p, [number]),
        ("gptcli_new", pointer, [ctypes.POINTER(Shape), number, number, number]),
        ("gptcli_threads", number, [pointer]),
        ("gptcli_alloc_matrix", number, [pointer, *[number] * 5]),
        ("gptcli_borrow_matrix", None, [pointer, *[number] * 5, pointer, pointer]),
        ("gptcli_checksum", ctypes.c_uint64, [pointer, size]),
        ("gptcli_fill_matrix", number, [pointer, *[number] * 4, pointer, number, number]),
        ("gptcli_matrix_view", None, [pointer, number, number, pointer, pointer, pointer]),
        ("gptcli_fill_vector", number, [pointer, number, number, pointer, size]),
        ("gptcli_vector_view", pointer, [pointer, number, number]),
        ("gptcli_finite", number, [pointer, size, number]),
        ("gptcli_shortlist", number, [pointer, number, number, pointer, pointer, pointer]),
        ("gptcli_read_logits", number, [pointer, number, size, number, *[pointer] * 4]),
        ("gptcli_bytes", size, [pointer]),
        ("gptcli_bandwidth", ctypes.c_double, [number] * 3),
        ("gptcli_free", None, [pointer]),
        ("gptcli_watch", number, [ctypes.c_char_p, ctypes.c_longlong, ctypes.c_char_p]),
        ("gptcli_read", number, [*read, ctypes.POINTER(Hooks)]),
        ("gptcli_pattern", number, [pointer, *[number] * 3, *[pointer] * 2, *[number] * 2, pointer]),
        ("gptcli_unembed", number, [pointer, number, pointer, pointer]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found

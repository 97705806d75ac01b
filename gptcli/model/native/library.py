"""The compiled library: whether it fits this Python, and what its functions take."""

import ctypes
import functools
import os
from contextlib import suppress
from pathlib import Path

_FOLDER = Path(__file__).parent
NAMES = ("libgptcli.so", "libgptcli.dylib")
# Of the interface, as in native.h: raised with every change of a structure, an enum or a function's arguments.
ABI_VERSION = 2
# The best instruction set there is; 4: no AMX; 3: AVX-512 without VNNI; 2: AVX2 with VNNI, 1: without; 0: plain C.
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


class UnfitError(Exception):
    """The library does not fit this Python: says why."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built or does not fit here (see ``unavailable``)."""
    return _open()[0]


def available() -> bool:
    """Whether the engine in C is there, is faster than torch here, and is not switched off (``GPTCLI_NATIVE=0``)."""
    return unavailable() is None


def unavailable() -> str | None:
    """Why the engine in C runs no model at all here, in a sentence without its full stop; None where it can."""
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
    """Where the numbers of an array (its ``data``) lie: contiguous and writable ones, and not none.

    What numpy offers for this runs Python code of its own, which every step of a model drives out of the caches.
    """
    return ctypes.addressof(ctypes.c_char.from_buffer(numbers))


def open_library(path: Path) -> ctypes.CDLL:
    """Load a library and say what its functions take and give.

    Raises:
        UnfitError: it does not load here, or is of another version than this Python.
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
        pass  # older than the check, or a function of it is missing
    raise UnfitError(f"{path} is of another version of gptcli; 'python -m gptcli.model.native.build' builds it again")


def _open() -> tuple[ctypes.CDLL | None, str]:
    """The library, or why there is none, in a sentence without its full stop."""
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
    """Say what each function takes and gives."""
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    for name, result, arguments in (
        ("gptcli_kernels", ctypes.c_char_p, [number]),
        ("gptcli_new", pointer, [ctypes.POINTER(Shape), number, number]),
        ("gptcli_threads", number, [pointer]),
        ("gptcli_alloc_matrix", number, [pointer, *[number] * 5]),
        ("gptcli_fill_matrix", number, [pointer, *[number] * 4, pointer, number, number]),
        ("gptcli_matrix_view", None, [pointer, number, number, pointer, pointer, pointer]),
        ("gptcli_fill_vector", number, [pointer, number, number, pointer, size]),
        ("gptcli_finite", number, [pointer, size, number]),
        ("gptcli_shortlist", number, [pointer, number, number, pointer, pointer, pointer]),
        ("gptcli_bytes", size, [pointer]),
        ("gptcli_bandwidth", ctypes.c_double, [number] * 3),
        ("gptcli_free", None, [pointer]),
        ("gptcli_watch", number, [ctypes.c_char_p, ctypes.c_longlong, ctypes.c_char_p]),
        (
            "gptcli_read",
            number,
            [pointer, number, *[pointer] * 3, number, *[pointer] * 3, *[number] * 3, *[pointer] * 2, *[number] * 2],
        ),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found

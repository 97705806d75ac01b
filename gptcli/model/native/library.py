"""The compiled library, and what its functions take."""

import ctypes
import functools
import os
from contextlib import suppress
from pathlib import Path

_FOLDER = Path(__file__).parent
NAMES = ("libgptcli.so", "libgptcli.dylib")
# The best instruction set there is; 4: no AMX; 3: AVX-512 without VNNI; 2: AVX2 with VNNI, 1: without; 0: plain C.
BEST = 5


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built or does not load here."""
    for name in NAMES:
        try:
            return _declared(ctypes.CDLL(str(_FOLDER / name)))
        except (OSError, AttributeError):
            continue
    return None


def available() -> bool:
    """Whether the engine in C is there, is faster than torch here, and is not switched off (``GPTCLI_NATIVE=0``)."""
    return unavailable() is None


def unavailable() -> str | None:
    """Why the engine in C runs no model at all here, in a sentence without its full stop; None where it can."""
    if os.environ.get("GPTCLI_NATIVE") == "0":
        return "the engine in C is switched off (GPTCLI_NATIVE=0)"
    found = kernels()
    if found is None:
        return f"the engine in C {_why_no_library()}"
    if found == "plain":
        return "this processor has neither AVX2 nor NEON, and torch is faster than the engine in plain C"
    return None


def kernels(level: int = BEST) -> str | None:
    """The instruction set that would be used; None without the library.

    One of ``avx512 and amx``, ``avx512 and vnni``, ``avx512``, ``avx2 and vnni``, ``avx2``, ``neon``, ``plain``.
    """
    found = library()
    return None if found is None else str(found.gptcli_kernels(level).decode())


def _why_no_library() -> str:
    from gptcli.model.native.build import WHY_NOT

    for path in (_FOLDER / name for name in NAMES):
        if not path.is_file():
            continue
        try:
            _declared(ctypes.CDLL(str(path)))
        except (OSError, AttributeError) as error:
            return f"does not load: {path}: {error}"
    with suppress(OSError, UnicodeError):
        path = _FOLDER / WHY_NOT
        first = path.read_text(encoding="utf-8").splitlines()[0]
        return f"was not built: {first} (all of it: {path})"
    return "was not built: python -m gptcli.model.native.build"


def address(numbers: memoryview) -> int:
    """Where the numbers of an array (its ``data``) lie: contiguous and writable ones, and not none.

    What numpy offers for this runs Python code of its own, which every step of a model drives out of the caches.
    """
    return ctypes.addressof(ctypes.c_char.from_buffer(numbers))


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """Say what each function takes and gives; an older library that lacks one is no library."""
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    for name, result, arguments in (
        ("gptcli_kernels", ctypes.c_char_p, [number]),
        ("gptcli_new", pointer, [pointer, ctypes.c_float, ctypes.c_float, number, number]),
        ("gptcli_threads", number, [pointer]),
        ("gptcli_room", number, [pointer, *[number] * 5]),
        ("gptcli_matrix", number, [pointer, number, number, pointer, number, number]),
        ("gptcli_kept", None, [pointer, number, number, pointer, pointer, pointer]),
        ("gptcli_vector", number, [pointer, number, number, pointer, size]),
        ("gptcli_finite", number, [pointer, size, number]),
        ("gptcli_offer", number, [pointer, number, number, pointer, pointer, pointer]),
        ("gptcli_bytes", size, [pointer]),
        ("gptcli_bandwidth", ctypes.c_double, [number] * 3),
        ("gptcli_free", None, [pointer]),
        ("gptcli_watch", number, [ctypes.c_char_p, ctypes.c_longlong, ctypes.c_char_p]),
        ("gptcli_read", number, [pointer, number, *[pointer] * 4, *[number] * 3, pointer, pointer, number, number]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found

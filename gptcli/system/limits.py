"""Recognise errors that come from a limit of the machine: memory, open files, threads."""

import errno
import sys
from collections.abc import Iterator

# Messages of torch for lack of memory (its OutOfMemoryError is for GPUs only), and of the system's loader of libraries.
_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "failed to map segment",
    "std::bad_alloc",
)
_NO_THREADS = ("can't start new thread", "resource temporarily unavailable")
_NO_FILES = "too many open files"
GENERAL = "out of memory: try a smaller model, --dtype bfloat16, or a shorter text"


def limit_reached(error: BaseException) -> str | None:
    """The message for an error, or a cause of it, that is a limit of the machine; None for any other error."""
    for one in _chain(error):
        allowed = allowed_memory()
        # Without memory, C code may fail without being able to make an exception.
        if is_out_of_memory(one) or (isinstance(one, SystemError) and allowed is not None):
            return GENERAL if allowed is None else f"out of memory: {_limit(allowed)}, or try a smaller model"
        said = str(one).lower()
        if isinstance(one, RuntimeError) and any(sign in said for sign in _NO_THREADS):
            return "the system gives no more threads: set OMP_NUM_THREADS=1, or raise the limits (ulimit -u, ulimit -v)"
        if _number(one) in (errno.EMFILE, errno.ENFILE) or (isinstance(one, ImportError) and _NO_FILES in said):
            return "too many open files: raise the limit (ulimit -n)"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, numpy, torch or the system ran out of memory, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _number(error) == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError | OSError | ImportError) and any(
        sign in str(error).lower() for sign in _NO_MEMORY
    )


def allowed_memory() -> int | None:
    """Bytes of address space that the process may have (``ulimit -v``, ``-d``); None where there is no limit."""
    if sys.platform != "linux":
        return None
    import resource

    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)


def does_not_fit(library: str, allowed: int) -> str:
    """The message for a library that cannot be imported within the limit on address space."""
    return f"out of memory: {library} cannot be loaded, as {_limit(allowed)}"


def _limit(allowed: int) -> str:
    return f"ulimit -v or -d allows {allowed / 1e6:,.0f} MB: raise it or set OMP_NUM_THREADS=1"


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes: libraries wrap the errors of the system."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__

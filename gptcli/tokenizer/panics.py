"""Panics of Rust libraries: they are not subclasses of ``Exception``, and print a report to stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def of_library(error: BaseException) -> bool:
    """Whether an error is a panic. Each library has its own class for panics, all with the same name."""
    return type(error).__name__ == "PanicException"


@contextmanager
def muted(mute: bool = True) -> Iterator[None]:
    """Discard what the process writes to stderr within this context: a panic prints its report there."""
    if not mute or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

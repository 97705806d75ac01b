"""Mapped files that another program truncates: an error of one line instead of a crash.

Reading a mapped page that is no longer in the file raises SIGBUS. A signal handler belongs to the process, not to a
library, so only the command line installs one (``announce``). The handler that finds and prints the cause is in C
(``bus_errors.c``), because the signal may arrive in a thread without Python. If the library in C was not built, a
handler in Python does it; it works for all faults in reading a file, but not for a SIGBUS that another process sends
during a memory allocation.
"""

import os
import signal
from pathlib import Path
from typing import Any

from gptcli.text import visible

_OTHER = b"error: SIGBUS, and no file of the model became shorter: a disk or the memory failed, or someone sent it\n"
_announced = False
_watched: dict[bytes, tuple[int, bytes]] = {}  # path -> its size, and the message
_kept: list[Any] = []  # keeps Python's handler alive: the system has only its address


def announce() -> None:
    """Install the handler: the process ends with a one-line error if a file of ``watch`` became shorter."""
    global _announced
    _announced = hasattr(signal, "SIGBUS")


def watch(path: Path, size: int) -> None:
    """Register a mapped file and its least size; does nothing without ``announce``."""
    where = os.path.abspath(os.fsencode(path))
    if not _announced or _watched.get(where, (0, b""))[0] >= size:
        return
    said = f"error: {visible(str(path))} was cut short by another program while it was being read: try again\n"
    message = said.encode(errors="replace")
    _watched[where] = size, message
    from gptcli.model.native.library import library

    found = library()
    if found is not None:
        found.gptcli_watch(where, size, message)
    elif not _kept:
        _handle_in_python()


def _handle_in_python() -> None:
    """What ``gptcli_watch`` does. Not by ``signal.signal``, whose handlers run only after the faulting instruction."""
    import ctypes

    def on_bus_error(number: int) -> None:
        for path, (size, message) in _watched.items():
            if os.path.exists(path) and os.path.getsize(path) < size:
                os.write(2, message)
                os._exit(1)
        os.write(2, _OTHER)
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(on_bus_error)
    _kept.append(handler)
    ctypes.CDLL(None).signal(int(signal.SIGBUS), handler)

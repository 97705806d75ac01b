"""Mapped files that another program cuts short: one line in place of a process that dies without a word.

Who reads a mapped page that is not in the file any more is sent SIGBUS. A handler belongs to the process, not to a
library, so only the command line asks for one (``announce``). What looks for the cause and says it is a function in C
(``bus_errors.c``), as a thread without Python may be the one that is hit. Where the library in C was not built, Python
does it: good for every fault in reading a file, and not for a SIGBUS that somebody sends by hand while memory is taken.
"""

import os
import signal
from pathlib import Path
from typing import Any

from gptcli.show.text import visible

_OTHER = b"error: SIGBUS, and no file of the model became shorter: a disk or the memory failed, or someone sent it\n"
_announced = False
_watched: dict[bytes, tuple[int, bytes]] = {}  # path -> its size, and what to say
_kept: list[Any] = []  # Python's handler: the system knows its address only


def announce() -> None:
    """From now on this process ends with one line where a file of ``watch`` became shorter."""
    global _announced
    _announced = hasattr(signal, "SIGBUS")


def watch(path: Path, size: int) -> None:
    """Remember a file that is mapped, and that it has at least so many bytes; nothing where nobody announced it."""
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
    """What ``gptcli_watch`` does. Not by ``signal.signal``: Python would hear of it only after the fault, for ever."""
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

"""Files that appear whole or not at all.

They are written under another name and renamed. A writer that is killed leaves that unfinished file behind; the next
one that writes into the same folder removes it. It tells the two apart by a lock, which the system takes from a process
that ends: a process id would not do, as containers that share a folder do not see each other's.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gptcli.errors import GptcliError

if sys.platform != "win32":
    import fcntl

_UNFINISHED = ".gptcli-unfinished-"


def write_whole(path: Path, content: str | bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file so that it appears whole or not at all; what stood there before stays until then.

    Args:
        path: the file.
        content: a text, which is written as UTF-8; bytes; or parts of the file, one after the other.

    Raises:
        GptcliError: the folder is missing, not writable, or full.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    parts = [data] if isinstance(data, bytes) else data
    try:
        remove_unfinished(path.parent)
        file, temporary = _started(path.parent)
        try:
            with file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(temporary, 0o666 & ~_umask())
                if sys.platform != "win32":
                    os.replace(temporary, path)  # as long as it is locked
            if sys.platform == "win32":
                os.replace(temporary, path)  # which cannot rename an open file
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise GptcliError(f"cannot write {path}: {error.strerror or error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder; a file that is being written stays.

    Where files cannot be locked (Windows, some network file systems) everything stays.
    """
    if sys.platform == "win32":
        return
    try:
        with os.scandir(folder) as entries:
            left = [entry.path for entry in entries if entry.name.startswith(_UNFINISHED)]
    except OSError:
        return
    for path in left:
        with suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    os.unlink(path)
            finally:
                os.close(handle)


def _started(folder: Path) -> tuple[BinaryIO, str]:
    """A new unfinished file, locked where the system can."""
    while True:
        handle, path = tempfile.mkstemp(dir=folder, prefix=_UNFINISHED)
        file = os.fdopen(handle, "wb")
        if sys.platform == "win32":
            return file, path
        with suppress(OSError):  # then others cannot lock it either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return file, path
        file.close()  # another writer took it for left behind before it was locked


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current

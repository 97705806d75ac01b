"""Regular files: opened without blocking on a pipe, and checked for changes."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import BinaryIO

from gptcli.errors import CheckpointError
from gptcli.system.limits import limit_reached


@dataclass(frozen=True)
class Version:
    """What identifies the state of a file: another file of the same name, or a later state, is unequal.

    ``ctime_ns`` does not count for equality, because a new link or another mode changes it too. ``same_state``
    compares it, because it cannot be set back as ``mtime_ns`` can.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int = field(compare=False)

    def same_state(self, other: "Version") -> bool:
        """Whether nothing at all happened to the file between the two."""
        return astuple(self) == astuple(other)


def version_of(file: Path | int) -> Version:
    """The version of a file, by path or by descriptor.

    Raises:
        OSError: it does not exist.
    """
    return _version(os.stat(file))


@contextmanager
def opened(path: Path, known: Version | None = None) -> Iterator[tuple[BinaryIO, Version]]:
    """Open a regular file for reading; yields it with its version.

    Args:
        path: the file.
        known: its version when its header was read; None accepts any.

    Raises:
        CheckpointError: it is missing, no regular file, changed, or cannot be read; also inside the ``with``.
        MemoryError: an operation inside the ``with`` ran out of memory.
    """
    with readable(path), open(path, "rb", opener=_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise _not_regular(path)
        if known not in (None, version := _version(about)):
            raise changed(path)
        yield file, version


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file or folder into ours.

    Raises:
        CheckpointError: it cannot be read, or does not exist.
        MemoryError: an operation inside the ``with`` ran out of memory.
    """
    try:
        yield
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _not_regular(Path(error.filename or path)) from error
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(str(error)) from error
        reason = limit_reached(error) or error.strerror or error
        raise CheckpointError(f"cannot read {error.filename or path}: {reason}") from error


def check_unchanged(path: Path, version: Version | None) -> None:
    """Check that a file has not changed.

    Args:
        path: the file.
        version: from when its header was read; None skips the check (a header from the hub).

    Raises:
        CheckpointError: it was changed, replaced or removed.
    """
    if version is not None:
        with readable(path):
            now = version_of(path)
        if now != version:
            raise changed(path)


def changed(path: Path) -> CheckpointError:
    """The error for a file that changed after its header was read."""
    return CheckpointError(f"{path} changed after it was opened: something writes to it or replaced it; try again")


def _without_waiting(path: str, flags: int) -> int:
    """Open without blocking on a pipe, and without making a terminal the controlling one."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _version(about: os.stat_result) -> Version:
    return Version(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _not_regular(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is missing, or is not a regular file")

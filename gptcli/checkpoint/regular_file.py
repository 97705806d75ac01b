"""Files of a checkpoint as the system knows them: opened without waiting for a pipe, and told when they change."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import BinaryIO

from gptcli.errors import CheckpointError
from gptcli.limits import limit_reached


@dataclass(frozen=True)
class Version:
    """What tells a file from another of the same name, and from itself once it was written to.

    Two are equal whatever their ``ctime_ns``, which a new link or another mode changes too; but it cannot be set back,
    as ``mtime_ns`` can (see ``same_state``).
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
    """What the system says of a file, or of an open one.

    Raises:
        OSError: it is not there.
    """
    return _version(os.stat(file))


@contextmanager
def opened(path: Path, known: Version | None = None) -> Iterator[tuple[BinaryIO, Version]]:
    """A regular file, open for reading, and what tells it from others.

    Args:
        path: the file.
        known: what it was when its header was read; None takes any.

    Raises:
        CheckpointError: it is missing, no regular file, another than was known, or cannot be read, in the block too.
        MemoryError: the system has no memory for what is done in the block.
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
    """Look at a file or folder; what the system says meanwhile becomes an error of ours.

    Raises:
        CheckpointError: it may not be read, or is gone.
        MemoryError: the system has no memory for what is done in the block.
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
    """See that a file is still the one that it was.

    Args:
        path: the file.
        version: of when its header was read; None where that was not here.

    Raises:
        CheckpointError: it was written to, replaced, or is gone.
    """
    if version is not None:
        with readable(path):
            now = version_of(path)
        if now != version:
            raise changed(path)


def changed(path: Path) -> CheckpointError:
    """The error for a file that is not what its header promised any more."""
    return CheckpointError(f"{path} changed after it was opened: something writes to it or replaced it; try again")


def _without_waiting(path: str, flags: int) -> int:
    """A pipe would keep us waiting for someone to write; a terminal would become ours."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _version(about: os.stat_result) -> Version:
    return Version(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _not_regular(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is missing, or is not a regular file")

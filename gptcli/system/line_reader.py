"""The lines of an open file as they come; those of a pipe with the moments at which its writer waits."""

import io
import select
from collections.abc import Iterator
from typing import BinaryIO

from gptcli.system.text_file import MOST_LINE

# Bytes that are read at once, as many as a pipe holds.
_AT_ONCE = 1 << 16
# Seconds after which a writer that has sent nothing more is taken to wait for an answer.
_PATIENCE_S = 0.01


def each_line(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file, with their ends and their numbers from 1.

    None stands for a pause: for now there is nothing more to read. A regular file has none. After a line of more than
    ``MOST_LINE`` bytes, which may be cut, nothing is read.

    Args:
        file: open to read, with nothing read of it so far.
    """
    number, answered, held = 0, 0, b""
    while data := file.read1(_AT_ONCE):  # type: ignore[attr-defined]  # every file that is opened to read here has it
        lines = (held + data).split(b"\n")
        held = lines.pop()
        for line in lines:
            number += 1
            yield number, line + b"\n"
        if len(held) > MOST_LINE:
            break
        if number > answered and _is_paused(file):
            answered = number
            yield number, None
    if held:
        yield number + 1, held


def _is_paused(file: BinaryIO) -> bool:
    """Whether nothing can be read for now. Where the system cannot tell, as of a pipe on Windows, that is assumed."""
    try:
        return not select.select([file], [], [], _PATIENCE_S)[0]
    except io.UnsupportedOperation:  # a file in memory
        return False
    except (OSError, ValueError):
        return True

"""Text from files and pipes: UTF-8, within bounds; more than any model here can take is not even read."""

import codecs
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gptcli.errors import InputError
from gptcli.text import clipped, size

# Bytes of one text: a long novel has two million, and a context is a few thousand tokens of some four bytes.
MOST_TEXT = 10_000_000
# Bytes of a list of words, and of one line of a conversation.
MOST_WORDS = MOST_LINE = 1_000_000
# Bytes at the start of a text that tell its encoding.
ENCODING_BYTES = 64
# The marks of encodings other than UTF-8. UTF-32's begins with UTF-16's, so it comes first.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# Control characters that texts do not have.
_CONTROLS = frozenset((*range(9), *range(14, 27), *range(28, 32)))


def read_text_file(file: Path, most: int = MOST_TEXT) -> str:
    """All of a text file.

    Raises:
        InputError: it cannot be read, is not UTF-8, or has more than ``most`` bytes.
    """
    name = file_name(file)
    with opened(file) as found:
        try:
            return read_text(found, name, most)
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror or error}") from error


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """A file, open to read; ``-`` is stdin, which stays open.

    Raises:
        InputError: it cannot be opened, or stdin is closed.
    """
    if str(file) == "-":
        if sys.stdin is None:
            raise InputError("there is nothing to read: stdin is closed")
        yield sys.stdin.buffer
        return
    try:
        found = file.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {clipped(str(file))}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in its name
        raise InputError(f"cannot read {clipped(str(file))}: {error}") from error
    with found:
        yield found


def file_name(file: Path) -> str:
    """How messages call a file."""
    return "stdin" if str(file) == "-" else clipped(str(file))


def read_text(file: BinaryIO, what: str, most: int = MOST_TEXT) -> str:
    """All of an open file as text.

    Args:
        file: where to read.
        what: what it is, for the error messages.
        most: bytes that it may have.

    Raises:
        InputError: it is not UTF-8, or has more.
    """
    data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"{what} holds more than {size(most)}, the most that is read at once: cut it first (head -c)")
    return from_utf8(data, what, mark_length(data, what))


def mark_length(start: bytes, what: str) -> int:
    """The bytes at the start of a text that are no text: 3 for the byte order mark of UTF-8, else 0.

    Args:
        start: the text, or at least ``ENCODING_BYTES`` of it.
        what: what it is, for the error message.

    Raises:
        InputError: it is UTF-16 or UTF-32; says how to convert it.
    """
    other = _other_encoding(start)
    if other is not None:
        raise InputError(
            f"{what} is {other}, not UTF-8: convert it first (iconv -f {other} -t UTF-8; in PowerShell "
            "Get-Content FILE | Out-File -Encoding utf8 NEW)"
        )
    return len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0


def _other_encoding(start: bytes) -> str | None:
    """UTF-16 or UTF-32, by its mark; or without one, by bytes of every second character that no text has.

    They are NUL where letters are Latin, and other controls in most alphabets (4 in Cyrillic).
    """
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if marked is not None:
        return marked
    seen = start[:ENCODING_BYTES]
    fours = seen[: len(seen) // 4 * 4]
    if len(fours) >= 8 and any(fours[::4] + fours[3::4]):
        for order, high in (("LE", fours[2::4] + fours[3::4]), ("BE", fours[::4] + fours[1::4])):
            if not any(high):
                return f"UTF-32{order}"
    even, odd = (sum(byte in _CONTROLS for byte in half) for half in (seen[::2], seen[1::2]))
    pairs = len(seen) // 2
    if pairs < 2 or max(even, odd) < 0.75 * pairs or min(even, odd) > 0.25 * pairs:
        return None
    return "UTF-16LE" if odd > even else "UTF-16BE"


def from_utf8(data: bytes, what: str, start: int = 0) -> str:
    """Bytes as text, from ``start`` on.

    Raises:
        InputError: they are not UTF-8; ``what`` says what they are.
    """
    try:
        return str(memoryview(data)[start:], "utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        raise InputError(f"{what} is not UTF-8: byte 0x{data[at]:02x} at offset {at}") from error

"""Text that is read as a whole, within bounds: more than any model here can take is not even read."""

from pathlib import Path
from typing import BinaryIO

from gptcli.errors import InputError
from gptcli.text import clipped, size

# Bytes of one text: a long novel has two million, and a context is a few thousand tokens of some four bytes.
MOST_TEXT = 10_000_000
# Bytes of a list of words, and of one line of a conversation.
MOST_WORDS = MOST_LINE = 1_000_000


def read_text_file(file: Path, most: int = MOST_TEXT) -> str:
    """All of a text file.

    Raises:
        InputError: it cannot be read, is not UTF-8, or has more than ``most`` bytes.
    """
    name = clipped(str(file))
    try:
        with file.open("rb") as opened:
            return read_text(opened, name, most)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in its name
        raise InputError(f"cannot read {name}: {error}") from error


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
    return from_utf8(data, what)


def from_utf8(data: bytes, what: str) -> str:
    """Bytes as text.

    Raises:
        InputError: they are not UTF-8; ``what`` says what they are.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}") from error

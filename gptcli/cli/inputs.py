"""The input of commands: an argument, a file, or a pipe."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from gptcli.errors import InputError
from gptcli.system.notices import notice
from gptcli.system.text_file import (
    MOST_LINE,
    MOST_TEXT,
    MOST_WORDS,
    from_utf8,
    mark_length,
    read_text,
)
from gptcli.text import clipped, size

_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
# How a command without -f reads a file.
PIPED = "its name is taken as the text (< {} reads it)"
# One with -f.
WITH_FILE = "-f {} reads it"


def text_argument(
    text: str | None,
    what: str,
    *,
    strip_newline: bool = True,
    most: int = MOST_TEXT,
    escapes: bool = False,
    file_hint: str | None = None,
) -> str:
    r"""The input text of a command: its argument, or stdin when that is ``-`` or missing and stdin is piped.

    Args:
        text: the argument as given, or None.
        what: the name of the argument, for the error message.
        strip_newline: of piped text, drop one newline at the end, which ``echo`` put there, and read ``\r\n`` as
            ``\n``.
        most: the most bytes of a pipe.
        escapes: read ``\n``, ``\t`` and ``\\`` in an argument (see ``unescaped``).
        file_hint: tell on stderr where the argument is the name of a file, and that this (with the name for {}) reads
            it; None: say nothing.

    Raises:
        InputError: there is neither an argument nor a pipe, or it does not hold UTF-8, or a pipe more than ``most``.
    """
    if text is not None and text != "-":
        text = _as_utf8(text, what)
        if file_hint is not None:
            tell_file(text, file_hint)
        return unescaped(text) if escapes else text
    if text is None and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError(f"{what} is missing: give it as an argument, or pipe it in")
    piped = read_stdin(most)
    return plain_text(piped) if strip_newline else piped


def _as_utf8(text: str, what: str) -> str:
    """An argument as text: Python passes bytes that its locale does not know as surrogates, also those of UTF-8."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        raise InputError(f"{what} is not UTF-8") from None


def prompt_argument(text: str | None, *, raw: bool, file_hint: str = PIPED) -> str:
    r"""The PROMPT of a command: an argument, in which ``\n`` is a newline unless ``raw``; or a pipe.

    Raises:
        InputError: see ``text_argument``.
    """
    return text_argument(text, "PROMPT", escapes=not raw, file_hint=file_hint)


def unescaped(text: str) -> str:
    r"""A text with ``\n``, ``\t`` and ``\\`` read as a newline, a tab and a backslash; other backslashes stay."""
    return re.sub(r"\\([nt\\])", lambda found: _ESCAPES[found[1]], text)


def plain_text(text: str) -> str:
    r"""The text of a pipe or a file: ``\r\n`` is ``\n``, and one newline at the end falls away."""
    return text.replace("\r\n", "\n").removesuffix("\n")


def plain_chunks(chunks: Iterable[str]) -> Iterator[str]:
    """What ``plain_text`` makes of a text that comes in pieces, in pieces."""
    held = ""
    for chunk in chunks:
        text = held + chunk
        held = next((end for end in ("\r\n", "\n", "\r") if text.endswith(end)), "")
        yield text.removesuffix(held).replace("\r\n", "\n")
    yield plain_text(held)


def tell_file(text: str, hint: str = PIPED) -> None:
    """Tell on stderr where a text is the name of a file: its name is read, not the file.

    Args:
        text: the argument.
        hint: what reads the file, with {} for its name.
    """
    if "\n" in text or len(text) > 4096:
        return
    with suppress(OSError, ValueError):  # too long, or a NUL
        if Path(text).is_file():
            name = clipped(text)
            notice(f"'{name}' is a file here: {hint.format(name)}")


def read_stdin(most: int = MOST_TEXT) -> str:
    """All of stdin as text.

    Raises:
        InputError: stdin is closed, is not UTF-8, or holds more than ``most`` bytes.
    """
    if sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    return read_text(sys.stdin.buffer, "stdin", most)


def stdin_lines() -> Iterator[str]:
    """The lines of stdin as they come, without their ends.

    Raises:
        InputError: stdin is closed, or a line is not UTF-8 or has more than a million bytes.
    """
    if sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    stdin = sys.stdin.buffer
    for number, line in enumerate(iter(lambda: stdin.readline(MOST_LINE + 1), b""), start=1):
        if len(line) > MOST_LINE:
            raise InputError(f"line {number:,} of stdin has more than {size(MOST_LINE)}: that is no turn of a chat")
        what = f"line {number:,} of stdin"
        start = mark_length(line, what) if number == 1 else 0
        yield from_utf8(line, what, start).rstrip("\r\n")


def words_argument(words: list[str] | None, what: str) -> list[str]:
    """The input words: the arguments, or words on stdin separated by spaces if the argument is - or missing.

    Args:
        words: the arguments as given.
        what: their name, for the error message.

    Raises:
        InputError: there is neither an argument nor a pipe, or the pipe holds more than a million bytes.
    """
    if words and words != ["-"]:
        return words
    return text_argument(words[0] if words else None, what, most=MOST_WORDS).split()

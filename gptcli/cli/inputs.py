"""What commands read: an argument, a file, or a pipe."""

import sys
from collections.abc import Iterator
from pathlib import Path

from gptcli.errors import InputError


def text_argument(text: str | None, what: str, *, strip_newline: bool = True) -> str:
    """The text that a command works on: its argument, or stdin when that is ``-`` or missing and stdin is piped.

    Args:
        text: the argument as given, or None.
        what: the name of the argument, for the error message.
        strip_newline: drop one newline at the end of piped text, which ``echo`` put there.

    Raises:
        InputError: there is neither an argument nor a pipe, or the pipe does not hold UTF-8.
    """
    if text is not None and text != "-":
        return text
    if text is None and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError(f"{what} is missing: give it as an argument, or pipe it in")
    piped = read_stdin()
    return piped.removesuffix("\n") if strip_newline else piped


def read_stdin() -> str:
    """All of stdin as text.

    Raises:
        InputError: stdin is closed, or is not UTF-8.
    """
    if sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    return _from_utf8(sys.stdin.buffer.read(), "stdin")


def stdin_lines() -> Iterator[str]:
    """The lines of stdin as they come, without their ends.

    Raises:
        InputError: stdin is closed, or a line is not UTF-8.
    """
    if sys.stdin is None:
        raise InputError("there is nothing to read: stdin is closed")
    for number, line in enumerate(iter(sys.stdin.buffer.readline, b""), start=1):
        yield _from_utf8(line, f"line {number:,} of stdin").rstrip("\r\n")


def _from_utf8(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}") from error


def prompts_argument(prompts: list[str], file: Path | None) -> list[str]:
    """The prompts to continue: the arguments (``-`` is stdin), the lines of a file, a pipe, or one empty prompt.

    Raises:
        InputError: the file or stdin cannot be read, or holds no prompt.
    """
    given = [text_argument(prompt, "PROMPT") for prompt in prompts]
    if file is not None:
        # Not splitlines(): a prompt may hold other separators, such as U+2028.
        lines = [line.removesuffix("\r") for line in read_text_file(file).split("\n")]
        from_file = [line for line in lines if line]
        if not from_file:
            raise InputError(f"--prompts-file {file} holds no prompt")
        return [*given, *from_file]
    if given:
        return given
    at_terminal = sys.stdin is None or sys.stdin.isatty()
    return ["" if at_terminal else text_argument("-", "PROMPT")]


def read_text_file(file: Path) -> str:
    """All of a text file.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}"
        ) from error


def words_argument(words: list[str] | None, what: str) -> list[str]:
    """The words to work on: the arguments, or those on stdin, between spaces, where the argument is - or missing.

    Args:
        words: the arguments as given.
        what: their name, for the error message.

    Raises:
        InputError: there is neither an argument nor a pipe.
    """
    if words and words != ["-"]:
        return words
    return text_argument(words[0] if words else None, what).split()

"""For a command that runs another one: its output as a text, the answers that it showed, and how tall it may be."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any

_answers: ContextVar[list[Any] | None] = ContextVar("answers", default=None)
_lines: ContextVar[int | None] = ContextVar("lines", default=None)


class Recorder(io.StringIO):
    """A stdout that keeps what is written, and is a terminal wherever the real one is."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal, self._encoding = terminal, getattr(sys.stdout, "encoding", None) or "utf-8"

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a class attribute there
        """That of the real stdout: pictures use no characters that it lacks."""
        return self._encoding

    def isatty(self) -> bool:
        """Whether colours and widths are those of a terminal."""
        return self._terminal


@contextmanager
def recorded(lines: int | None = None) -> Iterator[tuple[Recorder, list[Any]]]:
    """Record what is printed to stdout, as a terminal would get it, and the answers behind it.

    Args:
        lines: how tall pictures should be, if they can choose.

    Yields:
        The recorder, and the answers that ``present`` was given so far.
    """
    recorder, answers = Recorder(terminal=sys.stdout.isatty()), list[Any]()
    room = _lines.set(lines)
    try:
        with answers_kept(answers), redirect_stdout(recorder):
            yield recorder, answers
    finally:
        _lines.reset(room)


@contextmanager
def answers_kept(into: list[Any]) -> Iterator[list[Any]]:
    """Keep the answers that ``present`` is given in this list."""
    before = _answers.set(into)
    try:
        yield into
    finally:
        _answers.reset(before)


def showed(answer: Any) -> None:
    """Say that this answer is about to be shown."""
    kept = _answers.get()
    if kept is not None:
        kept.append(answer)


def lines_allowed() -> int | None:
    """How many lines a picture should take at most; None where it may be as tall as it likes."""
    return _lines.get()

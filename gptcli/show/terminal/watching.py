"""For a command that runs another one: its output as a text, the answers that it showed, and how tall it may be."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.show.html.page import Page

_answers: ContextVar[list[Any] | None] = ContextVar("answers", default=None)
_pictures: ContextVar["list[Shown] | None"] = ContextVar("pictures", default=None)
_lines: ContextVar[int | None] = ContextVar("lines", default=None)


@dataclass(frozen=True)
class Shown:
    """What a command would show.

    Attributes:
        draw: makes the picture.
        page: makes the page; None where that is the picture.
    """

    draw: "Callable[[], RenderableType]"
    page: "Callable[[], Page] | None"


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


class Messages(io.StringIO):
    """A stderr that is the real one, and keeps what is written for a screen that is about to be cleared."""

    def __init__(self) -> None:
        super().__init__()
        self._real = sys.stderr

    def write(self, text: str) -> int:
        """Write to both."""
        self._real.write(text)
        return super().write(text)

    def flush(self) -> None:
        """Flush the real one."""
        self._real.flush()

    def isatty(self) -> bool:
        """Whether the real one is a terminal."""
        return self._real.isatty()

    def fileno(self) -> int:
        """That of the real one."""
        return self._real.fileno()

    def lines(self) -> list[str]:
        """The messages, without what moves on a line, such as a progress bar."""
        return [line for line in self.getvalue().split("\n") if line and not {"\r", "\x1b"} & set(line)]


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


@contextmanager
def pictures_kept() -> "Iterator[list[Shown]]":
    """Keep what commands would show, in order, instead of showing it."""
    kept: list[Shown] = []
    before = _pictures.set(kept)
    try:
        yield kept
    finally:
        _pictures.reset(before)


def pictures_wanted() -> bool:
    """Whether pictures are kept instead of shown."""
    return _pictures.get() is not None


def keep_picture(draw: "Callable[[], RenderableType]", page: "Callable[[], Page] | None") -> bool:
    """Keep a picture if that is wanted; whether it was."""
    kept = _pictures.get()
    if kept is None:
        return False
    kept.append(Shown(draw, page))
    return True


def showed(answer: Any) -> None:
    """Say that this answer is about to be shown."""
    kept = _answers.get()
    if kept is not None:
        kept.append(answer)


def lines_allowed() -> int | None:
    """How many lines a picture should take at most; None where it may be as tall as it likes."""
    return _lines.get()

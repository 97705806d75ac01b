"""What a view draws: lines of styled text, and what a click on them does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Action = tuple[object, ...]
"""What a click does: the name of an action of the screen, and its arguments."""


@dataclass(frozen=True)
class Spot:
    """A place that can be clicked: some columns of a line."""

    line: int
    start: int
    end: int
    action: Action


@dataclass
class Picture:
    """Lines, and places in them that can be clicked."""

    lines: list[Text] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)

    def add(self, *parts: "str | tuple[str, str]") -> None:
        """Add a line of texts, each with a style or without."""
        self.lines.append(line(*parts))

    def spot(self, start: int, end: int, *action: object, row: int | None = None) -> None:
        """Have a click between two columns of a line (the last one) do something."""
        self.spots.append(Spot(len(self.lines) - 1 if row is None else row, start, end, action))

    def at(self, column: int, row: int) -> Action | None:
        """What a click there does; the spot added last wins."""
        found = [each.action for each in self.spots if each.line == row and each.start <= column < each.end]
        return found[-1] if found else None

    def beside(self, other: "Picture", column: int) -> "Picture":
        """Another picture to the right of this one, from a column on."""
        made = Picture()
        for row in range(max(len(self.lines), len(other.lines))):
            left = self.lines[row].copy() if row < len(self.lines) else line()
            left.truncate(column, pad=True)
            made.lines.append(left.append_text(other.lines[row]) if row < len(other.lines) else left)
        moved = [Spot(each.line, each.start + column, each.end + column, each.action) for each in other.spots]
        made.spots = [*self.spots, *moved]
        return made

    def below(self, other: "Picture") -> None:
        """Add another picture below this one."""
        moved = [Spot(each.line + len(self.lines), each.start, each.end, each.action) for each in other.spots]
        self.lines += other.lines
        self.spots += moved


def line(*parts: "str | tuple[str, str]") -> Text:
    """One line, which is never wrapped."""
    made = Text(no_wrap=True, overflow="crop", end="")
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        made.append(text, style=style)
    return made


def fitted(text: str, width: int) -> str:
    """A text in exactly so many columns: filled up, or cut with an ellipsis."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 1 else "…"


def drawn(console: "Console", picture: "RenderableType", width: int, height: int | None = None) -> Picture:
    """One of the pictures of ``show``, as lines."""
    options = console.options.update(width=max(width, 1), height=None, max_width=max(width, 1))
    lines = console.render_lines(picture, options, pad=False)
    made = Picture()
    for segments in lines if height is None else lines[:height]:
        text = line()
        for segment in segments:
            text.append(segment.text, style=segment.style)
        made.lines.append(text)
    return made


def wrapped(text: str, width: int, style: str = "") -> Picture:
    """Running text in lines of at most so many columns."""
    from textwrap import wrap

    made = Picture()
    for paragraph in text.split("\n"):
        for each in wrap(paragraph, max(width, 1)) or [""]:
            made.add((each, style))
    return made


def choices(
    made: Picture,
    options: Iterable[tuple[str, str, Action]],
    gap: int = 2,
    start: Sequence["str | tuple[str, str]"] = (),
) -> None:
    """Add a line of texts that can be clicked: each with its style and action."""
    parts: list[str | tuple[str, str]] = list(start)
    column = sum(cell_len(part if isinstance(part, str) else part[0]) for part in parts)
    spots: list[tuple[int, int, Action]] = []
    for text, style, action in options:
        if spots:
            parts.append(" " * gap)
            column += gap
        parts.append((text, style))
        spots.append((column, column + cell_len(text), action))
        column += cell_len(text)
    made.add(*parts)
    for begin, end, action in spots:
        made.spot(begin, end, *action)


Draw = Callable[[int, int], Picture]
"""Draws into so many columns and lines."""

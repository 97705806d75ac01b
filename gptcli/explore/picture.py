"""What a view draws: lines of styled text, and what a click on them does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from gptcli.explore.line import Line, Look

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

    lines: list[Line] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)

    def add(self, *pieces: "str | tuple[str, Look]") -> None:
        """Add a line of texts, each with a style or without."""
        self.lines.append(Line(*pieces))

    def put(self, *pieces: "tuple[str, Look]", action: Action | None = None) -> None:
        """Add to the last line; a click on what is added does the action."""
        start = self.lines[-1].width
        for text, look in pieces:
            self.lines[-1].append(text, look)
        if action is not None:
            self.spot(start, self.lines[-1].width, *action)

    def spot(self, start: int, end: int, *action: object, row: int | None = None) -> None:
        """Have a click between two columns of a line (the last one) do something."""
        self.spots.append(Spot(len(self.lines) - 1 if row is None else row, start, end, action))

    def at(self, column: int, row: int) -> Action | None:
        """What a click there does; the spot added last wins."""
        found = [each.action for each in self.spots if each.line == row and each.start <= column < each.end]
        return found[-1] if found else None

    def next_to(self, other: "Picture", column: int) -> "Picture":
        """Another picture to the right of this one, from a column on."""
        made = Picture()
        for row in range(max(len(self.lines), len(other.lines))):
            left = (self.lines[row].copy() if row < len(self.lines) else Line()).fit(column, pad=True)
            made.lines.append(left.extend(other.lines[row]) if row < len(other.lines) else left)
        moved = [Spot(each.line, each.start + column, each.end + column, each.action) for each in other.spots]
        made.spots = [*self.spots, *moved]
        return made

    def below(self, other: "Picture") -> None:
        """Add another picture below this one."""
        moved = [Spot(each.line + len(self.lines), each.start, each.end, each.action) for each in other.spots]
        self.lines += other.lines
        self.spots += moved


def fitted(text: str, width: int) -> str:
    """A text in exactly so many columns: filled up, or cut with an ellipsis."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 1 else "…"


def joined(parts: Sequence[str], width: int, before: str = "") -> str:
    """As many of some remarks as fit, the first one in any case."""
    said = fitted(parts[0], width).rstrip() if cell_len(parts[0]) > width else parts[0]
    for part in parts[1:]:
        if cell_len(said) + cell_len(part) + 3 <= width:
            said += f" · {part}"
    return before + said


def drawn(console: "Console", picture: "RenderableType", width: int, height: int | None = None) -> Picture:
    """One of the pictures of ``show``, as lines."""
    options = console.options.update(width=max(width, 1), height=None, max_width=max(width, 1))
    lines = console.render_lines(picture, options, pad=False)
    made = Picture()
    for segments in lines if height is None else lines[:height]:
        made.lines.append(Line(*((segment.text, segment.style or "") for segment in segments)))
    return made


def wrapped(text: str, width: int, style: str = "") -> Picture:
    """Running text in lines of at most so many columns."""
    from textwrap import wrap

    made = Picture()
    for paragraph in text.split("\n"):
        for each in wrap(paragraph, max(width, 1)) or [""]:
            made.add((each, style))
    return made

"""From what Rich draws to shapes: bars, maps, frames and marks out of characters, and everything else as text.

All coordinates are in cells: a column is 1 wide and a line 1 high. Which cell a thing is in does not depend on a font.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gptcli.show.picture.look import Look, Theme

if TYPE_CHECKING:
    from rich.segment import Segment

# How thick a bar is, in lines; bars below each other do not touch.
BAR = 0.62
_LEFT_EIGHTHS = {character: (number + 1) / 8 for number, character in enumerate("▏▎▍▌▋▊▉█")}
_LOW_EIGHTHS = {character: (number + 1) / 8 for number, character in enumerate("▁▂▃▄▅▆▇")}
# Which of its arms a character of a frame has: left, right, up, down.
_ARMS = {
    "─": "lr",
    "━": "lr",
    "│": "ud",
    "┃": "ud",
    "└": "ur",
    "┘": "ul",
    "┌": "dr",
    "┐": "dl",
    "├": "udr",
    "┤": "udl",
    "┬": "lrd",
    "┴": "lru",
    "┼": "lrud",
    "╴": "l",
    "╶": "r",
    "╰": "ur",
    "╯": "ul",
    "╭": "dr",
    "╮": "dl",
}
FRAMES = frozenset(_ARMS)
_ENDS = {"l": (0.0, 0.5), "r": (1.0, 0.5), "u": (0.5, 0.0), "d": (0.5, 1.0)}
# The marks of plots, by name, and whether they are filled.
MARKS = {
    "●": ("circle", True),
    "○": ("circle", False),
    "▲": ("triangle", True),
    "△": ("triangle", False),
    "■": ("square", True),
    "□": ("square", False),
    "◆": ("diamond", True),
    "◇": ("diamond", False),
}
# What a segment of Rich's says about shapes that its characters only hint at (see ``blocks.canvas``).
DRAWN, SHAPES = "drawn", "shapes"
# And about the length of a bar, in columns: below zero it grows from its right end to the left.
LENGTH = "length"
# The shortest bar that is seen.
_SLIVER = 0.08


class Rect(NamedTuple):
    """A filled rectangle; ``sharp`` ones (fields of a map, grounds of text) touch their neighbours without a seam."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    sharp: bool


class Stroke(NamedTuple):
    """A straight line; ``arrow`` gives it a head at its end, and room for the marks at both."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    arrow: bool = False
    wide: bool = False


class Mark(NamedTuple):
    """The middle of a mark, one of ``MARKS``."""

    x: float
    y: float
    character: str
    colour: str


class Run(NamedTuple):
    """Text on one line that takes ``width`` columns from ``x`` on."""

    x: int
    y: int
    width: int
    text: str
    look: Look


@dataclass
class Shapes:
    """All of a picture, in the order of drawing: grounds, lines, marks, text."""

    columns: int = 0
    lines: int = 0
    rects: list[Rect] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


def shapes_of(lines: "Iterable[Sequence[Segment]]", theme: Theme) -> Shapes:
    """The shapes of drawn lines.

    Args:
        lines: each a row of segments, without newlines.
        theme: gives segments their colours.
    """
    found = Shapes()
    for row, line in enumerate(lines):
        column = 0
        for segment in line:
            if not segment.control:
                column += _add(found, segment, column, row, theme)
        found.columns = max(found.columns, _end(line, column))
        found.lines = row + 1
    return found


def _end(line: "Sequence[Segment]", column: int) -> int:
    """The columns of a line without the blanks at its end."""
    for segment in reversed(line):
        if segment.style is not None and segment.style.bgcolor is not None:
            return column
        if segment.text.strip():
            return column - (len(segment.text) - len(segment.text.rstrip()))
        column -= len(segment.text)
    return 0


def _add(found: Shapes, segment: "Segment", column: int, row: int, theme: Theme) -> int:
    """Take one segment apart; returns its columns."""
    from rich.cells import cell_len

    look, width = Look.of(segment.style, theme), cell_len(segment.text)
    meta = segment.style.meta if segment.style else {}
    for shape in meta.get(SHAPES, ()):
        _placed(found, shape, column, row, theme)
    if look.ground is not None and width:
        found.rects.append(Rect(column, row, width, 1, look.ground, sharp=True))
    if not meta.get(DRAWN):
        for start, text, kind in _parts(segment.text):
            if kind == "text":
                found.runs.append(Run(column + start, row, cell_len(text), text, look))
            else:
                _drawn(found, text, column + start, row, look, meta.get(LENGTH))
    return width


def _placed(found: Shapes, shape: Sequence[object], column: int, row: int, theme: Theme) -> None:
    """A line or mark that a canvas has given, at its own place."""
    from rich.style import Style

    kind, style, *rest = shape
    colour = Look.of(Style.parse(str(style)), theme).colour
    if kind == "mark":
        x, y, character = rest
        found.marks.append(Mark(column + float(str(x)), row + float(str(y)), str(character), colour))
    else:
        x1, y1, x2, y2 = (float(str(place)) for place in rest[:4])
        found.strokes.append(
            Stroke(column + x1, row + y1, column + x2, row + y2, colour, arrow=kind == "arrow", wide=True)
        )


def _parts(text: str) -> Iterator[tuple[int, str, str]]:
    """Runs of one kind with their columns: what is drawn, words, and other characters; blanks are left out."""
    from rich.cells import cell_len

    start, held, kind = 0, "", ""
    column = 0
    for character in text:
        own = _kind(character) if cell_len(character) else kind or "other"  # an accent stays with its letter
        if own != kind and not (own == "blank" and kind == "text" and held[-1:] != " "):
            if kind not in ("", "blank") and held.strip():
                yield start, held.rstrip(), "text" if kind in ("text", "other") else kind
            start, held, kind = column, "", own
        held += character
        column += cell_len(character)
    if kind not in ("", "blank") and held.strip():
        yield start, held.rstrip(), "text" if kind in ("text", "other") else kind


def _kind(character: str) -> str:
    """What a character is drawn as. Letters of other scripts are apart: their fonts have other widths."""
    if character == " ":
        return "blank"
    if character in _LEFT_EIGHTHS or character == "▐":
        return "bar"
    if character in _LOW_EIGHTHS or character == "▀":
        return "half"
    if character in _ARMS:
        return "frame"
    if character in MARKS:
        return "mark"
    return "text" if ord(character) < 0x250 or character in "…–—‘’“”" else "other"


def _drawn(found: Shapes, text: str, column: int, row: int, look: Look, length: float | None) -> None:
    kind = _kind(text[0])
    if kind == "bar":
        _bar(found, text, column, row, look, length)
    elif kind == "half":
        for place, character in enumerate(text):
            high = _LOW_EIGHTHS.get(character, 0.5)
            top = row if character == "▀" else row + 1 - high
            found.rects.append(Rect(column + place, top, 1, high, look.colour, sharp=True))
    elif kind == "mark":
        for place, character in enumerate(text):
            found.marks.append(Mark(column + place + 0.5, row + 0.5, character, look.colour))
    else:
        _frame(found, text, column, row, look.colour)


def _bar(found: Shapes, text: str, column: int, row: int, look: Look, length: float | None) -> None:
    """One rectangle for the whole bar, as long as it says, or else as its characters are."""
    start = column + (0.5 if text[0] == "▐" else 0.0)
    end = column + len(text) - 1 + _LEFT_EIGHTHS.get(text[-1], 1.0)
    if length is not None and length < 0:
        start = end - max(-length, _SLIVER)
    elif length is not None:
        end = start + max(length, _SLIVER)
    found.rects.append(Rect(start, row + (1 - BAR) / 2, end - start, BAR, look.colour, sharp=False))


def _frame(found: Shapes, text: str, column: int, row: int, colour: str) -> None:
    """The lines of a frame; a run of horizontal ones is one line."""
    if set(text) <= {"─", "━"}:
        found.strokes.append(Stroke(column, row + 0.5, column + len(text), row + 0.5, colour))
        return
    for place, character in enumerate(text):
        for arm in _ARMS[character]:
            x, y = _ENDS[arm]
            found.strokes.append(Stroke(column + place + 0.5, row + 0.5, column + place + x, row + y, colour))

"""A saved picture as SVG 1.1: vectors and text, laid out by columns, without scripts, styles or addresses.

Text names ordinary fonts, the first of which that is there is taken; each run says how long it is (``textLength``), so
that columns stay where they are with any of them.
"""

import html
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gptcli.show.picture.cells import MARKS, Mark, Rect, Run, Shapes, Stroke, shapes_of
from gptcli.show.picture.look import THEMES, Theme, mixed
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

# Of a cell, in pixels; whole ones, so that the fields of a map meet at the edge of a pixel.
WIDE, HIGH = 9, 20
_FONT, _BASELINE = 15, 15
_FAMILY = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', 'Courier New', monospace"
MARGIN = 24
_TITLE = 2  # lines that it takes
_LINE, _PLOT_LINE = 1, 2  # widths of lines of a frame, and of a plot
_RADIUS = 5.0
_HEAD = 11.0  # length of an arrow's


def svg(lines: "list[list[Segment]]", title: str, theme: str) -> str:
    """The document.

    Args:
        lines: what the console drew.
        title: above the picture, and its name for screen readers; "" for none.
        theme: ``light`` or ``dark``.
    """
    colours = THEMES[theme]
    shapes = shapes_of(lines, colours)
    top = MARGIN + (_TITLE * HIGH if title else 0)
    width, height = 2 * MARGIN + max(shapes.columns, 1) * WIDE, top + MARGIN + shapes.lines * HIGH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="{_FAMILY}" font-size="{_FONT}">',
        *([f"<title>{_text(title)}</title>"] if title else []),
        f'<rect width="{width}" height="{height}" fill="{colours.ground}"/>',
        *([_title(title, (width - 2 * MARGIN) // WIDE, colours)] if title else []),
        f'<g transform="translate({MARGIN} {top})">',
        *inner(shapes, Plain(colours.ground)),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class Paint(Protocol):
    """Gives shapes their colours, as attributes."""

    def fill(self, colour: str) -> str:
        """Of what is filled, text too."""

    def stroke(self, colour: str) -> str:
        """Of a line."""

    def mark(self, colour: str, *, filled: bool) -> str:
        """Of a mark: its line, and its inside where it is filled; otherwise the ground is."""


class Plain(NamedTuple):
    """Colours as they are, on one ground."""

    ground: str

    def fill(self, colour: str) -> str:
        """Of what is filled, text too."""
        return f'fill="{colour}"'

    def stroke(self, colour: str) -> str:
        """Of a line."""
        return f'stroke="{colour}"'

    def mark(self, colour: str, *, filled: bool) -> str:
        """Of a mark: its line, and its inside where it is filled; otherwise the ground is."""
        return f'fill="{colour if filled else self.ground}" stroke="{colour}"'


def inner(shapes: Shapes, paint: Paint) -> Iterator[str]:
    """The elements of a picture, in pixels from its upper left corner."""
    for rect in shapes.rects:
        yield _rect(rect, paint)
    for stroke in shapes.strokes:
        yield from _stroke(stroke, paint)
    for mark in shapes.marks:
        yield _mark(mark, paint)
    for run in shapes.runs:
        yield _run(run, paint)


def drawn_lines(picture: "RenderableType", console: "Console", options: "ConsoleOptions") -> "list[list[Segment]]":
    """A picture as lines of segments."""
    from rich.segment import Segment

    return [list(line) for line in Segment.split_lines(console.render(picture, options))]


def _title(title: str, columns: int, theme: Theme) -> str:
    from rich.cells import cell_len, set_cell_size

    shown = visible(title, keep="").replace("\n", " ")
    shown = shown if cell_len(shown) <= columns else set_cell_size(shown, max(columns - 1, 1)) + "…"
    length = cell_len(shown) * WIDE
    return (
        f'<text x="{MARGIN}" y="{MARGIN + _BASELINE}" textLength="{length}" lengthAdjust="spacingAndGlyphs" '
        f'font-weight="bold" fill="{mixed(theme.ink, theme.ground, 0.25)}">{_text(shown)}</text>'
    )


def _rect(rect: Rect, paint: Paint) -> str:
    sharp = ' shape-rendering="crispEdges"' if rect.sharp else ""
    place = f'x="{_px(rect.x * WIDE)}" y="{_px(rect.y * HIGH)}"'
    return (
        f'<rect {place} width="{_px(rect.width * WIDE)}" height="{_px(rect.height * HIGH)}" '
        f"{paint.fill(rect.colour)}{sharp}/>"
    )


def _stroke(stroke: Stroke, paint: Paint) -> Iterator[str]:
    x1, y1, x2, y2 = stroke.x1 * WIDE, stroke.y1 * HIGH, stroke.x2 * WIDE, stroke.y2 * HIGH
    if stroke.arrow:
        length = math.hypot(x2 - x1, y2 - y1)
        if length < 4 * _RADIUS:  # the marks touch
            return
        across, down = (x2 - x1) / length, (y2 - y1) / length
        room = _RADIUS + 2
        x1, y1, x2, y2 = x1 + across * room, y1 + down * room, x2 - across * room, y2 - down * room
        back_x, back_y, half = x2 - across * _HEAD, y2 - down * _HEAD, _HEAD * 0.42
        corners = (
            (x2, y2),
            (back_x - down * half, back_y + across * half),
            (back_x + down * half, back_y - across * half),
        )
        points = " ".join(f"{_px(x)},{_px(y)}" for x, y in corners)
        yield f'<polygon points="{points}" {paint.fill(stroke.colour)}/>'
        x2, y2 = back_x, back_y
    thick = _PLOT_LINE if stroke.wide else _LINE
    yield (
        f'<line x1="{_px(x1)}" y1="{_px(y1)}" x2="{_px(x2)}" y2="{_px(y2)}" {paint.stroke(stroke.colour)} '
        f'stroke-width="{thick}"/>'
    )


def _mark(mark: Mark, paint: Paint) -> str:
    shape, filled = MARKS.get(mark.character, MARKS["●"])
    x, y, r = mark.x * WIDE, mark.y * HIGH, _RADIUS
    look = f'{paint.mark(mark.colour, filled=filled)} stroke-width="1.5"'
    if shape == "circle":
        return f'<circle cx="{_px(x)}" cy="{_px(y)}" r="{_px(r * 0.9)}" {look}/>'
    corners = {
        "triangle": ((0, -r), (r, 0.8 * r), (-r, 0.8 * r)),
        "square": ((-0.8 * r, -0.8 * r), (0.8 * r, -0.8 * r), (0.8 * r, 0.8 * r), (-0.8 * r, 0.8 * r)),
        "diamond": ((0, -1.1 * r), (1.1 * r, 0), (0, 1.1 * r), (-1.1 * r, 0)),
    }[shape]
    points = " ".join(f"{_px(x + across)},{_px(y + down)}" for across, down in corners)
    return f'<polygon points="{points}" {look}/>'


def _run(run: Run, paint: Paint) -> str:
    look = run.look
    lines = [name for name, on in (("underline", look.underline), ("line-through", look.strike)) if on]
    style = (
        (' font-weight="bold"' if look.bold else "")
        + (' font-style="italic"' if look.italic else "")
        + (f' text-decoration="{" ".join(lines)}"' if lines else "")
    )
    length = run.width * WIDE
    measured = f' textLength="{length}" lengthAdjust="spacingAndGlyphs"' if length else ""
    return (
        f'<text x="{run.x * WIDE}" y="{run.y * HIGH + _BASELINE}"{measured} {paint.fill(look.colour)}{style}>'
        f"{_text(run.text)}</text>"
    )


def _px(number: float) -> str:
    """At most two decimals."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _text(shown: str) -> str:
    """Text escaped for XML, without characters that XML has no way to write."""
    safe = visible(shown, keep="")
    return html.escape("".join(each for each in safe if each.isprintable() or each in "\u200c\u200d"), quote=True)

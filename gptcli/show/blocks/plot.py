"""The plots: points with labels that do not overlap and arrows between them, and lines over steps.

Both fill the width that they are given. Markers differ in shape as well as in colour.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from gptcli.show.blocks.canvas import ACROSS, DOWN, Canvas, dots_between
from gptcli.show.blocks.palette import series
from gptcli.show.terminal.watching import lines_allowed

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

MARKERS = "●▲■◆"
HOLLOW = "○△□◇"
# By the side of the head on which the end is: across, up.
_HEADS = dict(zip([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)], "→↗↑↖←↙↓↘", strict=True))
_MOST_ROWS, _FEWEST_ROWS = 32, 8
# Lines of a plot besides its rows: the axes, and what was left out.
_AROUND, _AROUND_IN_TOUR = 4, 8


@dataclass(frozen=True)
class Dot:
    """A point of a scatter plot.

    Attributes:
        x, y: its coordinates, y upwards.
        label: its name, already made visible.
        marker: one character.
        style: of both.
    """

    x: float
    y: float
    label: str
    marker: str = MARKERS[0]
    style: str = ""


@dataclass(frozen=True)
class Scatter:
    """Points on a plane, to the same scale in both directions.

    Labels that do not fit next to their marker are left out, the last points' first, and counted.

    Attributes:
        dots: the points; of two in one cell the first is drawn.
        arrows: indices of start and end, and the style.
        x_name, y_name: of the axes.
        hint: text after the number of labels left out.
        below: lines that follow it, which a terminal is to show with it.
    """

    dots: Sequence[Dot]
    arrows: Sequence[tuple[int, int, str]]
    x_name: str
    y_name: str
    hint: str = ""
    below: int = 0

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as the terminal, and as high as it needs."""
        from rich.text import Text

        canvas, cells = self._laid_out(max(options.max_width - 2, 1), self._lines(console))
        for start, end, style in self.arrows:
            _draw_arrow(canvas, cells[start], cells[end], style)
        for dot, (x, y) in zip(self.dots, cells, strict=True):
            if canvas.free(x // ACROSS, y // DOWN, 1):
                canvas.mark(x, y, dot.marker, dot.style)
        left_out = sum(
            not _label(canvas, x // ACROSS, y // DOWN, dot) for dot, (x, y) in zip(self.dots, cells, strict=True)
        )
        yield Text(f"↑ {self.y_name}", style="dim", no_wrap=True, overflow="ellipsis")
        for line in canvas.lines():
            yield Text(no_wrap=True).append("│", style="dim").append_text(line)
        yield Text("└" + "─" * canvas.columns, style="dim", no_wrap=True)
        yield Text(f"{self.x_name} →", style="dim", no_wrap=True, overflow="ellipsis", justify="right")
        if left_out:
            yield Text(f"{left_out} of {len(self.dots)} labels left out for lack of space{self.hint}")

    def _lines(self, console: "Console") -> int:
        """How many rows there may be: on a screen all is to be seen at once, with its axes and what follows."""
        allowed = lines_allowed()
        if allowed is not None:
            return allowed - _AROUND_IN_TOUR
        on_screen = getattr(console.file, "isatty", lambda: False)()
        return console.height - _AROUND - self.below if on_screen else _MOST_ROWS

    def _laid_out(self, columns: int, lines: int) -> tuple[Canvas, list[tuple[int, int]]]:
        """An empty canvas, and the cell of each point."""
        xs, ys = [dot.x for dot in self.dots], [dot.y for dot in self.dots]
        wide, high = max(xs) - min(xs), max(ys) - min(ys)
        most = min(max(columns // 3, _FEWEST_ROWS), _MOST_ROWS, max(lines, _FEWEST_ROWS))
        needed = math.ceil(columns / 2 * high / wide) + 1 if columns * high < 2 * most * wide else most
        canvas = Canvas(columns, min(max(needed, _FEWEST_ROWS), most))
        # Half a cell stays free on each side.
        across, down = max(columns * ACROSS - ACROSS, 1), canvas.rows * DOWN - DOWN
        scales = [size / span for size, span in ((across, wide), (down, high)) if span]
        scale = min(filter(math.isfinite, scales), default=1.0)
        middle_x, middle_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
        return canvas, [
            (
                round(columns * ACROSS / 2 - 0.5 + (dot.x - middle_x) * scale),
                round(canvas.rows * DOWN / 2 - 0.5 - (dot.y - middle_y) * scale),
            )
            for dot in self.dots
        ]


def _draw_arrow(canvas: Canvas, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
    """A line whose head is the last cell before the end's row (or column, where it is flat), and points at the end."""
    canvas.line(start, end, style, arrow=True)
    cells = [(x // ACROSS, y // DOWN) for x, y in dots_between(start, end)]
    first, last = cells[0], cells[-1]
    if first == last:
        return
    axis = 1 if abs(end[1] - start[1]) >= abs(end[0] - start[0]) else 0
    between = [cell for cell in cells if cell not in (first, last)]
    before = [cell for cell in between if cell[axis] != last[axis]] or between
    head = before[-1] if before else last
    toward = head if before else first
    across, up = last[0] - toward[0], toward[1] - last[1]
    sign = ((across > 0) - (across < 0), (up > 0) - (up < 0))
    canvas.head(*head, _HEADS[sign], style)


def _label(canvas: Canvas, column: int, row: int, dot: Dot) -> bool:
    """Write a label where it touches no other text and crosses the fewest lines; False where it fits nowhere."""
    from rich.cells import cell_len

    width = cell_len(dot.label)
    right, left, middle = column + 2, column - 1 - width, column - width // 2
    places = [(right, row), (left, row), (middle, row - 1), (middle, row + 1)]
    places += [(start, line) for line in (row - 1, row + 1) for start in (column + 1, column - width)]
    # With a free cell on both sides, except where the canvas ends.
    fitting = [
        (start, line)
        for start, line in places
        if canvas.free(start, line, width)
        and (start == 0 or canvas.free(start - 1, line, 1))
        and (start + width == canvas.columns or canvas.free(start + width, line, 1))
    ]
    if fitting:
        start, line = min(fitting, key=lambda place: canvas.crossed(place[0], place[1], width))
        canvas.put(start, line, dot.label, dot.style)
    return bool(fitting)


@dataclass(frozen=True)
class Line:
    """One line of a line plot: a value at each step."""

    label: str
    values: Sequence[float]


@dataclass(frozen=True)
class LinePlot:
    """Lines over steps.

    Attributes:
        lines: each with a value at every step; of two markers in one cell the first is drawn.
        steps: the names of the steps.
        x_name, y_name: of the axes.
    """

    lines: Sequence[Line]
    steps: Sequence[str]
    x_name: str
    y_name: str

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as the terminal."""
        from rich.cells import cell_len
        from rich.text import Text

        values = [value for line in self.lines for value in line.values]
        ticks = nice_ticks(min(values), max(values))
        gutter = max(map(len, ticks.values()))
        labels = max(cell_len(line.label) for line in self.lines) + 3
        rows = min(max(options.max_width // 6, 8), 16, max((lines_allowed() or 99) - 7, 8))
        rows = _even_rows(rows, len(ticks) - 1)
        canvas = Canvas(max(options.max_width - gutter - labels - 3, 1), rows)
        ends = self._drawn(canvas, min(ticks), max(ticks))
        marked = {_y(canvas, tick, min(ticks), max(ticks)) // DOWN: shown for tick, shown in ticks.items()}
        yield Text(self.y_name, style="dim")
        for row, line in enumerate(canvas.lines()):
            edge = f"{marked.get(row, ''):>{gutter}} {'┤' if row in marked else '│'}"
            yield Text(no_wrap=True).append(edge, style="dim").append_text(line).append_text(ends.get(row, Text()))
        yield Text(" " * (gutter + 1) + "└" + "─" * canvas.columns, style="dim", no_wrap=True)
        yield Text(" " * (gutter + 2) + self._named_steps(canvas), style="dim", no_wrap=True)
        yield Text(self.x_name.rjust(gutter + 2 + canvas.columns), style="dim", no_wrap=True, overflow="ellipsis")

    def _drawn(self, canvas: Canvas, low: float, high: float) -> "dict[int, Text]":
        """Draw the lines; returns the labels to write after the rows."""
        from rich.text import Text

        ends: dict[int, Text] = {}
        for index, line in enumerate(self.lines):
            style, marker = series(index), (MARKERS + HOLLOW)[index % len(MARKERS + HOLLOW)]
            at = [(self._x(canvas, step), _y(canvas, value, low, high)) for step, value in enumerate(line.values)]
            for start, end in pairwise(at):
                canvas.line(start, end, style)
            for x, y in at:
                if canvas.free(x // ACROSS, y // DOWN, 1):
                    canvas.mark(x, y, marker, style)
            last = at[-1][1] // DOWN
            row = min(
                (row for row in range(canvas.rows) if row not in ends), key=lambda row: abs(row - last), default=None
            )
            if row is not None:
                ends[row] = Text(f" {marker} {line.label}", style=style)
        return ends

    def _x(self, canvas: Canvas, step: int) -> int:
        return round(step / max(len(self.steps) - 1, 1) * (canvas.columns * ACROSS - 1))

    def _named_steps(self, canvas: Canvas) -> str:
        """As many names of steps as fit, each under its step."""
        row = Canvas(canvas.columns, 1)
        for step in [0, len(self.steps) - 1, *range(1, len(self.steps) - 1)]:
            name = self.steps[step]
            start = min(max(self._x(canvas, step) // ACROSS - len(name) // 2, 0), canvas.columns - len(name))
            margins = [place for place in (start - 1, start + len(name)) if 0 <= place < canvas.columns]
            if row.free(start, 0, len(name)) and all(row.free(place, 0, 1) for place in margins):
                row.put(start, 0, name)
        return next(row.lines()).plain


def nice_ticks(low: float, high: float, most: int = 6) -> dict[float, str]:
    """Round figures that span a range, lowest first, each with its text."""
    span = (high - low) or abs(high) or 1.0
    lowest = math.floor(math.log10(span / most))
    for power in (lowest, lowest + 1):
        for factor in (1, 2, 5):
            step = factor * 10.0**power
            first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
            counts = range(first, max(last, first + 1) + 1)
            if len(counts) <= most:
                return {count * step: f"{count * step:.{max(-power, 0)}f}" for count in counts}
    return {low: f"{low:g}", high: f"{high:g}"}


def _even_rows(wanted: int, steps: int) -> int:
    """A number of rows near this one in which ticks are equally far apart: one row, and as many more for each step."""
    return max(round((wanted - 1) / steps), 1) * steps + 1


def _y(canvas: Canvas, value: float, low: float, high: float) -> int:
    """A value's height in dots from the top; the ends of the axis are in the middle of their rows."""
    return round((high - value) / (high - low) * (canvas.rows - 1) * DOWN + (DOWN - 1) / 2)

"""Heat maps, large ones with figures and small ones for a grid, and the legend that goes with them.

A cell whose figure is not finite is left blank.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.palette import colour, on_scale
from gptcli.show.blocks.pictures import shade
from gptcli.show.html.parts import Legend
from gptcli.text import visible

_APART = "   "  # between two notes

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.segment import Segment
    from rich.text import Text


@dataclass(frozen=True)
class HeatGrid:
    """A map with text: each cell has a colour and its figure or another text.

    Attributes:
        rows: labels of the rows.
        columns: labels of the columns, which set their width; none where they stand elsewhere.
        values: [rows][columns] figures; one that is not finite has no colour.
        bounds: the figures at the ends of the colour map.
        texts: [rows][columns], the text of each cell.
        signed: the middle of the colour map is zero.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    bounds: tuple[float, float]
    texts: Sequence[Sequence[str]]
    signed: bool = False

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Segment]":
        """The labels of the columns, then row after row."""
        from rich.segment import Segment

        coloured = has_colours(console)
        margin, widths = self._margin(), self._widths()
        if self.columns:
            yield Segment(" " * margin)
            for head, width in zip(map(_on_one_line, self.columns), widths, strict=True):
                yield Segment(_right(head, width), console.get_style("bold"))
            yield Segment.line()
        for name, values, texts in zip(map(_on_one_line, self.rows), self.values, self.texts, strict=True):
            label = name + " " * (margin - _cell_len(name))
            cells = [_right(text, width) for text, width in zip(texts, widths, strict=True)]
            if not coloured:
                yield Segment(f"{label}{''.join(cells)}\n")
                continue
            yield Segment(label)
            for value, cell in zip(values, cells, strict=True):
                yield Segment(cell, console.get_style(self.style(value)))
            yield Segment.line()

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        """As wide as its labels and cells are."""
        from rich.measure import Measurement

        width = min(self._margin() + sum(self._widths()), options.max_width)
        return Measurement(width, width)

    def style(self, value: float) -> str:
        """The style of a cell with this figure; "" for none."""
        fraction = _fraction(value, *self.bounds)
        return "" if fraction is None else on_scale(fraction, signed=self.signed)

    def _margin(self) -> int:
        return max((_cell_len(_on_one_line(row)) for row in self.rows), default=0) + 1

    def _widths(self) -> list[int]:
        heads = [list(map(_on_one_line, self.columns))] if self.columns else []
        return [max(map(_cell_len, column)) + 2 for column in zip(*heads, *self.texts, strict=True)]


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    bounds: tuple[float, float] | None = None,
    texts: Sequence[Sequence[str]] | None = None,
    *,
    signed: bool = False,
) -> HeatGrid:
    """A grid with the usual settings: bounds at the smallest and the largest figure, texts of three decimals."""
    shown = texts or [[f"{value:.3f}" for value in row] for row in values]
    return HeatGrid(rows, columns, values, bounds or finite_bounds(values), shown, signed)


def finite_bounds(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The smallest and the largest finite figure of a map; (0, 1) where none is."""
    finite = [value for row in values for value in row if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


@dataclass(frozen=True)
class SmallMap:
    """A map without text: one column for each figure, and with colour half a line for each row.

    Without colour a row is a line of shades, of which ``·`` is the lowest; empty cells are blank.

    Attributes:
        values: [rows][columns] figures; one that is not finite leaves its cell empty.
        bounds: the figures at the ends of the colour map.
    """

    values: Sequence[Sequence[float]]
    bounds: tuple[float, float] = (0.0, 1.0)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it, in half blocks or shades."""
        from rich.text import Text

        rows = [[_fraction(value, *self.bounds) for value in row] for row in self.values]
        if not has_colours(console):
            shades = "\n".join("".join(map(map_shade, row)).rstrip() for row in rows)
            yield Text(shades, no_wrap=True, overflow="crop")
            return
        drawn = Text(no_wrap=True, overflow="crop")
        empty: list[float | None] = [None] * max(map(len, rows), default=0)
        for index in range(0, len(rows), 2):
            lower = rows[index + 1] if index + 1 < len(rows) else empty
            drawn.append("\n" if index else "")
            for top, bottom in zip(rows[index], lower, strict=True):
                drawn.append(*half_blocks(top, bottom))
        yield drawn

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        """As wide as its rows are long."""
        from rich.measure import Measurement

        width = min(max(map(len, self.values), default=0), options.max_width)
        return Measurement(width, width)


@dataclass(frozen=True)
class MapLegend:
    """The legend of a map's colours, or of its shades without colour, on one line.

    Attributes:
        name: what the figures are.
        bounds: the figures at the ends of the colour map.
        empty: the meaning of a blank cell; "" if there is none.
    """

    name: str
    bounds: tuple[float, float] = (0.0, 1.0)
    empty: str = ""

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Five figures on their colours, or the five shades with the figures at which each begins."""
        from rich.text import Text

        low, high = self.bounds
        digits = max(2 - math.floor(math.log10((high - low) or 1.0)), 0)
        empty = f"   blank: {self.empty}" if self.empty else ""

        def figure(part: float) -> str:
            return f"{round(low + (high - low) * part, digits) + 0.0:g}"  # no -0

        if has_colours(console):
            ticks = [(figure(step / 4), step / 4) for step in range(5)]
            yield from _swatches(Legend(self.name, ticks, empty), options.max_width)
        else:
            shades = "".join(f" {map_shade(step / 5) * 2} {figure(step / 5)}+" for step in range(5))
            yield Text(f"{self.name} {shades}{empty}", style="dim")


@dataclass(frozen=True)
class TextLegend:
    """The legend of the colours behind tokens, on one line.

    Attributes:
        legend: figures on their colours.
        plain: the legend without colour.
    """

    legend: Legend
    plain: str

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """The figures on their colours, or the plain legend."""
        from rich.text import Text

        if has_colours(console):
            yield from _swatches(self.legend, options.max_width)
        else:
            yield Text(self.plain, style="dim")


def _swatches(legend: Legend, width: int) -> "Iterator[Text]":
    """The name, the figures on their colours and the notes: what does not fit on a line begins the next one."""
    from rich.text import Text

    ticks = Text(no_wrap=True, overflow="crop")
    for tick, fraction in legend.ticks:
        ticks.append(f" {tick} ", style=on_scale(fraction, signed=legend.signed))
    line = Text(f"{legend.name} ", style="dim")
    unit, *more = legend.unit.split(_APART)
    notes = [Text(f" {unit}" if unit else "", style="dim"), *(Text(f"{_APART}{note}", style="dim") for note in more)]
    for part in (ticks, *notes):
        if line.cell_len + part.cell_len <= width:
            line = Text.assemble(line, part)
        else:
            yield line
            line = part if part is ticks else Text(part.plain.lstrip(), style="dim")
    yield line


def has_colours(console: "Console") -> bool:
    """Whether a console shows enough colours for the colour map."""
    return console.color_system in ("256", "truecolor") and not console.no_color


def _right(text: str, width: int) -> str:
    return (text.rjust(width - 1) if text.isascii() else " " * (width - 1 - _cell_len(text)) + text) + " "


def _cell_len(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _on_one_line(label: str) -> str:
    return visible(label, keep="")


def _fraction(value: float, low: float, high: float) -> float | None:
    """A figure's position on the colour map; None for one that is not finite."""
    return (value - low) / ((high - low) or 1.0) if math.isfinite(value) else None


def map_shade(fraction: float | None) -> str:
    """One character for a cell of a map without colour; None: it is empty."""
    return " " if fraction is None else shade(fraction).replace(" ", "·")


def half_blocks(top: float | None, bottom: float | None) -> tuple[str, str]:
    """One character for two cells above each other, and its style."""
    if top is None:
        return (" ", "") if bottom is None else ("▄", colour(bottom))
    return ("▀", colour(top)) if bottom is None else ("▀", f"{colour(top)} on {colour(bottom)}")

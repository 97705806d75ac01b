"""The table of all commands: it looks like Rich's, and writes its rows one by one, so that long tables are quick.

Rich lays out the heading and the columns, from one row with each column's widest cell. ``row_lines`` then lays out the
rows.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from functools import cached_property
from itertools import repeat
from typing import Any, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from gptcli.show.blocks.row_lines import RowLines, text_width

# Marks the rows in the drawn frame; a private character, which is never shown otherwise.
_MARK = "\ue000"
_STYLE: dict[str, Any] = {
    "box": box.Box(str(box.SIMPLE_HEAD), ascii=True),  # where an encoding lacks its line, encoding.py has another
    "pad_edge": False,
    "title_justify": "left",
    "title_style": "bold",
}
# Style of a table without a rule below its heading.
BARE: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0), "header_style": "dim"}
# Columns of names, of figures, and of bars at least, in a pipe.
_NAME, _FIGURE, _BAR = 16, 8, 8
_OF_A_COLUMN = (
    "header",
    "header_style",
    "style",
    "justify",
    "overflow",
    "width",
    "min_width",
    "max_width",
    "ratio",
    "no_wrap",
)


def least_width(heading: str, *, right: bool) -> int:
    """The least width of a column in a pipe, where columns should not depend on their cells; 0 for bars."""
    return 0 if not heading.strip() else _FIGURE if right else _NAME


class Row(NamedTuple):
    """A row: its cells, its style, and whether a blank line follows."""

    cells: Sequence[RenderableType]
    style: str | None
    end_section: bool


class Rows(Table):
    """A table without lines between its cells, which keeps its rows as they are until it is drawn.

    Args:
        style: arguments of Rich's table that replace the usual style, such as ``BARE``.
    """

    def __init__(self, **style: Any) -> None:
        self._style = {**_STYLE, **style}
        super().__init__(**self._style)
        self._listed: list[Row] = []
        self._kept: Sequence[int] | None = None  # indices of the columns that are drawn; None: all

    def add_row(  # type: ignore[override]  # no style but one by name
        self, *cells: RenderableType, style: str | None = None, end_section: bool = False
    ) -> None:
        """Add a row; cells that are not given are empty."""
        self._listed.append(Row(cells, style, end_section))

    def add_section(self) -> None:
        """Add a blank line after the last row."""
        if self._listed:
            self._listed[-1] = self._listed[-1]._replace(end_section=True)

    @cached_property
    def widest(self) -> "list[_Probe]":
        """A probe for the width of each column; the table must be complete."""
        count = len(self.columns)
        columns = list(zip(*(_filled(row.cells, count) for row in self._listed), strict=True))
        return [_Probe.of(cells) for cells in columns or repeat((), count)]

    def without(self, headings: Sequence[str]) -> "Rows":
        """The same rows without the columns of these headings."""
        kept = [index for index, column in enumerate(self.columns) if column.header not in headings]
        made = Rows(**self._style)
        self._describe(made, kept)
        made._listed, made._kept = self._listed, kept
        made.widest = [copy(self.widest[index]) for index in kept]
        return made

    @property
    def listed(self) -> Sequence[Row]:
        """The rows so far."""
        return self._listed

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as its widest cells."""
        return Measurement.get(console, options, self._framed(self.widest))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The heading, the rows, and the caption."""
        self._widen(console, options)
        frame = list(Segment.split_lines(console.render(self._framed(self.widest), options.update(height=None))))
        widths = [probe.width for probe in self.widest]
        marked = [index for index, line in enumerate(frame) if any(_MARK in segment.text for segment in line)]
        if len(marked) != 1 or 0 in widths:  # nothing to draw, or a column without width
            yield self._whole()
            return
        for line in frame[: marked[0]]:
            yield from line
            yield Segment.line()
        blank = " " * (sum(widths) + 3 * len(widths) - 1) if self.box else ""
        lines = RowLines(console, options, self.columns, widths, self.padding, bool(self.box))
        for number, row in enumerate(self._listed, start=1):
            yield from lines.draw(self.cells_of(row), row.style)
            if blank and row.end_section and number < len(self._listed):
                yield Segment(blank + "\n")
        for line in frame[marked[0] + 1 :]:
            yield from line
            yield Segment.line()

    def cells_of(self, row: Row) -> Sequence[RenderableType]:
        """The cells of a row, one for each column."""
        if self._kept is None:
            return _filled(row.cells, len(self.columns))
        return [row.cells[index] if index < len(row.cells) else "" for index in self._kept]

    def _widen(self, console: Console, options: ConsoleOptions) -> None:
        """In a pipe, give columns a width that does not depend on their cells, if all fit: so ``diff`` shows cells."""
        if console.is_terminal or not self.box:
            return
        for probe, column in zip(self.widest, self.columns, strict=True):
            probe.least = least_width(str(column.header), right=column.justify == "right")
        unlimited = options.update(width=1000)
        bars = [probe.__rich_measure__(console, unlimited) for probe in self.widest if not probe.least]
        spare = sum(most - max(least, min(most, _BAR)) for least, most in bars)
        if Measurement.get(console, unlimited, self._framed(self.widest)).maximum - spare > options.max_width:
            for probe in self.widest:
                probe.least = 0

    def _whole(self) -> Table:
        """The table as Rich's own."""
        made = self._framed()
        for row in self._listed:
            made.add_row(*self.cells_of(row), style=row.style, end_section=row.end_section)
        return made

    def _framed(self, row: Sequence[RenderableType] = ()) -> Table:
        """Rich's own table with one row or none."""
        made = Table(**self._style)
        self._describe(made, range(len(self.columns)))
        if row and self._listed:
            made.add_row(*row)
        return made

    def _describe(self, made: Table, columns: Iterable[int]) -> None:
        """Copy title, caption and some columns to another table."""
        made.title, made.caption, made.caption_justify = self.title, self.caption, self.caption_justify
        for index in columns:
            column = self.columns[index]
            made.add_column(**{name: getattr(column, name) for name in _OF_A_COLUMN})


def _filled(cells: Sequence[RenderableType], count: int) -> Sequence[RenderableType]:
    """The cells, filled up with empty ones to ``count``."""
    return cells if len(cells) == count else [*cells, *[""] * (count - len(cells))]


class _Probe:
    """Measures like all cells of a column; when it is drawn, it records the width and draws the mark."""

    def __init__(self, cells: Sequence[RenderableType]) -> None:
        self._cells = cells
        self.width = self.least = 0

    @classmethod
    def of(cls, cells: Sequence[RenderableType]) -> "_Probe":
        """For the widest text, and one picture of each type: those of a type are equally wide."""
        pictures = {type(cell): cell for cell in cells if not isinstance(cell, (str, Text))}
        return cls([max(cells, key=text_width, default=""), *pictures.values()])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        each = [Measurement.get(console, options, cell) for cell in self._cells]
        least, most = max(least for least, _ in each), max(most for _, most in each)
        return Measurement(max(least, self.least), max(most, self.least))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.width = options.max_width
        yield Text(_MARK)

"""The house table: it looks as Rich draws it, and writes its rows one by one, as quickly for fifty thousand as for ten.

Rich lays out the heading and the columns, from one row of each column's widest cell. A row whose cells are a line of
text or a bar each is then put together here; Rich draws any other.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property, lru_cache
from itertools import repeat
from typing import Any, NamedTuple, Protocol, cast

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

# Stands for the rows where the rest of the table is drawn; as a private character it is never shown otherwise.
_MARK = "\ue000"
_STYLE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "pad_edge": False,
    "title_justify": "left",
    "title_style": "bold",
}
# Of a table without a rule below its heading.
BARE: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0), "header_style": "dim"}
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


class Line(Protocol):
    """What a cell may hold in addition to text: a picture of one line, to the left of its column."""

    def pieces(self, width: int) -> Sequence[tuple[str, str]]:
        """The line, no wider than so many columns: texts and their styles."""


class Row(NamedTuple):
    """A row: its cells, how all of it is styled, and whether a blank line follows."""

    cells: Sequence[RenderableType]
    style: str | None
    end_section: bool


class Rows(Table):
    """A table without lines between its cells, whose rows are kept as they are until they are drawn.

    Args:
        style: what Rich's table takes, in place of the house style: ``BARE``, perhaps with another padding.
    """

    def __init__(self, **style: Any) -> None:
        self._style = {**_STYLE, **style}
        super().__init__(**self._style)
        self._listed: list[Row] = []
        self._kept: Sequence[int] | None = None  # the places of the columns that are drawn; None: all

    def add_row(  # type: ignore[override]  # no style but one by name
        self, *cells: RenderableType, style: str | None = None, end_section: bool = False
    ) -> None:
        """Add a row; cells that are not given are empty."""
        self._listed.append(Row(cells, style, end_section))

    def add_section(self) -> None:
        """A blank line behind the last row."""
        if self._listed:
            self._listed[-1] = self._listed[-1]._replace(end_section=True)

    @cached_property
    def widest(self) -> "list[_Probe]":
        """Of each column what measures as the whole of it. The table is complete when it is first asked for."""
        count = len(self.columns)
        columns = list(zip(*(_filled(row.cells, count) for row in self._listed), strict=True))
        return [_Probe.of(cells) for cells in columns or repeat((), count)]

    def without(self, headings: Sequence[str]) -> "Rows":
        """The same rows without the columns of these headings."""
        kept = [place for place, column in enumerate(self.columns) if column.header not in headings]
        made = Rows(**self._style)
        self._describe(made, kept)
        made._listed, made._kept = self._listed, kept
        made.widest = [copy(self.widest[place]) for place in kept]
        return made

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as its widest cells want it."""
        return Measurement.get(console, options, self._framed(self.widest))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The heading, then row after row, then what stands below."""
        frame = list(Segment.split_lines(console.render(self._framed(self.widest), options.update(height=None))))
        widths = [probe.width for probe in self.widest]
        marked = [place for place, line in enumerate(frame) if any(_MARK in segment.text for segment in line)]
        if len(marked) != 1 or 0 in widths:  # nothing to draw, or a column without width
            yield self._whole()
            return
        for line in frame[: marked[0]]:
            yield from line
            yield Segment.line()
        blank = " " * (sum(widths) + 3 * len(widths) - 1) if self.box else ""
        styles = lru_cache(maxsize=None)(lambda name: _Styles.of(console, name))
        for place, row in enumerate(self._listed, start=1):
            cells = self._cells(row)
            yield from self._quick(console, cells, widths, styles(row.style)) or self._tall(
                console, options, cells, widths, styles(row.style)
            )
            if blank and row.end_section and place < len(self._listed):
                yield Segment(blank + "\n")
        for line in frame[marked[0] + 1 :]:
            yield from line
            yield Segment.line()

    def _cells(self, row: Row) -> Sequence[RenderableType]:
        if self._kept is None:
            return _filled(row.cells, len(self.columns))
        return [row.cells[place] if place < len(row.cells) else "" for place in self._kept]

    def _whole(self) -> Table:
        """The same as Rich's own table."""
        made = self._framed()
        for row in self._listed:
            made.add_row(*self._cells(row), style=row.style, end_section=row.end_section)
        return made

    def _framed(self, row: Sequence[RenderableType] = ()) -> Table:
        """Rich's own table with no row, or this one."""
        made = Table(**self._style)
        self._describe(made, range(len(self.columns)))
        if row and self._listed:
            made.add_row(*row)
        return made

    def _describe(self, made: Table, columns: Iterable[int]) -> None:
        """Give another table what stands around the rows, and some of the columns."""
        made.title, made.caption, made.caption_justify = self.title, self.caption, self.caption_justify
        for place in columns:
            column = self.columns[place]
            made.add_column(**{name: getattr(column, name) for name in _OF_A_COLUMN})

    def _quick(
        self, console: Console, cells: Sequence[RenderableType], widths: Sequence[int], styles: "_Styles"
    ) -> list[Segment]:
        """A row of one line, filled up to the widths; nothing where that cannot be told without Rich."""
        fields: list[list[Segment]] = []
        for cell, width, column in zip(cells, widths, self.columns, strict=True):
            if column.style:
                return []
            right = column.justify == "right"
            if isinstance(cell, str):
                taken = text_width(cell)
                if taken > width or not cell.isprintable():
                    return []
                text = cell.rstrip() if right else cell
                space = " " * (width - taken + len(cell) - len(text))
                fields.append([Segment(space + text if right else text + space, styles.cell)])
            elif right or not hasattr(cell, "pieces"):
                return []
            else:
                pieces = cast(Line, cell).pieces(width)
                space = " " * (width - sum(text_width(text) for text, _ in pieces))
                drawn = [Segment(text, styles.cell + console.get_style(own)) for text, own in pieces if text]
                fields.append([*drawn, Segment(space, styles.cell)])
        return self._joined(fields, styles)

    def _tall(
        self,
        console: Console,
        options: ConsoleOptions,
        cells: Sequence[RenderableType],
        widths: Sequence[int],
        styles: "_Styles",
    ) -> Iterator[Segment]:
        """A row as Rich draws its cells, of as many lines as the tallest has."""
        looks = [console.get_style(column.style or "") + styles.cell for column in self.columns]
        drawn = []
        for cell, width, column, look in zip(cells, widths, self.columns, looks, strict=True):
            own = options.update(
                width=width,
                justify=column.justify,
                overflow=column.overflow,
                no_wrap=column.no_wrap,
                highlight=False,
                height=None,
            )
            drawn.append(console.render_lines(cell, own, style=look))
        height = max(map(len, drawn))
        shaped = [
            Segment.set_shape(some, width, height, look) for some, width, look in zip(drawn, widths, looks, strict=True)
        ]
        for line in zip(*shaped, strict=True):
            yield from self._joined(line, styles, looks)

    def _joined(self, cells: Sequence[list[Segment]], styles: "_Styles", looks: Sequence[Style] = ()) -> list[Segment]:
        """The cells of one line side by side, with their padding, and what looks alike as one segment."""
        _, right, _, left = self.padding
        edge, rule = (" ", " ") if self.box else ("", "")
        alike = styles.plain and not looks
        between = [Segment(" " * right + rule + " " * left)] if alike else []
        line = [Segment(edge)]
        for place, cell in enumerate(cells):
            if place:
                line += between or [
                    Segment(" " * right, looks[place - 1] if looks else styles.cell),
                    Segment(rule, styles.rule),
                    Segment(" " * left, looks[place] if looks else styles.cell),
                ]
            line += cell
        line.append(Segment(f"{edge}\n"))
        return _merged(line) if alike else line


class _Styles(NamedTuple):
    """How a row looks: whether it is like any text, its cells, and what stands between them."""

    plain: bool
    cell: Style
    rule: Style

    @classmethod
    def of(cls, console: Console, name: str | None) -> "_Styles":
        style = console.get_style(name) if name else Style.null()
        return cls(not style, style, style.background_style)


def _merged(line: Iterable[Segment]) -> list[Segment]:
    """What has no style of its own in as few pieces as can be."""
    merged, text = [], ""
    for segment in line:
        if segment.style:
            merged += [Segment(text), segment]
            text = ""
        else:
            text += segment.text
    return [*merged, Segment(text)]


def _filled(cells: Sequence[RenderableType], count: int) -> Sequence[RenderableType]:
    """So many cells, the last of them empty where there were fewer."""
    return cells if len(cells) == count else [*cells, *[""] * (count - len(cells))]


def text_width(cell: RenderableType) -> int:
    """The columns that a text takes; anything else takes what it is given."""
    if isinstance(cell, str):
        if cell.isascii() and cell.isprintable():
            return len(cell)
    elif not isinstance(cell, Text):
        return 0
    return max(map(cell_len, str(cell).splitlines()), default=0)


class _Probe:
    """Measures like many cells; where it is drawn it notes how wide their column has become, and leaves a mark."""

    def __init__(self, cells: Sequence[RenderableType]) -> None:
        self._cells = cells
        self.width = 0

    @classmethod
    def of(cls, cells: Sequence[RenderableType]) -> "_Probe":
        """The widest text, and one of each kind of picture: those of a kind are equally wide."""
        pictures = {type(cell): cell for cell in cells if not isinstance(cell, (str, Text))}
        return cls([max(cells, key=text_width, default=""), *pictures.values()])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        each = [Measurement.get(console, options, cell) for cell in self._cells]
        return Measurement(max(least for least, _ in each), max(most for _, most in each))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.width = options.max_width
        yield Text(_MARK)

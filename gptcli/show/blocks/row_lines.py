"""The lines of one row of a table, laid out as Rich does, but quickly for cells of one line.

A row whose cells are a line of text or a bar each is put together here; Rich draws any other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.table import Column
from rich.text import Text


class Line(Protocol):
    """What a cell may hold in addition to text: a picture of one line, to the left of its column."""

    def pieces(self, width: int) -> Sequence[tuple[str, str | Style]]:
        """The line, no wider than so many columns: texts and their styles."""


@dataclass
class RowLines:
    """Lays out rows of a table whose columns have their widths.

    Attributes:
        console, options: of the table.
        columns: of the table.
        widths: of each column, without padding.
        padding: of each cell: top, right, bottom, left.
        boxed: whether the table has a box, whose edges and rules are blanks in a row.
    """

    console: Console
    options: ConsoleOptions
    columns: Sequence[Column]
    widths: Sequence[int]
    padding: tuple[int, int, int, int]
    boxed: bool
    _styles: "dict[str | None, _Styles]" = field(default_factory=dict)

    def draw(self, cells: Sequence[RenderableType], style: str | None) -> Iterator[Segment]:
        """The lines of a row, each with its newline."""
        if style not in self._styles:
            self._styles[style] = _Styles.of(self.console, style)
        styles = self._styles[style]
        yield from self._quick(cells, styles) or self._tall(cells, styles)

    def _quick(self, cells: Sequence[RenderableType], styles: "_Styles") -> list[Segment]:
        """A row of one line, filled up to the widths; nothing where that cannot be told without Rich."""
        fields: list[list[Segment]] = []
        for cell, width, column in zip(cells, self.widths, self.columns, strict=True):
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
                drawn = [Segment(text, styles.cell + self.console.get_style(own)) for text, own in pieces if text]
                fields.append([*drawn, Segment(space, styles.cell)])
        return self._joined(fields, styles)

    def _tall(self, cells: Sequence[RenderableType], styles: "_Styles") -> Iterator[Segment]:
        """A row as Rich draws its cells, of as many lines as the tallest has."""
        looks = [self.console.get_style(column.style or "") + styles.cell for column in self.columns]
        drawn = []
        for cell, width, column, look in zip(cells, self.widths, self.columns, looks, strict=True):
            own = self.options.update(
                width=width,
                justify=column.justify,
                overflow=column.overflow,
                no_wrap=column.no_wrap,
                highlight=False,
                height=None,
            )
            drawn.append(self.console.render_lines(cell, own, style=look))
        height = max(map(len, drawn))
        shaped = [
            Segment.set_shape(some, width, height, look)
            for some, width, look in zip(drawn, self.widths, looks, strict=True)
        ]
        for line in zip(*shaped, strict=True):
            yield from self._joined(line, styles, looks)

    def _joined(self, cells: Sequence[list[Segment]], styles: "_Styles", looks: Sequence[Style] = ()) -> list[Segment]:
        """The cells of one line side by side, with their padding, and what looks alike as one segment."""
        _, right, _, left = self.padding
        edge, rule = (" ", " ") if self.boxed else ("", "")
        alike = styles.plain and not looks
        between = [Segment(" " * right + rule + " " * left)] if alike else []
        line = [Segment(edge)]
        for index, cell in enumerate(cells):
            if index:
                line += between or [
                    Segment(" " * right, looks[index - 1] if looks else styles.cell),
                    Segment(rule, styles.rule),
                    Segment(" " * left, looks[index] if looks else styles.cell),
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


def text_width(cell: RenderableType) -> int:
    """The columns that a text takes; anything else takes what it is given."""
    if isinstance(cell, str):
        if cell.isascii() and cell.isprintable():
            return len(cell)
    elif not isinstance(cell, Text):
        return 0
    return max(map(cell_len, str(cell).splitlines()), default=0)

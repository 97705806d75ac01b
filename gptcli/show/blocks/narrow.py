"""Tables that give way where the terminal is narrow: fewer columns, and never figures that are cut."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks.pictures import LONGEST_BAR

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Column, Table

BARS = ""
"""How columns of bars are headed."""
_SHORTEST_BAR = 2


@dataclass(frozen=True)
class Narrowing:
    """A table with as many columns as there is room for; it says which ones it left out.

    Attributes:
        make: draws some of the parts side by side.
        parts: each has columns of its own in the table; what finds no room beside the others comes below them.
        spare: headings of the columns that go first, in this order.
    """

    make: "Callable[[Sequence[Any]], Table]"
    parts: Sequence[Any]
    spare: tuple[str, ...]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it for the width at hand."""
        blocks: list[Table] = []
        for across in range(len(self.parts), 0, -1):
            whole = [self.make(self.parts[start : start + across]) for start in range(0, len(self.parts), across)]
            for spared in range(len(self.spare) + 1):
                without = self.spare[:spared]
                if across > 1 and BARS in without:  # rather fewer parts beside each other
                    break
                blocks = [_without(block, without) for block in whole]
                if all(_fits(block, console, options) for block in blocks):
                    yield from _told(blocks, whole[0], without)
                    return
        for block in blocks:
            for column in block.columns:
                column.no_wrap = column.justify == "right"  # what is to be cut is a name, and not a figure
        yield from _told(blocks, whole[0], self.spare)


def narrowing(made: "Table", *spare: str) -> Narrowing:
    """A finished table; its columns of these headings go where the terminal is narrow."""
    return Narrowing(lambda _: made, [None], spare)


def _without(whole: "Table", headings: Sequence[str]) -> "Table":
    """A table without the columns of these headings."""
    if not headings:
        return whole
    kept = [column for column in whole.columns if column.header not in headings]
    made = _emptied(whole, kept)
    for row, cells in zip(whole.rows, zip(*(column.cells for column in kept), strict=True), strict=True):
        made.add_row(*cells, style=row.style, end_section=row.end_section)
    return made


def _emptied(whole: "Table", kept: "Sequence[Column]") -> "Table":
    """A table with some of its columns, and no row."""
    made = copy(whole)
    made.columns, made.rows = [], []
    for column in kept:
        made.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap, min_width=column.min_width)
    return made


def _told(blocks: "list[Table]", whole: "Table", without: Sequence[str]) -> "list[Table]":
    """The blocks, of which the last one says which columns are missing."""
    headings = [column.header for column in whole.columns]
    if missing := [name.strip() or "bars" for name in without if name in headings]:
        blocks[-1].caption, blocks[-1].caption_justify = f"no room for {', '.join(missing)}", "left"
    return blocks


def _fits(made: "Table", console: "Console", options: "ConsoleOptions") -> bool:
    """Whether a table has room for its columns, with its bars as short as they may be."""
    bars = sum(column.header == BARS for column in made.columns)
    most = _widest(made).__rich_measure__(console, options.update(width=1000)).maximum
    return most - bars * (LONGEST_BAR - _SHORTEST_BAR) <= options.max_width


def _widest(made: "Table") -> "Table":
    """The table with one row, of each column's widest cell: as wide, and measured at once however long it is."""
    short = _emptied(made, made.columns)
    short.add_row(*(max(column.cells, key=_width, default="") for column in made.columns))
    return short


def _width(cell: "RenderableType") -> int:
    """The columns that a text takes; anything else is as wide as it gets room."""
    from rich.cells import cell_len
    from rich.text import Text

    return max(map(cell_len, str(cell).splitlines()), default=0) if isinstance(cell, (str, Text)) else 0

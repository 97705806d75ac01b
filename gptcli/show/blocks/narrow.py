"""Tables for narrow terminals: fewer columns, but no clipped figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks.pictures import LONGEST_BAR

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from gptcli.show.blocks.rows import Rows

BARS = ""
"""How columns of bars are headed."""
_SHORTEST_BAR, _LONG_BAR = 2, 12


@dataclass(frozen=True)
class Narrowing:
    """A table with as many columns as fit; it names those that it leaves out.

    Attributes:
        make: draws some of the parts side by side.
        parts: each has its own columns; those that do not fit next to the others come below.
        spare: headings of the columns to leave out first, in order.
        easily: so many of those go already where bars would be short, too short to be compared.
    """

    make: "Callable[[Sequence[Any]], Rows]"
    parts: Sequence[Any]
    spare: tuple[str, ...]
    easily: int = 0

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it for the terminal's width."""
        blocks: list[Rows] = []
        for across in range(len(self.parts), 0, -1):
            whole = [self.make(self.parts[start : start + across]) for start in range(0, len(self.parts), across)]
            for spared in range(len(self.spare) + 1):
                without = self.spare[:spared]
                if across > 1 and BARS in without:  # prefer fewer parts next to each other
                    break
                blocks = [block.without(without) for block in whole]
                least = _LONG_BAR if spared < self.easily else _SHORTEST_BAR
                if all(_fits(block, console, options, least) for block in blocks):
                    yield from _told(blocks, whole[0], without)
                    return
        for block in blocks:
            for column in block.columns:
                column.no_wrap = column.justify == "right"  # names may be clipped, figures may not
        yield from _told(blocks, whole[0], self.spare)


def narrowing(made: "Rows", *spare: str, easily: int = 0) -> Narrowing:
    """A finished table whose columns of these headings are left out on a narrow terminal."""
    return Narrowing(lambda _: made, [None], spare, easily)


def _told(blocks: "list[Rows]", whole: "Rows", without: Sequence[str]) -> "list[Rows]":
    """The tables; the last one names the missing columns."""
    headings = [column.header for column in whole.columns]
    if missing := [name.strip() or "bars" for name in without if name in headings]:
        blocks[-1].caption, blocks[-1].caption_justify = f"not shown: {', '.join(missing)}", "left"
    return blocks


def _fits(made: "Rows", console: "Console", options: "ConsoleOptions", least: int) -> bool:
    """Whether a table's columns fit, with bars of this length."""
    bars = sum(column.header == BARS for column in made.columns)
    most = made.__rich_measure__(console, options.update(width=1000)).maximum
    return most - bars * (LONGEST_BAR - least) <= options.max_width

"""Tables that give way where the terminal is narrow: fewer columns, and never figures that are cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks.pictures import LONGEST_BAR

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from gptcli.show.blocks.rows import Rows

BARS = ""
"""How columns of bars are headed."""
_SHORTEST_BAR = 2


@dataclass(frozen=True)
class Narrowing:
    """A table with as many columns as fit; it names those that it leaves out.

    Attributes:
        make: draws some of the parts side by side.
        parts: each has columns of its own in the table; those that do not fit next to the others come below them.
        spare: headings of the columns that go first, in this order.
    """

    make: "Callable[[Sequence[Any]], Rows]"
    parts: Sequence[Any]
    spare: tuple[str, ...]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it for the width at hand."""
        blocks: list[Rows] = []
        for across in range(len(self.parts), 0, -1):
            whole = [self.make(self.parts[start : start + across]) for start in range(0, len(self.parts), across)]
            for spared in range(len(self.spare) + 1):
                without = self.spare[:spared]
                if across > 1 and BARS in without:  # rather fewer parts next to each other
                    break
                blocks = [block.without(without) for block in whole]
                if all(_fits(block, console, options) for block in blocks):
                    yield from _told(blocks, whole[0], without)
                    return
        for block in blocks:
            for column in block.columns:
                column.no_wrap = column.justify == "right"  # what is to be cut is a name, and not a figure
        yield from _told(blocks, whole[0], self.spare)


def narrowing(made: "Rows", *spare: str) -> Narrowing:
    """A finished table; its columns of these headings go where the terminal is narrow."""
    return Narrowing(lambda _: made, [None], spare)


def _told(blocks: "list[Rows]", whole: "Rows", without: Sequence[str]) -> "list[Rows]":
    """The blocks, of which the last one says which columns are missing."""
    headings = [column.header for column in whole.columns]
    if missing := [name.strip() or "bars" for name in without if name in headings]:
        blocks[-1].caption, blocks[-1].caption_justify = f"not shown: {', '.join(missing)}", "left"
    return blocks


def _fits(made: "Rows", console: "Console", options: "ConsoleOptions") -> bool:
    """Whether a table's columns fit, with its bars as short as they may be."""
    bars = sum(column.header == BARS for column in made.columns)
    most = made.__rich_measure__(console, options.update(width=1000)).maximum
    return most - bars * (LONGEST_BAR - _SHORTEST_BAR) <= options.max_width

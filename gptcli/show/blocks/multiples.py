"""Small multiples: the same rows several times, each with a figure and a bar, and all bars on one scale.

They stand side by side where the bars have space to differ, and below each other where it is narrow. A cell of a bar is
worth the same everywhere: what is twice as long is twice as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from gptcli.show.blocks.pictures import LONGEST_BAR, Bar, table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from gptcli.show.blocks.rows import Rows

# Cells of a bar: so many that other columns may stay, enough side by side, and the fewest that are drawn at all.
_AMPLE, _ENOUGH, _FEWEST = 16, 7, 2
_GAP = 3  # columns between two columns


@dataclass(frozen=True)
class Column:
    """What all have in common: a heading (``>`` before it right-aligns), and a cell for each row."""

    heading: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Multiple:
    """One of them.

    Attributes:
        heading: of its figures.
        figures: of each row.
        lengths: of each row's bar, 0 to 1 on the common scale; None: no bar.
        colour: of its bars.
    """

    heading: str
    figures: Sequence[str]
    lengths: Sequence[float | None]
    colour: str


@dataclass(frozen=True)
class Multiples:
    """All of them.

    Attributes:
        columns: in front of each group.
        multiples: at least one.
        spare: headings of columns that are left out where it is narrow, the first one first.
        dim: the rows in the background.
        sections: the rows with a blank line after them.
    """

    columns: Sequence[Column]
    multiples: Sequence[Multiple]
    spare: Sequence[str] = ()
    dim: frozenset[int] = field(default_factory=frozenset)
    sections: frozenset[int] = field(default_factory=frozenset)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw them for the terminal's width, and name the columns that are left out."""
        from rich.text import Text

        across, without, cells = self._layout(options.max_width)
        if not console.is_terminal:  # columns that do not depend on their cells, unless that takes something away
            piped = self._layout(options.max_width, piped=True)
            cells = piped[2] if piped[:2] == (across, without) and piped[2] >= min(cells, _ENOUGH) else cells
        for start in range(0, len(self.multiples), across):
            yield self._group(self.multiples[start : start + across], without, cells)
        missing = [*without, *(["bars"] if cells < _FEWEST else [])]
        if missing:
            yield Text(f"not shown: {', '.join(missing)}", style="dim")

    def _layout(self, width: int, *, piped: bool = False) -> tuple[int, Sequence[str], int]:
        """How many side by side, the headings to leave out, and the length of the longest bar."""
        count = len(self.multiples)
        for across in sorted({ceil(count / groups) for groups in range(1, count + 1)}, reverse=True):
            for spared in range(len(self.spare) + 1):
                cells = self._cells(width, across, self.spare[:spared], piped=piped)
                if cells >= _AMPLE:
                    return across, self.spare[:spared], min(cells, LONGEST_BAR)
            if cells >= _ENOUGH:
                return across, self.spare, cells
        return 1, self.spare, max(self._cells(width, 1, self.spare, piped=piped), 0)

    def _cells(self, width: int, across: int, without: Sequence[str], *, piped: bool) -> int:
        """The columns for a bar, where so many are side by side."""
        from gptcli.show.blocks.rows import least_width

        front = [
            max(_width([each.heading, *each.cells]), piped * least_width(each.heading, right=each.heading[:1] == ">"))
            for each in self._kept(without)
        ]
        figures = max(_width([each.heading, *each.figures]) for each in self.multiples)
        figures = max(figures, piped * least_width("figures", right=True))
        gaps = _GAP * (len(front) + 2 * across) - 1
        return (width - sum(front) - figures * across - gaps) // across

    def _kept(self, without: Sequence[str]) -> list[Column]:
        return [column for column in self.columns if column.heading.removeprefix(">") not in without]

    def _group(self, group: Sequence[Multiple], without: Sequence[str], cells: int) -> "Rows":
        front = self._kept(without)
        made = table(*(column.heading for column in front))
        for each in group:
            made.add_column(each.heading, justify="right", no_wrap=True)
            if cells >= _FEWEST:
                made.add_column("")
        for row in range(len(group[0].figures)):
            line: list[RenderableType] = [column.cells[row] for column in front]
            for each in group:
                line.append(each.figures[row])
                if cells >= _FEWEST:
                    length = each.lengths[row]
                    line.append("" if length is None else Bar(length, each.colour, cells))
            made.add_row(*line, style="dim" if row in self.dim else None, end_section=row in self.sections)
        return made


def _width(texts: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(cell_len(text.removeprefix(">")) for text in texts)

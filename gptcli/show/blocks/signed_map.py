"""A map of figures around zero: wide ones go on below."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import heat_map

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_WIDEST = 14  # columns of a label


@dataclass(frozen=True)
class SignedMap:
    """Figures with their signs, on colours.

    Attributes:
        rows, columns: labels.
        values: [rows][columns]; None and what is not finite leave their cell blank.
        bounds: the figures at the ends of the colour map; None: as far below zero as above.
        plus: whether figures above zero have a sign.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    bounds: tuple[float, float] | None = None
    plus: bool = True

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """As many columns next to each other as fit; the others come below."""
        from rich.cells import cell_len, set_cell_size

        figures = [[math.nan if value is None else value for value in row] for row in self.values]
        texts = [[self._figure(value) for value in row] for row in figures]
        columns = [
            set_cell_size(each, _WIDEST - 1) + "…" if cell_len(each) > _WIDEST else each for each in self.columns
        ]
        widest = max(map(cell_len, self.rows), default=0)
        rows = [f"{name:>{widest}}" if name.isdigit() else name for name in self.rows]
        bounds = self.bounds or _around_zero(figures)
        widths = [max([cell_len(head), *(len(row[index]) for row in texts)]) + 2 for index, head in enumerate(columns)]
        start = 0
        while start < len(columns):
            end, used = start, widest + 1
            while end < len(columns) and (end == start or used + widths[end] <= options.max_width):
                used += widths[end]
                end += 1
            if start:
                yield ""
            part = slice(start, end)
            yield heat_map(
                rows,
                columns[part],
                [row[part] for row in figures],
                bounds,
                [row[part] for row in texts],
                signed=self.bounds is None,
            )
            start = end

    def _figure(self, value: float) -> str:
        if math.isnan(value):
            return ""
        return signed(value) if self.plus else f"{round(value, 2) + 0.0:.2f}"  # no -0


def signed(value: float) -> str:
    """A figure with its sign; zero has none."""
    rounded = round(value, 2) + 0.0
    return f"{rounded:+.2f}" if rounded else "0.00"


def _around_zero(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    most = max((abs(value) for row in values for value in row if math.isfinite(value)), default=0.0) or 1.0
    return -most, most

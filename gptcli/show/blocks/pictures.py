"""Bars, shades and tables, as Rich renderables. (``tokens`` has strips, ``heat`` maps, ``palette`` the colours.)

A coloured cell sets its text colour too, so that it is readable whatever the terminal's own; without colour, characters
show the values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks import palette

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement

    from gptcli.show.blocks.rows import Rows

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHADES = " ░▒▓█"
LONGEST_BAR = 40


def bar(fraction: float, width: int) -> str:
    """A horizontal bar in eighths of a character.

    Args:
        fraction: how much of ``width`` to fill, clipped to 0 ... 1; anything above 0 shows at least a sliver.
        width: the full length in characters.
    """
    filled = min(max(fraction, 0.0), 1.0) * width * 8
    eighths = max(round(filled), 1) if filled > 0 else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip() if eighths else ""


@dataclass(frozen=True)
class Bar:
    """A bar that fills its column.

    Attributes:
        fraction: its length, 0 to 1.
        colour: the theme's for bars, where none is given.
        cells: the longest bar's length; None: as wide as the column.
    """

    fraction: float
    colour: str | None = None
    cells: int | None = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as its column."""
        from rich.text import Text

        yield Text.assemble(*self.pieces(options.max_width))

    def pieces(self, width: int) -> Sequence[tuple[str, str]]:
        """The same for a line of a table (``row_lines.Line``)."""
        return [(bar(self.fraction, min(width, self.cells or width)), self.colour or palette.current().bar)]

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        """Any width will do."""
        from rich.measure import Measurement

        if self.cells is not None:
            return Measurement(self.cells, self.cells)
        return Measurement(1, min(LONGEST_BAR, options.max_width))


def shade(fraction: float) -> str:
    """One character, darker for larger values: the colour map without colour."""
    return _SHADES[min(int(min(max(fraction, 0.0), 1.0) * len(_SHADES)), len(_SHADES) - 1)]


def table(*columns: str, title: str | None = None, **style: Any) -> "Rows":
    """An empty table in the house style, or in another (see ``rows.BARE``).

    A column that starts with ``>`` is right-aligned. One without a name is for bars, and gives way where it is narrow.
    Cells that are strings are shown as they are: no markup.
    """
    from gptcli.show.blocks.rows import Rows

    made = Rows(title=title, **style)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=bool(column))
    return made

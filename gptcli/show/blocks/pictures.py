"""Bars, shades and tables, as Rich renderables. (``tokens`` has strips, ``heat`` maps, ``palette`` the colours.)

A coloured cell sets its text colour too, so that it is readable whatever the terminal's own; without colour, characters
show the values.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks import palette
from gptcli.show.picture.cells import LENGTH

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.style import Style

    from gptcli.show.blocks.rows import Rows

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHADES = " ░▒▓█"
LONGEST_BAR = 40
_exact: ContextVar[bool] = ContextVar("exact", default=False)


def bar(fraction: float, width: int) -> str:
    """A horizontal bar in eighths of a character.

    Args:
        fraction: how much of ``width`` to fill, clipped to 0 ... 1; anything above 0 shows at least a sliver.
        width: the full length in characters.
    """
    filled = min(max(fraction, 0.0), 1.0) * width * 8
    eighths = max(round(filled), 1) if filled > 0 else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip() if eighths else ""


@contextmanager
def exact_bars() -> Iterator[None]:
    """Inside the ``with``, bars say how long they are to the last digit, for pictures that are saved as vectors."""
    before = _exact.set(True)
    try:
        yield
    finally:
        _exact.reset(before)


def bar_piece(text: str, length: float, colour: str) -> "tuple[str, str | Style]":
    """The characters of a bar with their style.

    Args:
        text: what a terminal shows.
        length: in columns; below zero the bar ends where its characters end, and grows to the left.
        colour: of it.
    """
    if not (text and _exact.get()):
        return text, colour
    from rich.style import Style

    return text, Style.parse(colour) + Style(meta={LENGTH: length})


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

    def pieces(self, width: int) -> "Sequence[tuple[str, str | Style]]":
        """The same for a line of a table (``row_lines.Line``)."""
        cells = min(width, self.cells or width)
        length = min(max(self.fraction, 0.0), 1.0) * cells
        return [bar_piece(bar(self.fraction, cells), length, self.colour or palette.current().bar)]

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

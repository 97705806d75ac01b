"""What a page is made of: tokens in the order of a text, maps and lists, with the numbers behind each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Cells of a page, about 4 MB: more would keep a browser busy for seconds.
MOST_CELLS = 40_000


@dataclass(frozen=True)
class Choice:
    """One of several candidates behind a cell.

    Attributes:
        label, value: its name and its figure.
        fraction: the length of its bar, 0 to 1.
        chosen: it is the one that was taken.
        cut: it could not be taken.
    """

    label: str
    value: str
    fraction: float
    chosen: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Cell:
    """A token, or a field of a map.

    Attributes:
        label: what stands on it.
        fraction: its place on the colour map, 0 to 1; None for no colour.
        numbers: its figures, in the order of its part's ``names``.
        choices: the candidates behind it.
    """

    label: str
    fraction: float | None
    numbers: Sequence[str] = ()
    choices: Sequence[Choice] = ()


@dataclass(frozen=True)
class Legend:
    """What the colours mean: figures and their places on the colour map, and the unit behind them."""

    name: str
    ticks: Sequence[tuple[str, float]]
    unit: str = ""


@dataclass(frozen=True)
class Strip:
    """Tokens in the order of a text, on colours.

    Attributes:
        title: stands above it; may be empty.
        names: what the cells' numbers are.
        before: text in front of the tokens that has no numbers.
    """

    title: str
    names: Sequence[str]
    cells: Sequence[Cell]
    legend: Legend | None = None
    before: str = ""


@dataclass(frozen=True)
class Grid:
    """A map: rows and columns of cells.

    Attributes:
        title: stands above it.
        names: what the cells' numbers are.
        rows, columns: their labels.
        cells: [rows][columns]; None leaves a field empty.
        heading: names a cell; ``{row}``, ``{column}`` and ``{label}`` stand for those.
        large: wide fields, for labels on them; without, several maps stand side by side.
        spread: ``row`` or ``column``: what goes together, so that it is shown as a text on colours next to the numbers.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Cell | None]]
    heading: str = "{row} · {column}"
    large: bool = False
    spread: Literal["row", "column"] | None = None
    legend: Legend | None = None


@dataclass(frozen=True)
class Listing:
    """A table with a bar at the end of each row.

    Attributes:
        columns: their names; ``>`` before one puts it to the right.
        rows: the cells of each row, and the length of its bar, 0 to 1.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[Sequence[str], float]]


PagePart = Strip | Grid | Listing

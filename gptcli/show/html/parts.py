"""The parts of a page: texts, maps and lists, with the numbers of each cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType

# The most cells of a page, about 4 MB: more would take a browser seconds.
MOST_CELLS = 40_000


@dataclass(frozen=True)
class Choice:
    """A candidate of a cell.

    Attributes:
        label, value: its name and its figure.
        fraction: the length of its bar, 0 to 1.
        chosen: whether it was chosen.
        cut: whether filters cut it.
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
        label: its text.
        fraction: its position on the colour map, 0 to 1; None for no colour.
        numbers: its figures, in the order of its part's ``names``.
        choices: its candidates.
    """

    label: str
    fraction: float | None
    numbers: Sequence[str] = ()
    choices: Sequence[Choice] = ()


@dataclass(frozen=True)
class Legend:
    """What the colours mean: figures, their positions on the colour map, the unit, and whether the middle is zero."""

    name: str
    ticks: Sequence[tuple[str, float]]
    unit: str = ""
    signed: bool = False


@dataclass(frozen=True)
class Strip:
    """The tokens of a text, coloured.

    Attributes:
        title: may be empty.
        names: of the cells' numbers.
        before: text before the tokens, without numbers.
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
        title: its heading.
        names: of the cells' numbers.
        rows, columns: their labels.
        cells: [rows][columns]; None leaves a field empty.
        heading: names a cell; ``{row}``, ``{column}`` and ``{label}`` stand for those.
        large: wide fields with labels; otherwise several maps are side by side.
        looks: whether its figures are weights from the tokens of the page's ``Sentence`` to its tokens.
        spread: ``row`` or ``column``: which of them is shown as a coloured text next to the numbers.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Cell | None]]
    heading: str = "{row} · {column}"
    large: bool = False
    looks: bool = False
    spread: Literal["row", "column"] | None = None
    legend: Legend | None = None


@dataclass(frozen=True)
class Listing:
    """A table with a bar at the end of each row.

    Attributes:
        columns: their names; ``>`` before one right-aligns it.
        rows: the cells of each row, and the length of its bar, 0 to 1; or -1 to 1, to both sides.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[Sequence[str], float]]


@dataclass(frozen=True)
class Drawn:
    """A picture as a command draws it, typeset (see ``typeset``).

    Attributes:
        draw: makes it; called once for each theme.
    """

    draw: "Callable[[], RenderableType]"


@dataclass(frozen=True)
class Sentence:
    """A text that stays in sight, with arcs from the token that looks to those that it looks at.

    The grids of the same page give the weights; the script draws the arcs of the one that was pointed at last.

    Attributes:
        tokens: of the text, as far as the grids show them.
        by_row: whether the rows of the grids look, or their columns.
        first: the grid (among those that look) and the query whose arcs are drawn at first.
    """

    tokens: Sequence[str]
    by_row: bool
    first: tuple[int, int] = (0, -1)


@dataclass(frozen=True)
class Row:
    """Grids side by side under one heading, in one row."""

    title: str
    grids: Sequence[Grid]


@dataclass(frozen=True)
class Softmax:
    """Bars of probabilities with a slider for the temperature, computed from all logits.

    Attributes:
        labels: of the tokens that are shown, most probable first.
        ids: their places in ``logits``.
        logits: of the whole vocabulary, as little-endian bytes.
        width: bytes of a logit: 4 (float32) or 8 (float64).
        temperature: at first.
        things: what is chosen from, in the plural.
    """

    title: str
    labels: Sequence[str]
    ids: Sequence[int]
    logits: bytes
    width: int = 4
    temperature: float = 1.0
    things: str = "tokens"


@dataclass(frozen=True)
class Globe:
    """The turning map: its markup, and the data for its script."""

    markup: str
    data: Any


@dataclass(frozen=True)
class Explorer:
    """All views of a text under one cursor (see ``show.explore_page``).

    Attributes:
        data: for its script, from ``explore_page.data``.
        elements: of a model that runs in the page, elements of data; "" for none.
        script: what runs it.
    """

    data: Any
    elements: str = ""
    script: str = ""


PagePart = Strip | Grid | Listing | Drawn | Sentence | Row | Softmax | Globe | Explorer


@dataclass(frozen=True)
class Section:
    """A stop of a tour: what is said, the command, and what it shows.

    Attributes:
        number, title, text, command: as the stop has them.
        facts: lines before the parts.
        parts: from top to bottom.
        said: a sentence that points at what is shown.
        note: on the example; "" for none.
        question, answer: the answer is shown when it is asked for; "" for none.
    """

    number: int
    title: str
    text: str
    command: str
    facts: Sequence[str]
    parts: Sequence[PagePart]
    said: str = ""
    note: str = ""
    question: str = ""
    answer: str = ""

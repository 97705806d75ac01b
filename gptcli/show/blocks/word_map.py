"""A map without figures, with words along both sides: shortened where they must be, and never left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import SmallMap, has_colours

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.text import Text

_SPACE = "·"  # how a token shows a leading space


def plain(label: str) -> str:
    """A token's label without the mark of its leading space, unless that is all there is."""
    return label.removeprefix(_SPACE) or label


def shortened(label: str, width: int) -> str:
    """A label in at most ``width`` columns: with an ellipsis if it is cut and there is room for one."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(label) <= width:
        return label
    return set_cell_size(label, width - 1).rstrip() + "…" if width > 3 else set_cell_size(label, width).rstrip()


def downwards(labels: Sequence[str], cell: int, height: int) -> list[str]:
    """Words written from top to bottom above columns: the lines, whose last stands on the map.

    Args:
        labels: of the columns.
        cell: the width of a column; a character that is wider is shown as ``?``.
        height: the most lines.
    """
    from rich.cells import cell_len, set_cell_size

    stacks = []
    for label in map(plain, labels):
        # Of a token that is part of a character there is no letter to show.
        letters = ["□"] if height == 1 and label.startswith("\\x") else _letters(label)
        if len(letters) > height:
            letters = [*letters[: height - 1], "…" if height > 3 else letters[height - 1]]
        stacks.append([letter if cell_len(letter) <= cell else "?" for letter in letters])
    tall = max(map(len, stacks), default=0)
    padded = [[" "] * (tall - len(stack)) + stack for stack in stacks]
    return ["".join(set_cell_size(letter, cell) for letter in line) for line in zip(*padded, strict=True)]


def _letters(label: str) -> list[str]:
    """The characters of a label, accents with what they stand on."""
    from rich.cells import cell_len

    letters: list[str] = []
    for character in label:
        if letters and not cell_len(character):
            letters[-1] += character
        else:
            letters.append(character)
    return letters


@dataclass(frozen=True)
class WordMap:
    """A heat map with words: above it from top to bottom, on its left shortened.

    Attributes:
        rows, columns: their words.
        values: [rows][columns] figures; one that is not finite leaves its cell empty.
        bounds: the figures at the ends of the colour map.
        margin: columns for the words of the rows, with the space behind them.
        cell: columns of a cell.
        head: the most lines for the words of the columns.
        halved: two rows share a line where there is colour, and their words it.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    bounds: tuple[float, float]
    margin: int
    cell: int
    head: int
    halved: bool = False

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """The words of the columns, then row after row."""
        from rich.text import Text

        halved = self.halved and has_colours(console)
        drawn = Text(no_wrap=True, overflow="crop")
        for line in downwards(self.columns, self.cell, self.head):
            drawn.append(f"{' ' * self.margin}{line.rstrip()}\n", style="bold")
        cells = self._cells(console, options, step=1 if halved else 2)
        for name, cell in zip(self._names(halved=halved), cells, strict=True):
            drawn.append(name).append_text(cell).append("\n")
        drawn.right_crop()
        yield drawn

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        """As wide as its words and cells are."""
        from rich.measure import Measurement

        width = min(self.margin + self.cell * len(self.columns), options.max_width)
        return Measurement(width, width)

    def _names(self, *, halved: bool) -> Iterator[str]:
        from rich.cells import set_cell_size

        if halved:
            each = max((self.margin - 2) // 2, 1)
            for index in range(0, len(self.rows), 2):
                pair = "/".join(shortened(plain(row), min(each, 3)) for row in self.rows[index : index + 2])
                yield set_cell_size(pair, self.margin)
        else:
            for row in self.rows:
                name = row if self.margin > 5 else plain(row)
                yield set_cell_size(shortened(name, self.margin - 1), self.margin)

    def _cells(self, console: "Console", options: "ConsoleOptions", step: int) -> "Iterator[Text]":
        """The lines of the map, as ``SmallMap`` draws them: with colour two rows each, so a row may be given twice."""
        from rich.text import Text

        wide = [[value for value in row for _ in range(self.cell)] for row in self.values]
        doubled = [row for row in wide for _ in range(step)] if has_colours(console) else wide
        for picture in SmallMap(doubled, self.bounds).__rich_console__(console, options):
            if isinstance(picture, Text):
                yield from picture.split("\n", allow_blank=True)

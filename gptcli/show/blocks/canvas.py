"""A grid of character cells that holds braille dots under text: what every plot is drawn on.

A cell has two dots across and four down, and is about twice as high as wide: a dot is about as wide as it is high, so
that a distance in dots is the same length in both directions.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from gptcli.show.picture.cells import DRAWN, SHAPES

if TYPE_CHECKING:
    from rich.text import Text

ACROSS, DOWN = 2, 4
_BRAILLE = 0x2800
# The bit of each dot in a cell, by row and column (Unicode, block 2800).
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Canvas:
    """Cells to draw on, the first at the top left; what falls outside is not drawn.

    Args:
        columns, rows: how many cells there are.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots: dict[tuple[int, int], int] = {}
        self._text: dict[tuple[int, int], str] = {}
        self._styles: dict[tuple[int, int], str] = {}
        self._shapes: list[tuple[str | float, ...]] = []  # the same as vectors, in cells, for a picture that is saved
        self._drawn: set[tuple[int, int]] = set()  # cells of text that the vectors replace

    def line(
        self, start: tuple[float, float], end: tuple[float, float], style: str = "", *, arrow: bool = False
    ) -> None:
        """Draw a line of dots; x to the right and y downwards, in dots. A saved ``arrow`` has a head at its end."""
        self._shapes.append(("arrow" if arrow else "line", style, *_in_cells(*start), *_in_cells(*end)))
        for x, y in dots_between(start, end):
            cell = (x // ACROSS, y // DOWN)
            if self._inside(*cell):
                self._dots[cell] = self._dots.get(cell, 0) | _BITS[y % DOWN][x % ACROSS]
                self._styles.setdefault(cell, style)

    def put(self, column: int, row: int, text: str, style: str = "") -> None:
        """Write text over whatever is there; a wide character takes two cells."""
        from rich.cells import cell_len

        for character in text:
            width = cell_len(character)
            if width == 0 and (column - 1, row) in self._text:  # an accent: it belongs to what stands before it
                self._text[column - 1, row] += character
            elif self._inside(column, row) and self._inside(column + width - 1, row):
                self._text[column, row] = character
                self._styles[column, row] = style
                if width == 2:
                    self._text[column + 1, row], self._styles[column + 1, row] = "", style
            column += width

    def mark(self, x: int, y: int, character: str, style: str = "") -> None:
        """Put a mark into the cell of a dot; a saved picture has it at the dot."""
        cell = (x // ACROSS, y // DOWN)
        self.put(*cell, character, style)
        self._drawn.add(cell)
        self._shapes.append(("mark", style, *_in_cells(x, y), character))

    def head(self, column: int, row: int, character: str, style: str = "") -> None:
        """Put the head of an arrow into a cell; a saved picture draws it with the arrow's line."""
        self.put(column, row, character, style)
        self._drawn.add((column, row))

    def free(self, column: int, row: int, width: int) -> bool:
        """Whether so many cells, from this one on, are on the canvas and without text."""
        cells = [(column + step, row) for step in range(width)]
        return all(self._inside(*cell) and cell not in self._text for cell in cells)

    def crossed(self, column: int, row: int, width: int) -> int:
        """How many of so many cells hold dots."""
        return sum((column + step, row) in self._dots for step in range(width))

    def lines(self) -> "Iterator[Text]":
        """The rows, each as wide as the canvas; what a saved picture draws instead of dots and marks is with them."""
        from rich.style import Style
        from rich.text import Text

        drawn = Style(meta={DRAWN: True})
        for row in range(self.rows):
            line = Text(no_wrap=True)
            cells = [(column, row) for column in range(self.columns)]
            styled = [(self._styles.get(cell, ""), self._is_drawn(cell), self._shown(*cell)) for cell in cells]
            for (style, replaced), same in groupby(styled, key=itemgetter(0, 1)):
                text = "".join(character for *_, character in same)
                line.append(text, style=Style.parse(style) + drawn if replaced else style)
            if row == 0 and self._shapes:
                line.stylize(Style(meta={SHAPES: self._shapes}), 0, 1)
            yield line

    def _is_drawn(self, cell: tuple[int, int]) -> bool:
        return cell in self._drawn or (cell in self._dots and cell not in self._text)

    def _shown(self, column: int, row: int) -> str:
        dots = self._dots.get((column, row))
        return self._text.get((column, row), chr(_BRAILLE + dots) if dots else " ")

    def _inside(self, column: int, row: int) -> bool:
        return 0 <= column < self.columns and 0 <= row < self.rows


def _in_cells(x: float, y: float) -> tuple[float, float]:
    """The middle of a dot, in cells."""
    return (x + 0.5) / ACROSS, (y + 0.5) / DOWN


def dots_between(start: tuple[float, float], end: tuple[float, float]) -> Iterator[tuple[int, int]]:
    """The dots of a straight line, both ends included, each next to the one before."""
    steps = max(1, round(max(abs(end[0] - start[0]), abs(end[1] - start[1]))))
    for step in range(steps + 1):
        along = step / steps
        yield round(start[0] + (end[0] - start[0]) * along), round(start[1] + (end[1] - start[1]) * along)

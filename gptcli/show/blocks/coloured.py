"""A text with each token on a colour, cut on a terminal so that the rest of the picture stays in sight."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import has_colours
from gptcli.show.blocks.palette import on_scale
from gptcli.show.blocks.tokens import token_rows

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

# Of a terminal's lines, the share that the text takes at most; and the lines that it may take in any case.
_SHARE, _LEAST_LINES = 0.5, 8


@dataclass(frozen=True)
class ColouredToken:
    """A token of a coloured text.

    Attributes:
        shown: its text, made visible.
        fraction: its place on the colour map, 0 to 1; None: it has no colour.
        below: its figure, where there are no colours.
    """

    shown: str
    fraction: float | None
    below: str


@dataclass(frozen=True)
class ColouredText:
    """Each token on its colour; without colours, with its figure below. Lines break between tokens.

    On a terminal a long text is cut.
    """

    tokens: Sequence[ColouredToken]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as the terminal."""
        from rich.text import Text

        rows = self._rows(console, options)
        if not console.file.isatty():  # also of --save
            yield from rows
            return
        most = max(int(console.height * _SHARE), _LEAST_LINES)
        yield from islice(rows, most)
        if next(rows, None) is not None:
            yield Text("... and more of the text (| less -R shows it, --save FILE keeps it)", style="dim")

    def _rows(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        from rich.cells import cell_len
        from rich.text import Text

        if not has_colours(console):
            below = ((token.shown, token.below) for token in self.tokens)
            for number, row in enumerate(token_rows(below, options.max_width)):
                if number:
                    yield Text()
                yield row
            return
        line, used = Text(), 0
        for token in self.tokens:
            width = cell_len(token.shown)
            if used and used + width > options.max_width:
                yield line
                line, used = Text(), 0
            line.append(token.shown, style="dim" if token.fraction is None else on_scale(token.fraction))
            used += width
            if token.shown.endswith("⏎"):
                yield line
                line, used = Text(), 0
        yield line

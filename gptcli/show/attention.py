"""The picture of ``gptcli attention``: a grid of small maps, or one head in figures (see ``head``)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import SmallMap
from gptcli.show.blocks.pictures import token_strip
from gptcli.show.head import LargeHead, axes, bounds, kept, layer_name, legend, named, said_cut, sharing, shown
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.attention import Attention, HeadAttention

_LARGEST_MAP = 48  # tokens on a side
_SMALLEST_TITLE = 15  # columns of "(induction .39)"
_GAP = 2  # columns between maps
_BETWEEN = 6  # columns between layers


def draw(answer: "Attention") -> "RenderableType":
    """One head large, or several as a grid of small maps for each layer."""
    return LargeHead(answer) if len(answer.heads) == 1 else HeadGrid(answer)


@dataclass(frozen=True)
class HeadGrid:
    """A small map for each head, as many in a row as fit, below the tokens."""

    answer: "Attention"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay the maps out for the terminal's width."""
        from rich.text import Text

        answer, width = self.answer, options.max_width
        positions = kept(len(answer.tokens), min(_LARGEST_MAP, max((width - _GAP) // 2, 2)))
        tokens = [token_text(answer.tokens[position].token) for position in positions]
        yield token_strip(tokens, [f"{position + 1}" for position in positions], width)
        yield from said_cut("Drawn", positions, len(answer.tokens))
        yield Text(axes(answer), style="dim")
        yield from sharing(answer)
        yield legend(answer)
        yield from self._layers(positions, width)
        yield from named(answer)

    def _layers(self, positions: Sequence[int], width: int) -> "Iterator[RenderableType]":
        """Layers below each other, or side by side if several fit."""
        from rich.table import Table
        from rich.text import Text

        layers = [list(heads) for _, heads in groupby(self.answer.heads, key=lambda head: head.layer)]
        cell = min(max(len(positions), _SMALLEST_TITLE), width)
        across = max((width + _GAP) // (cell + _GAP), 1)
        whole = len(layers[0]) * (cell + _GAP) - _GAP
        beside = max((width + _BETWEEN) // (whole + _BETWEEN), 1)
        for start in range(0, len(layers), beside):
            row = layers[start : start + beside]
            grid = Table.grid(padding=(0, _BETWEEN, 0, 0), pad_edge=False)
            for _ in row:
                grid.add_column(width=min(whole, width))
            grid.add_row(*(self._layer(heads, positions, cell, across) for heads in row))
            yield Text()
            yield grid

    def _layer(
        self, heads: "list[HeadAttention]", positions: Sequence[int], cell: int, across: int
    ) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        parts: list[RenderableType] = [Text(layer_name(heads[0].layer, heads[0].window), style="bold")]
        for start in range(0, len(heads), across):
            row = heads[start : start + across]
            grid = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
            for _ in row:
                grid.add_column(width=cell, no_wrap=True)
            grid.add_row(*map(_title, row))
            grid.add_row(
                *(SmallMap(shown(self.answer, head, positions, positions), bounds(self.answer)) for head in row)
            )
            parts += [Text(), grid] if start else [grid]
        return Group(*parts)


def _title(head: "HeadAttention") -> "Text":
    """The head's number, name and score; the name is in brackets if the score is below the threshold."""
    from rich.text import Text

    title = Text().append(f"head {head.head}", style="bold")
    if head.label is None:
        return title
    most = head.label.nearest.removesuffix(" token")
    short = f"{most} {head.label.score:.2f}".replace(" 0.", " .")
    return title.append(f"\n{short}" if head.label.kind else f"\n({short})", style="" if head.label.kind else "dim")

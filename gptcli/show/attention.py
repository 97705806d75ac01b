"""The picture of ``gptcli attention``: a grid of small maps, or one head in figures (see ``head``)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from gptcli.show.head import LargeHead, axes, bounds, kept, layer_name, legend, named, said_cut, shown
from gptcli.show.heat import SmallMap
from gptcli.show.pictures import token_strip
from gptcli.show.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.attention import Attention, HeadAttention

_LARGEST_MAP = 48  # tokens on a side
_SMALLEST_TITLE = 15  # columns of "(induction .39)"
_GAP = 2


def draw(answer: "Attention") -> "RenderableType":
    """One head large, several as a grid of small maps a layer."""
    return LargeHead(answer) if len(answer.heads) == 1 else HeadGrid(answer)


@dataclass(frozen=True)
class HeadGrid:
    """A small map a head, as many beside each other as fit, under the tokens that they are about."""

    answer: "Attention"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay the maps out for the width at hand."""
        from rich.text import Text

        answer, width = self.answer, options.max_width
        places = kept(len(answer.tokens), min(_LARGEST_MAP, max((width - _GAP) // 2, 2)))
        tokens = [token_text(answer.tokens[place]) for place in places]
        yield token_strip(tokens, [f"{place + 1}" for place in places], width)
        yield from said_cut("Drawn", places, len(answer.tokens))
        yield Text(axes(answer), style="dim")
        yield legend(answer)
        for layer, heads in groupby(answer.heads, key=lambda head: head.layer):
            yield from self._layer(layer, list(heads), places, width)
        yield from named(answer)

    def _layer(
        self, layer: int, heads: "list[HeadAttention]", places: Sequence[int], width: int
    ) -> "Iterator[RenderableType]":
        from rich.table import Table
        from rich.text import Text

        yield Text("\n" + layer_name(layer, heads[0].window), style="bold")
        cell = min(max(len(places), _SMALLEST_TITLE), width)
        across = max((width + _GAP) // (cell + _GAP), 1)
        for start in range(0, len(heads), across):
            row = heads[start : start + across]
            grid = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
            for _ in row:
                grid.add_column(width=cell, no_wrap=True)
            grid.add_row(*map(_title, row))
            grid.add_row(*(SmallMap(shown(self.answer, head, places, places), bounds(self.answer)) for head in row))
            yield grid


def _title(head: "HeadAttention") -> "Text":
    """Its number, and its name and score; in brackets, what it does most, where that is too little for a name."""
    from rich.text import Text

    title = Text(f"head {head.head}", style="bold")
    if head.label is None:
        return title
    most = head.label.nearest.removesuffix(" token")
    short = f"{most} {head.label.score:.2f}".replace(" 0.", " .")
    return title.append(f"\n{short}" if head.label.kind else f"\n({short})", style="" if head.label.kind else "dim")

"""The picture of ``gptcli attention``: a grid of small maps, one head in figures (``head``), or links (``links``)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from gptcli.show.blocks.heat import has_colours
from gptcli.show.blocks.word_map import WordMap, plain
from gptcli.show.head import LargeHead, axes, bounds, conclusion, kept, layer_name, legend, said_cut, sharing, shown
from gptcli.show.looking import PARTS, explained, kinds_explained
from gptcli.show.terminal.watching import lines_allowed
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.attention import Attention, HeadAttention

_MOST_TOKENS = 60  # on a side
_HALVED = 24  # from so many tokens on, two rows share a line
_MARGINS = (9, 7, 5)  # columns for the words of the rows, the widest that fit
_WIDEST_CELL = 4
_GAP = 2  # columns between maps
_BETWEEN = 6  # columns between layers
_MOST_LINES = 260
_INITIALS = (6, 3)  # lines of the words above a map: of one layer, of several


def draw(answer: "Attention") -> "RenderableType":
    """The links of words; one head large; or several as a grid of small maps for each layer."""
    if answer.links:
        from gptcli.show.links import LinkPicture

        return LinkPicture(answer)
    return LargeHead(answer) if len(answer.heads) == 1 else HeadGrid(answer)


class _Layout(NamedTuple):
    """How maps are laid out: the tokens they show, and the columns of their parts."""

    positions: list[int]
    margin: int
    cell: int
    title: int
    head: int

    @property
    def halved(self) -> bool:
        return len(self.positions) >= _HALVED

    @property
    def width(self) -> int:
        """Columns of a map with its title."""
        return max(self.margin + self.cell * len(self.positions), self.title)

    def filled(self, longest: int) -> "_Layout":
        """The same with longer words at the rows, if the title is wider than the map anyway."""
        spare = self.title - self.cell * len(self.positions)
        return self._replace(margin=max(self.margin, min(spare, longest)))

    def lines(self, *, coloured: bool) -> int:
        """Lines of a map with its title."""
        rows = len(self.positions)
        return 4 + self.head + ((rows + 1) // 2 if self.halved and coloured else rows)


@dataclass(frozen=True)
class HeadGrid:
    """A map for each head with words on both sides, as many in a row as fit."""

    answer: "Attention"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay the maps out for the terminal's width."""
        from rich.text import Text

        answer, width = self.answer, options.max_width
        heads = answer.heads
        layout = self._layout(heads, width)
        across = _across(_in_a_layer(heads), layout.width, width)
        fitting = max(_MOST_LINES // layout.lines(coloured=has_colours(console)), 1) * across
        if fitting < len(heads):
            heads = _busiest(heads, fitting)
        yield Text(axes(answer), style="dim")
        yield from sharing(answer)
        yield legend(answer)
        yield from self._layers(heads, layout, width)
        yield Text()
        if len(heads) < len(answer.heads):
            yield Text(
                f"Drawn: the {len(heads)} of {len(answer.heads)} heads that look most at other tokens than the first, "
                "the one before and themselves; --layer and --head draw those that you name.",
                style="dim",
            )
        yield from said_cut("Drawn", layout.positions, len(answer.tokens))
        for said in (explained(heads), kinds_explained(heads)):
            if said and lines_allowed() is None:
                yield Text(said, style="dim")
        yield from conclusion(answer)

    def _layout(self, heads: "Sequence[HeadAttention]", width: int) -> _Layout:
        """The largest maps with which the heads of a layer stand side by side, or else the smallest."""
        tokens = list(map(token_text, self.answer.texts))
        positions = kept(len(tokens), max(min(_MOST_TOKENS, width - _MARGINS[-1]), 2))
        shown_tokens = [plain(tokens[position]) for position in positions]
        title = min(max(len(line) for head in heads for line in _title(head).plain.split("\n")), width)
        in_a_row = _in_a_layer(heads)
        longest = max(map(_cells, shown_tokens)) + 2
        head = _INITIALS[heads[0].layer != heads[-1].layer]
        least = 2 if any(_cells(letter) > 1 for token in shown_tokens for letter in token) else 1
        layout = _Layout(positions, _MARGINS[-1], least, title, 1)
        if _across(in_a_row, layout.width, width) < in_a_row and lines_allowed() is not None:
            head = 1  # rows below each other are high enough
        in_a_row = _across(in_a_row, layout.width, width)
        for cell in range(_WIDEST_CELL, least - 1, -1):
            for margin in _MARGINS:
                initials = head if cell > 1 else 1  # words side by side from top to bottom need a space between
                layout = _Layout(positions, max(min(margin, longest), _MARGINS[-1]), cell, title, initials)
                if in_a_row * (layout.width + _GAP) - _GAP <= width:
                    return layout.filled(longest)
        if layout.width > width:  # wide characters, or a terminal of a few columns
            layout = layout._replace(positions=kept(len(tokens), max((width - layout.margin) // layout.cell, 1)))
        return layout.filled(longest)

    def _layers(self, heads: "Sequence[HeadAttention]", layout: _Layout, width: int) -> "Iterator[RenderableType]":
        """Layers below each other, or side by side if several fit."""
        from rich.table import Table
        from rich.text import Text

        layers = [list(group) for _, group in groupby(heads, key=lambda head: head.layer)]
        cell = min(layout.width, width)
        most = max(map(len, layers))
        across = _across(most, cell, width)
        whole = most * (cell + _GAP) - _GAP
        in_a_row = max((width + _BETWEEN) // (whole + _BETWEEN), 1)
        for start in range(0, len(layers), in_a_row):
            row = layers[start : start + in_a_row]
            grid = Table.grid(padding=(0, _BETWEEN, 0, 0), pad_edge=False)
            for _ in row:
                grid.add_column(width=min(whole, width))
            grid.add_row(*(self._layer(each, layout, cell, across) for each in row))
            yield Text()
            yield grid

    def _layer(self, heads: "Sequence[HeadAttention]", layout: _Layout, cell: int, across: int) -> "RenderableType":
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
            grid.add_row(*(self._map(head, layout) for head in row))
            parts += [Text(), grid] if start else [grid]
        return Group(*parts)

    def _map(self, head: "HeadAttention", layout: _Layout) -> WordMap:
        answer, positions = self.answer, layout.positions
        tokens = [token_text(answer.texts[position]) for position in positions]
        values = shown(answer, head, positions, positions)
        return WordMap(
            tokens, tokens, values, bounds(answer), layout.margin, layout.cell, layout.head, halved=layout.halved
        )


def _in_a_layer(heads: "Sequence[HeadAttention]") -> int:
    """The most heads of one layer."""
    return max(len(list(group)) for _, group in groupby(heads, key=lambda head: head.layer))


def _across(count: int, each: int, width: int) -> int:
    """How many maps stand in a row of this width, in rows that are equally long."""
    fitting = max((width + _GAP) // (each + _GAP), 1)
    return ceil(count / ceil(count / fitting))


def _busiest(heads: "Sequence[HeadAttention]", most: int) -> "list[HeadAttention]":
    """The heads that look most at tokens other than the first, the one before and themselves, in their order."""
    order = sorted(heads, key=lambda head: -(head.in_text.elsewhere if head.in_text is not None else 0))
    chosen = {(head.layer, head.head) for head in order[:most]}
    return [head for head in heads if (head.layer, head.head) in chosen]


def _title(head: "HeadAttention") -> "Text":
    """The head's number, where it looks most in this text, and its kind if it has one."""
    from rich.text import Text

    title = Text().append(f"head {head.head}", style="bold")
    if head.key_head is not None:
        title.append(f", key head {head.key_head}", style="dim")
    if head.in_text is not None:
        part, share = head.in_text.largest
        title.append(f"\n{PARTS[part]} {share:.2f}".replace(" 0.", " ."))
    if head.label is not None and head.label.kind is not None:
        title.append(f"\n({head.label.kind})", style="dim")
    return title


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)

"""One attention head, large: its weights or scores in figures; and helpers shared with the grid of heads."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import MapLegend, finite_bounds, heat_map
from gptcli.show.blocks.word_map import WordMap, downwards
from gptcli.show.looking import STRIKING, label_said, shares_said, striking_sentence
from gptcli.show.terminal.watching import lines_allowed
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.attention import Attention, HeadAttention

_MOST_ROWS = 64
_LONGEST_LABEL = 16
_MOST_GROUPS = 8  # of heads that share keys
_TALLEST = 8  # lines of the words above a map
_LEAST_CELL, _WIDEST_CELL = 2, 6  # columns of a figure that is only a colour


@dataclass(frozen=True)
class LargeHead:
    """One head, with figures on the colours and the tokens next to them."""

    answer: "Attention"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Show as many positions as fit, and say which."""
        from rich.text import Text

        answer, head = self.answer, self.answer.heads[0]
        shares = "" if head.key_head is None else f" (key head {head.key_head})"
        yield Text(f"{layer_name(head.layer, head.window)}, head {head.head}{shares}", style="bold")
        yield Text(axes(answer), style="dim")
        yield from sharing(answer)
        yield legend(answer)
        yield Text()
        yield from _map(answer, options.max_width)
        if head.label is not None:
            yield Text("\n" + label_said(head.label, answer.named_from), style="dim")
        yield from conclusion(answer)


def conclusion(answer: "Attention") -> "Iterator[Text]":
    """What the heads mostly do in this text, and what is most striking."""
    from rich.text import Text

    if answer.in_text is not None:
        heads = f"these {len(answer.heads)} heads" if len(answer.heads) > 1 else "this head"
        yield Text(f"In this text {heads}, on average: {shares_said(answer.in_text)}.")
    if lines_allowed() is not None:  # the tour says it in its own sentence
        return
    yield Text(striking_sentence(answer), style="bold")
    if answer.striking is not None:
        yield Text(f"({STRIKING})", style="dim")


def _map(answer: "Attention", width: int) -> "Iterator[RenderableType]":
    from rich.text import Text

    head, length, rows_look = answer.heads[0], len(answer.tokens), answer.rows == "queries"
    tokens = list(map(token_text, answer.texts))
    names = [f"{number} {_clipped(token, _LONGEST_LABEL)}" for number, token in enumerate(tokens, start=1)]
    available = width - max(map(_cells, names)) - 1
    fitting = max(available // _narrowest(answer), 1)
    if fitting < length <= available // _LEAST_CELL:
        cell = min(available // length, _WIDEST_CELL)
        values = shown(answer, head, range(length), range(length))
        yield WordMap(names, tokens, values, bounds(answer), width - available, cell, _TALLEST)
        yield Text(
            f"Without figures, so that all {length:,} tokens fit; --json has them, --from WORD the largest.",
            style="dim",
        )
        return
    sums = answer.quantity == "weights" and rows_look and 3 <= fitting < length
    columns = kept(length, fitting - sums, first=rows_look)
    # A query whose columns are all cut is left out; keys are looked at by later queries.
    rows = columns if rows_look else kept(length, _MOST_ROWS)
    values = shown(answer, head, rows, columns)
    if sums:
        for row, figures in zip(rows, values, strict=True):
            figures.insert(1, math.fsum(head.values[row][1 : columns[1]]) if row else -math.inf)
    texts = _texts(values, available // len(values[0]) - 2, answer.quantity)
    cell = max(available // len(values[0]) - 2, *(len(text) for row in texts for text in row))
    labels = [tokens[column] for column in columns]
    labels[1:1] = ["…"] * sums
    if cell < max(map(_cells, labels)):
        for line in downwards(labels, 1, _TALLEST):
            spread = "".join(letter.rjust(cell + 1) + " " for letter in line)
            yield Text(" " * (width - available) + spread.rstrip(), style="bold", no_wrap=True)
        labels = []
    yield heat_map([names[row] for row in rows], labels, values, bounds(answer), texts)
    if rows == columns:
        yield from said_cut("Shown", rows, length, " Under … is the sum of the columns between." if sums else "")
    else:
        yield from said_cut("Columns", columns, length)
        yield from said_cut("Rows", rows, length)


def _narrowest(answer: "Attention") -> int:
    """The least columns of a figure: ``.98``, or ``-inf`` and scores without decimals, between spaces."""
    if answer.quantity == "weights":
        return 5
    return 2 + max(len("-inf"), *(len(f"{bound:.0f}") for bound in bounds(answer)))


def kept(length: int, most: int, *, first: bool = True) -> list[int]:
    """The positions to show if not all fit: the latest, and the first, to which many heads attend."""
    if length <= most:
        return list(range(length))
    latest = most - 1 if first and most > 1 else most
    return [*([0] if latest < most else []), *range(length - latest, length)]


def said_cut(what: str, positions: Sequence[int], length: int, more: str = "") -> "Iterator[Text]":
    """One line on which positions are shown, if not all."""
    from rich.text import Text

    if len(positions) < length:
        which = (
            f"the first and the latest {len(positions) - 1:,}"
            if positions[0] == 0
            else f"the latest {len(positions):,}"
        )
        yield Text(f"{what}: {which} of {length:,} tokens; --json has all.{more}", style="dim")


def shown(answer: "Attention", head: "HeadAttention", rows: Sequence[int], columns: Sequence[int]) -> list[list[float]]:
    """The figures at these positions; -inf where the mask is, which is left blank."""

    def figure(row: int, column: int) -> float:
        query, key = (row, column) if answer.rows == "queries" else (column, row)
        return head.values[row][column] if head.sees(query, key) else -math.inf

    return [[figure(row, column) for column in columns] for row in rows]


def bounds(answer: "Attention") -> tuple[float, float]:
    """The figures at the ends of the colour map: the same for every head, so that heads can be compared."""
    if answer.quantity == "weights":
        return 0.0, 1.0
    return finite_bounds([row for head in answer.heads for row in head.values])


def legend(answer: "Attention") -> MapLegend:
    """What the colours mean."""
    empty = "the mask" if answer.quantity == "weights" else "the mask, -inf"
    return MapLegend(answer.quantity.removesuffix("s"), bounds(answer), empty)


def axes(answer: "Attention") -> str:
    """How to read a map."""
    looks, seen = ("row", "columns") if answer.rows == "queries" else ("column", "rows")
    sums = f"; a {looks} adds up to 1" if answer.quantity == "weights" else ", before the softmax"
    return f"Each {looks} looks at the {seen}{sums}."


def sharing(answer: "Attention") -> "Iterator[Text]":
    """Which heads share keys and values, where they do: one line."""
    from rich.text import Text

    groups: dict[int, list[int]] = {}
    for head in answer.heads:
        if head.key_head is not None and head.layer == answer.heads[0].layer:
            groups.setdefault(head.key_head, []).append(head.head)
    said = [f"key head {key}: {_range(heads)}" for key, heads in groups.items()]
    if said:
        more = ", …" if len(said) > _MOST_GROUPS else ""
        yield Text(f"Heads share keys and values. {', '.join(said[:_MOST_GROUPS]).capitalize()}{more}.", style="dim")


def _range(heads: Sequence[int]) -> str:
    """Heads as ``head 3``, ``heads 1-4`` or ``heads 1, 3``."""
    first, last = heads[0], heads[-1]
    if first == last:
        return f"head {first}"
    in_a_row = list(heads) == list(range(first, last + 1))
    return f"heads {first}-{last}" if in_a_row else f"heads {', '.join(map(str, heads))}"


def layer_name(layer: int, window: int | None) -> str:
    """The name of a layer, with its window if it has one."""
    return f"Layer {layer}" if window is None else f"Layer {layer} (sees the latest {window:,} tokens)"


def _texts(values: Sequence[Sequence[float]], width: int, quantity: str) -> list[list[str]]:
    """The figures with three decimals if they fit, else two for weights, and fewer for scores."""
    texts: list[list[str]] = []
    for digits in (3, 2, 1, 0) if quantity == "scores" else (3, 2):
        texts = [[_figure(value, digits, quantity) for value in row] for row in values]
        if max(len(text) for row in texts for text in row) <= width:
            break
    return texts


def _figure(value: float, digits: int, quantity: str) -> str:
    if not math.isfinite(value):
        return "-inf" if quantity == "scores" else ""
    text = f"{value:.{digits}f}"
    if quantity == "scores":
        return text
    return text.removeprefix("0") if text.startswith("0") else text[:-1]  # .98 and 1.0: the same width


def _clipped(text: str, width: int) -> str:
    from rich.text import Text

    clipped = Text(text)
    clipped.truncate(max(width, 1), overflow="ellipsis")
    return clipped.plain


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)

"""The page of ``gptcli attention``: a row of maps for each layer, and the text with arcs, which stays in sight."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from gptcli.show.head import axes, bounds, kept, layer_name
from gptcli.show.html.page import Page
from gptcli.show.html.parts import MOST_CELLS, Cell, Grid, Legend, PagePart, Row, Sentence
from gptcli.show.looking import PARTS, explained, kinds_explained, striking_sentence
from gptcli.text import token_text

if TYPE_CHECKING:
    from gptcli.inspection.attention import Attention, HeadAttention

_TICKS = 5
_HOW = (
    "Point at a word for where the head that was chosen last looks from there, or at a field of a map, which chooses "
    "its head; tap, or move with Tab and the arrow keys. Enter keeps it, Escape lets go."
)


def draw_page(answer: "Attention") -> Page:
    """One head large, or a row of maps for each layer; of a long text the first token and the latest."""
    fitting = max(math.isqrt(2 * MOST_CELLS // len(answer.heads)), 2)
    positions = kept(len(answer.tokens), fitting)
    cut = len(answer.tokens) - len(positions)
    facts = [striking_sentence(answer), axes(answer)]
    if cut:
        facts.append(f"Shown: the first and the latest {len(positions) - 1:,} of {len(answer.tokens):,} tokens.")
    facts += [said for said in (explained(answer.heads), kinds_explained(answer.heads)) if said]
    return Page(f"Where {answer.model} looks", facts, page_parts(answer, positions), thing="field", how=_HOW)


def page_parts(answer: "Attention", positions: Sequence[int] | None = None) -> list[PagePart]:
    """The text, and the maps of each layer."""
    shown = range(len(answer.tokens)) if positions is None else positions
    words = [token_text(answer.texts[each]) for each in shown]
    parts: list[PagePart] = [Sentence(words, answer.rows == "queries", _first(answer, list(shown)))]
    if len(answer.heads) == 1:
        return [*parts, _map(answer, answer.heads[0], shown)]
    for (layer, window), heads in groupby(answer.heads, key=lambda head: (head.layer, head.window)):
        parts.append(Row(layer_name(layer, window), [_map(answer, head, shown) for head in heads]))
    return parts


def _first(answer: "Attention", positions: list[int]) -> tuple[int, int]:
    """The head and the query of the most striking link, among what is shown; else the first head and the last token."""
    link = answer.striking
    if link is not None and link.query - 1 in positions:
        places = [
            place for place, head in enumerate(answer.heads) if (head.layer, head.head) == (link.layer, link.head)
        ]
        if places:
            return places[0], positions.index(link.query - 1)
    return 0, len(positions) - 1


def _map(answer: "Attention", head: "HeadAttention", positions: Sequence[int]) -> Grid:
    low, high = bounds(answer)
    span = (high - low) or 1.0
    large, by_row = len(answer.heads) == 1, answer.rows == "queries"
    tokens = [token_text(answer.texts[position]) for position in positions]

    def cell(row: int, column: int) -> Cell | None:
        query, key = (row, column) if by_row else (column, row)
        if not head.sees(query, key):
            return None
        value = head.values[row][column]
        label = f"{value:.2f}" if large else ""
        return Cell(label, (value - low) / span, (f"{value:.3g}", f"{query + 1:,}", f"{key + 1:,}"))

    ticks = [(f"{low + span * step / (_TICKS - 1):.3g}", step / (_TICKS - 1)) for step in range(_TICKS)]
    return Grid(
        title=(f"{layer_name(head.layer, head.window)}, head" if large else "Head") + f" {head.head}{_mostly(head)}",
        names=(answer.quantity.removesuffix("s"), "from position", "to position"),
        rows=tokens,
        columns=tokens,
        cells=[[cell(row, column) for column in positions] for row in positions],
        heading="{row} looks at {column}" if by_row else "{column} looks at {row}",
        large=large,
        looks=True,
        legend=Legend(answer.quantity.removesuffix("s"), ticks) if head is answer.heads[-1] else None,
    )


def _mostly(head: "HeadAttention") -> str:
    """Where most of its attention goes in this text, and its kind."""
    if head.in_text is None:
        return ""
    part, share = head.in_text.largest
    kind = "" if head.label is None or head.label.kind is None else f" ({head.label.kind})"
    return f": {PARTS[part]} {share:.2f}{kind}"

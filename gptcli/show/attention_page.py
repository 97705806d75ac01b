"""The page of ``gptcli attention``: a map for each head, with the text coloured by a query's attention."""

import math
from typing import TYPE_CHECKING

from gptcli.show.head import axes, bounds, kept, layer_name
from gptcli.show.html.page import page
from gptcli.show.html.parts import MOST_CELLS, Cell, Grid, Legend
from gptcli.text import token_text

if TYPE_CHECKING:
    from gptcli.inspection.attention import Attention, HeadAttention

_TICKS = 5


def draw_page(answer: "Attention") -> str:
    """One head large, or several as small maps; of a long text the first token and the latest."""
    fitting = max(math.isqrt(2 * MOST_CELLS // len(answer.heads)), 2)
    positions = kept(len(answer.tokens), fitting)
    cut = len(answer.tokens) - len(positions)
    facts = [axes(answer)]
    if cut:
        facts.append(f"Shown: the first and the latest {len(positions) - 1:,} of {len(answer.tokens):,} tokens.")
    if answer.heads[0].label is not None:
        facts.append("In brackets: what the head does most on random tokens that come twice, and with which share.")
    return page(
        f"Where {answer.model} looks", facts, [_map(answer, head, positions) for head in answer.heads], thing="cell"
    )


def _map(answer: "Attention", head: "HeadAttention", positions: list[int]) -> Grid:
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

    label = f" ({head.label.nearest} {head.label.score:.2f})" if head.label is not None else ""
    ticks = [(f"{low + span * step / (_TICKS - 1):.3g}", step / (_TICKS - 1)) for step in range(_TICKS)]
    return Grid(
        title=f"{layer_name(head.layer, head.window)}, head {head.head}{label}",
        names=(answer.quantity.removesuffix("s"), "from position", "to position"),
        rows=tokens,
        columns=tokens,
        cells=[[cell(row, column) for column in positions] for row in positions],
        heading="{row} looks at {column}" if by_row else "{column} looks at {row}",
        large=large,
        spread="row" if by_row else "column",
        legend=Legend(answer.quantity.removesuffix("s"), ticks) if head is answer.heads[-1] else None,
    )

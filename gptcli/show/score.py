"""The picture of ``gptcli score``: the coloured text, its most surprising tokens, and the totals."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.show.blocks.coloured import ColouredText, ColouredToken
from gptcli.show.blocks.figures import percent
from gptcli.show.blocks.heat import TextLegend
from gptcli.show.blocks.narrow import BARS, Narrowing, narrowing
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.html.page import Page
from gptcli.show.html.parts import MOST_CELLS, Cell, Legend, Listing, Strip
from gptcli.show.terminal.console import print_json, print_table
from gptcli.show.text_rows import TextRows
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.probability.scoring import Score, Summary, TokenScore
    from gptcli.show.terminal.tables import Form

# The surprisal at the end of the colour map: one in 65,536.
_MOST_BITS = 16.0
_LEGEND = Legend("surprisal", [(f"{bits}", bits / _MOST_BITS) for bits in range(0, int(_MOST_BITS) + 1, 4)], "bits")
_COLUMNS = (">position", "token", ">probability", ">rank", ">bits")


def draw(score: "Score", top: int) -> "RenderableType":
    """The text coloured by surprisal, a table, and the totals."""
    from rich.console import Group
    from rich.text import Text

    legend = TextLegend(_LEGEND, "below each token: its surprisal in bits")
    figures = [Text(_sums(score)), Text(_meaning(score), style="dim")]
    return Group(_coloured(score), Text(), legend, _listed(score, top), *figures)


def draw_page(score: "Score", top: int) -> Page:
    """The page: pointing at a token shows its figures."""
    text = Strip("", ("probability", "rank", "surprisal"), _cells(score.tokens[:MOST_CELLS]), _LEGEND)
    cut = len(score.tokens) - len(text.cells)
    facts = [_sums(score), *([f"The first {MOST_CELLS:,} tokens; {cut:,} follow, which --json has."] if cut else [])]
    positions = _positions(score, min(top, MOST_CELLS))
    most = max(_bits(score.tokens[position]) for position in positions) or 1.0
    rows = [(_row(score, position), _bits(score.tokens[position]) / most) for position in positions]
    listing = Listing("The most surprising" if len(rows) < score.scored else "In order", _COLUMNS, rows)
    return Page(f"How surprising a text is to {score.model}", facts, [text, listing])


def _cells(tokens: "Sequence[TokenScore]") -> list[Cell]:
    return [
        Cell(
            token_text(token.token),
            None if token.surprisal_bits is None else _bits(token) / _MOST_BITS,
            ()
            if token.rank is None
            else (percent(token.probability or 0), f"{token.rank:,}", f"{_bits(token):.2f} bits"),
        )
        for token in tokens
    ]


def _coloured(score: "Score") -> ColouredText:
    """Each token coloured by its surprisal; without colour, with its bits below."""
    return ColouredText([_coloured_token(token) for token in score.tokens])


def _coloured_token(token: "TokenScore") -> ColouredToken:
    bits, shown = token.surprisal_bits, token_text(token.token)
    return ColouredToken(shown, None, "–") if bits is None else ColouredToken(shown, bits / _MOST_BITS, f"{bits:.1f}")


def _listed(score: "Score", top: int) -> Narrowing:
    positions = _positions(score, top)
    made = table(*_COLUMNS, BARS)
    most = max(_bits(score.tokens[position]) for position in positions) or 1.0
    for position in positions:
        made.add_row(*_row(score, position), Bar(_bits(score.tokens[position]) / most))
    return narrowing(made, "position", "rank", BARS)


def _positions(score: "Score", top: int) -> list[int]:
    """The tokens in order, or only the most surprising ones of a long text."""
    positions = [position for position, token in enumerate(score.tokens) if token.surprisal_bits is not None]
    return (
        positions
        if len(positions) <= top
        else sorted(positions, key=lambda position: -_bits(score.tokens[position]))[:top]
    )


def _row(score: "Score", position: int) -> list[str]:
    token = score.tokens[position]
    shown = [f"{position + 1:,}", token_text(token.token), percent(token.probability or 0.0), f"{token.rank:,}"]
    return [*shown, f"{_bits(token):.2f}"]


def _bits(token: "TokenScore") -> float:
    return token.surprisal_bits or 0.0


def _sums(score: "Score") -> str:
    return (
        f"{score.scored:,} tokens scored · log-probability {score.logprob:,.3f} · "
        f"{score.bits_per_token:.3f} bits a token · {score.bits_per_byte:.3f} bits a byte · "
        f"perplexity {score.perplexity:,.2f}"
    )


def _meaning(score: "Score") -> str:
    """The perplexity in words."""
    unsure = f"{score.perplexity:,.0f}" if score.perplexity < 1e6 else f"{score.perplexity:.0e}".replace("e+0", "e")
    return f"on average as unsure as between {unsure} equally likely tokens (gptcli glossary perplexity)"


class SummaryRows:
    """A row for each scored text, and one for all of them together."""

    def __init__(self) -> None:
        self._rows = TextRows([("tokens", 8), ("bits", 12), ("bits/byte", 9), ("perplexity", 12)])
        self._count = self._tokens = self._scored = 0
        self._bits = self._bytes = 0.0

    def add(self, summary: "Summary", name: str) -> None:
        """Print the row of one text."""
        self._count += 1
        self._tokens += summary.n_tokens
        self._scored += summary.scored
        self._bits += summary.bits
        self._bytes += summary.bits / summary.bits_per_byte if summary.scored and summary.bits else 0
        self._rows.row(_figures(summary.n_tokens, summary.bits, summary.bits_per_byte, summary.perplexity), name)

    def total(self) -> None:
        """Print the row of all texts, where there are several."""
        if self._count < 2 or not self._scored:
            return
        per_byte = self._bits / self._bytes if self._bytes else 0.0
        mean = self._bits / self._scored
        perplexity = 2**mean if mean < 1000 else math.inf
        self._rows.row(_figures(self._tokens, self._bits, per_byte, perplexity), f"total of {self._count:,} texts")


def print_summary(summary: "Summary", name: str, form: "Form | None") -> None:
    """Print the totals of one text: as data, or a row under its headings that ends with its name."""
    if form == "json":
        print_json(summary)
    elif form is not None:
        print_table(summary, form)
    else:
        SummaryRows().add(summary, name)


def _figures(tokens: int, bits: float, per_byte: float, perplexity: float) -> list[str]:
    if math.isnan(perplexity):
        return [f"{tokens:,}", "–", "–", "–"]
    return [f"{tokens:,}", f"{bits:,.2f}", f"{per_byte:.3f}", f"{perplexity:,.2f}"]

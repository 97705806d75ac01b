"""The picture of ``gptcli score``: the coloured text, its most surprising tokens, and the totals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import TextLegend, has_colours
from gptcli.show.blocks.narrow import BARS, Narrowing, narrowing
from gptcli.show.blocks.palette import on_scale
from gptcli.show.blocks.pictures import Bar, table, token_rows
from gptcli.show.html.page import Page
from gptcli.show.html.parts import MOST_CELLS, Cell, Legend, Listing, Strip
from gptcli.show.logits import percent
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

    from gptcli.probability.scoring import Score, TokenScore

# The surprisal at the end of the colour map: one in 65,536.
_MOST_BITS = 16.0
_LEGEND = Legend("surprisal", [(f"{bits}", bits / _MOST_BITS) for bits in range(0, int(_MOST_BITS) + 1, 4)], "bits")
_COLUMNS = (">position", "token", ">probability", ">rank", ">bits")


def draw(score: "Score", top: int) -> "RenderableType":
    """The text coloured by surprisal, a table, and the totals."""
    from rich.console import Group
    from rich.text import Text

    legend = TextLegend(_LEGEND, "below each token: its surprisal in bits")
    return Group(_Coloured(score), Text(), legend, _listed(score, top), Text(_sums(score)))


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


@dataclass(frozen=True)
class _Coloured:
    """Each token coloured by its surprisal; without colour, with its bits below. Lines break between tokens."""

    score: "Score"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as the terminal."""
        from rich.cells import cell_len
        from rich.text import Text

        tokens = ((token_text(token.token), token.surprisal_bits) for token in self.score.tokens)
        if not has_colours(console):
            below = ((shown, "–" if bits is None else f"{bits:.1f}") for shown, bits in tokens)
            for number, row in enumerate(token_rows(below, options.max_width)):
                if number:
                    yield Text()
                yield row
            return
        line, used = Text(), 0
        for shown, bits in tokens:
            width = cell_len(shown)
            if used and used + width > options.max_width:
                yield line
                line, used = Text(), 0
            line.append(shown, style="dim" if bits is None else _style(bits))
            used += width
            if shown.endswith("⏎"):
                yield line
                line, used = Text(), 0
        yield line


def _style(bits: float) -> str:
    fraction = bits / _MOST_BITS
    return on_scale(fraction)


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

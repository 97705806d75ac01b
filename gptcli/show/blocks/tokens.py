"""Strips of tokens: side by side in alternating colours, each with a line of text under it."""

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from gptcli.show.blocks import palette


class TokenStrip(Text):
    """What ``token_strip`` makes; it knows its tokens, for a page that sets them in its own way.

    Attributes:
        tokens: what is shown of each, and what is below it.
    """

    def __init__(self, tokens: Sequence[tuple[str, str]], width: int) -> None:
        super().__init__(no_wrap=True, overflow="crop")
        self.tokens = tokens
        self.append_text(Text("\n\n").join(token_rows(tokens, width)))


def token_strip(tokens: Sequence[str], below: Sequence[str], width: int) -> TokenStrip:
    """Tokens side by side in alternating colours, each with a line of text under it, wrapped to a width.

    Args:
        tokens: what to show of each token, already made visible.
        below: one short text a token, such as its id.
        width: columns to fill before a new row starts.
    """
    return TokenStrip(list(zip(tokens, below, strict=True)), width)


def token_rows(tokens: Iterable[tuple[str, str]], width: int) -> Iterator[Text]:
    """The rows of a strip, two lines each, one after the other: for a text of any length."""
    upper, lower, used = Text(no_wrap=True, overflow="crop"), Text(), 0
    for index, (token, under) in enumerate(tokens):
        cell = min(max(cell_len(token), cell_len(under)), width)
        if used and used + cell + 1 > width:
            yield upper.append("\n").append_text(lower)
            upper, lower, used = Text(no_wrap=True, overflow="crop"), Text(), 0
        upper.append(set_cell_size(token, cell), style=palette.on_token(index)).append(" ")
        lower.append(set_cell_size(under, cell), style="dim").append(" ")
        used += cell + 1
    yield upper.append("\n").append_text(lower)

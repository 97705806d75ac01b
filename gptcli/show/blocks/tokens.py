"""A strip of tokens that knows them, for a page that sets them in its own way."""

from collections.abc import Sequence

from rich.text import Text

from gptcli.show.blocks.pictures import token_rows


class TokenStrip(Text):
    """What ``token_strip`` makes.

    Attributes:
        tokens: what is shown of each, and what is below it.
    """

    def __init__(self, tokens: Sequence[tuple[str, str]], width: int) -> None:
        super().__init__(no_wrap=True, overflow="crop")
        self.tokens = tokens
        self.append_text(Text("\n\n").join(token_rows(tokens, width)))

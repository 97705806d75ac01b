"""One line of the screen: pieces of text with a style each. It is built again at every key, so it is kept simple."""

from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

Look = str | Style
"""A style, as Rich writes it (``bold #ffffff on #000000``), or Rich's own."""
_DIM = Style(dim=True)


class Line:
    """Pieces of text, each with its style; nothing in them is markup, and nothing is wrapped.

    Args:
        pieces: texts, each with a style or without.
    """

    __slots__ = ("pieces", "width")

    def __init__(self, *pieces: "str | tuple[str, Look]") -> None:
        self.pieces: list[tuple[str, Look]] = []
        self.width = 0
        for piece in pieces:
            text, look = (piece, "") if isinstance(piece, str) else piece
            self.append(text, look)

    @property
    def plain(self) -> str:
        """Its text."""
        return "".join(text for text, _ in self.pieces)

    def append(self, text: str, look: Look = "") -> "Line":
        """Add a piece; to the one before where that looks alike."""
        if text:
            if self.pieces and self.pieces[-1][1] == look:
                text_before, _ = self.pieces.pop()
                self.pieces.append((text_before + text, look))
            else:
                self.pieces.append((text, look))
            self.width += len(text) if text.isascii() else cell_len(text)
        return self

    def extend(self, other: "Line") -> "Line":
        """Add the pieces of another line."""
        self.pieces += other.pieces
        self.width += other.width
        return self

    def copy(self) -> "Line":
        """The same line, to be changed on its own."""
        return Line().extend(self)

    def fit(self, width: int, *, pad: bool = False, ellipsis: bool = False) -> "Line":
        """Cut it to so many columns, with an ellipsis or without; ``pad``: or fill it up to as many."""
        if self.width > width:
            pieces, self.pieces, self.width = self.pieces, [], 0
            room = max(width - ellipsis, 0)
            for text, look in pieces:
                taken = cell_len(text)
                if self.width + taken > room:
                    self.append(set_cell_size(text, room - self.width), look)
                    self.append("…" if ellipsis and width > 0 else "", look)
                    break
                self.append(text, look)
        if pad and self.width < width:
            self.append(" " * (width - self.width))
        return self

    def on(self, look: str) -> "Line":
        """Put a style below the styles of all pieces."""
        below = style(look)
        self.pieces = [(text, below + style(own)) for text, own in self.pieces]
        return self

    def dimmed(self) -> "Line":
        """Make all of it dim."""
        self.pieces = [(text, style(own) + _DIM) for text, own in self.pieces]
        return self

    def segments(self) -> Iterator[Segment]:
        """For Rich and Textual."""
        for text, look in self.pieces:
            yield Segment(text, style(look))


@lru_cache(maxsize=8192)
def _parsed(look: str) -> Style:
    return Style.parse(look)


def style(look: Look) -> Style:
    """A style as Rich has it."""
    return _parsed(look) if isinstance(look, str) else look

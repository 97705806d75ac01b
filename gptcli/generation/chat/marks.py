"""Tells the user's text apart from the template's in a rendered prompt, however the template combines the two.

Before a template is rendered, each character of the user's text that a special token could begin or end with is
replaced by a stand-in, an unused character of Unicode's private-use planes. Templates strip, split and join texts, and
the stand-ins survive that. After rendering, each stand-in is replaced by its character, which is now known to be the
user's. A special token that contains one is encoded as text, even if the template assembled it from the user's pieces.

White space, letters and digits have no stand-in, so that strip(), upper() and similar methods work as usual. The
exception is a special token that consists only of these: its occurrences are marked.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate

_PLANES = range(0xF0000, 0x10FF00, 0x100)


class Marks:
    """The stand-ins for one model's special tokens.

    Args:
        tokens: the special tokens' texts, which must not be recognised in the user's text.
        texts: the template and all texts that it is given; no stand-in may occur in them.
    """

    def __init__(self, tokens: Collection[str], texts: Iterable[str]) -> None:
        tokens = [token for token in tokens if token.strip()]
        edges = sorted({edge for token in tokens for edge in (token[0], token[-1])})
        used = {ord(character) & ~0xFF for text in texts for character in re.findall("[\U000f0000-\U0010ffff]", text)}
        # A block has 0x100 stand-ins. More edges would run into the next block, so the rest get none.
        block = next((start for start in _PLANES if start not in used), _PLANES[0])
        self._back = {chr(block + place): edge for place, edge in enumerate(edges[:0x100])}
        stand_in = {edge: chosen for chosen, edge in self._back.items()}
        self._always = {
            ord(edge): chosen for edge, chosen in stand_in.items() if not (edge.isalnum() or edge.isspace())
        }
        self._stand_in = stand_in
        rest = sorted((token for token in tokens if ord(token[0]) not in self._always), key=len, reverse=True)
        self._whole = re.compile("|".join(map(re.escape, rest))) if rest else None
        self._mark = re.compile(f"([{''.join(map(re.escape, self._back))}]+)") if self._back else None

    def hide(self, text: str) -> str:
        """The user's text with stand-ins."""
        if self._whole is not None:
            text = self._whole.sub(lambda found: self._stand_in.get(found[0][0], found[0][0]) + found[0][1:], text)
        return text.translate(self._always)

    def reveal(self, text: str) -> Iterator[tuple[str, bool]]:
        """The pieces of a rendered prompt, stand-ins undone, each with whether special tokens are recognised in it."""
        pieces = self._mark.split(text) if self._mark is not None else [text]
        for place, piece in enumerate(pieces):
            if piece:
                typed = place % 2 == 1
                yield "".join(self._back[each] for each in piece) if typed else piece, not typed


def spelled(pieces: Sequence[tuple[str, bool]], tokens: Collection[str]) -> set[int]:
    """The indices at which the user's characters spell a token, alone or together with the template's.

    Args:
        pieces: the text, as ``Marks.reveal`` returns it.
        tokens: the texts of the tokens.

    Returns:
        The indices of these characters: no token that contains one may be recognised.
    """
    text = "".join(piece for piece, _ in pieces)
    ends = accumulate(len(piece) for piece, _ in pieces)
    typed = [(end - len(piece), end) for end, (piece, trusted) in zip(ends, pieces, strict=True) if not trusted]
    longest_first = sorted((token for token in tokens if token), key=len, reverse=True)
    closed: set[int] = set()
    if not typed or not longest_first:
        return closed
    search, place = re.compile("|".join(map(re.escape, longest_first))), 0
    while match := search.search(text, place):
        start, end = match.span()
        touched = [range(max(start, one), min(end, two)) for one, two in typed if one < end and start < two]
        closed.update(*touched)
        place = start + 1 if touched else end
    return closed

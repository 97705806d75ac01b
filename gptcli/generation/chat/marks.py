"""What a person typed, told from what a template wrote, however the template puts the two together.

Before a template is rendered, each character of the typed text with which a special token could begin or end is
replaced by a stand-in, a character that nobody uses (Unicode's private planes). Templates strip, split and join texts,
and the stand-ins go along. Afterwards they become the characters again, and are known to be typed: no special token
that touches one is read as such, not even one that a template puts together from typed pieces.

White space, letters and digits have no stand-in, so that strip(), upper() and the like do what they do, unless a
special token is made of nothing else; its occurrences are then marked as they stand.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate

_PLANES = range(0xF0000, 0x10FF00, 0x100)


class Marks:
    """The stand-ins for one model's special tokens.

    Args:
        tokens: the texts that must not be read in what is typed.
        texts: all that the template is given, and the template: no stand-in occurs in them.
    """

    def __init__(self, tokens: Collection[str], texts: Iterable[str]) -> None:
        tokens = [token for token in tokens if token.strip()]
        edges = sorted({edge for token in tokens for edge in (token[0], token[-1])})
        used = {ord(character) & ~0xFF for text in texts for character in re.findall("[\U000f0000-\U0010ffff]", text)}
        # More edges than a block holds would make a block's stand-ins run into the next ones: they stay within 0x100.
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
        """A typed text with its stand-ins."""
        if self._whole is not None:
            text = self._whole.sub(lambda found: self._stand_in.get(found[0][0], found[0][0]) + found[0][1:], text)
        return text.translate(self._always)

    def reveal(self, text: str) -> Iterator[tuple[str, bool]]:
        """What a template made of such texts, in pieces: the text, and whether special tokens may be read in it."""
        pieces = self._mark.split(text) if self._mark is not None else [text]
        for place, piece in enumerate(pieces):
            if piece:
                typed = place % 2 == 1
                yield "".join(self._back[each] for each in piece) if typed else piece, not typed


def spelled(pieces: Sequence[tuple[str, bool]], tokens: Collection[str]) -> set[int]:
    """Where in a text typed characters spell a token, alone or together with others.

    Args:
        pieces: the text, as ``Marks.reveal`` gives it.
        tokens: the texts of the tokens.

    Returns:
        The places of these characters: no token may be read that touches one.
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

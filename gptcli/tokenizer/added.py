"""Added tokens: strings that are cut out of a text before the rest of it is encoded."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AddedToken:
    """A token that is cut out of the text before the rest is encoded.

    Attributes:
        content: its text.
        id: its id.
        special: it steers the model and is not text: recognised in a text only where that is asked for.
        lstrip: it takes the whitespace before it along.
        rstrip: it takes the whitespace after it along.
        single_word: it counts only where no word character touches it.
        normalized: it is looked for in the normalised text.
    """

    content: str
    id: int
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


class Cutter:
    """Cuts a text at some added tokens: the first place, and there the longest token, as Hugging Face does.

    Args:
        tokens: the tokens to look for.
    """

    def __init__(self, tokens: Sequence[AddedToken]) -> None:
        self._by_content = {token.content: token for token in tokens if token.content}
        longest_first = sorted(self._by_content, key=len, reverse=True)
        self._search = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def cut(self, text: str, *, special: bool) -> Iterator[str | int]:
        """The parts of a text: ids of added tokens, and the text between them (never empty).

        Args:
            text: the text.
            special: cut at special tokens too.
        """
        done = 0
        for match in self._search.finditer(text) if self._search is not None else ():
            token = self._by_content[match[0]]
            start, end = match.span()
            if (token.special and not special) or (token.single_word and _touches_a_word(text, start, end)):
                continue
            if token.lstrip:
                start = max(len(text[:start].rstrip()), done)
            if token.rstrip:
                end = len(text) - len(text[end:].lstrip())
            if start > done:
                yield text[done:start]
            yield token.id
            done = end
        if done < len(text):
            yield text[done:]


def _touches_a_word(text: str, start: int, end: int) -> bool:
    return bool(re.match(r"\w", text[start - 1 : start]) or re.match(r"\w", text[end : end + 1]))

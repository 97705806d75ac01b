"""Added tokens: strings that are recognised in a text before the rest of it is encoded."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gptcli.errors import CheckpointError

# Unicode's White_Space, as in the regular expression engine of Hugging Face's tokenizers. Python's own strip() also
# removes U+001C to U+001F.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
# The categories of Unicode's word characters, without joiners and circled letters. Python's \w also has all numbers.
_CIRCLED = (
    ("\u24b6", "\u24e9"),
    ("\U0001f130", "\U0001f149"),
    ("\U0001f150", "\U0001f169"),
    ("\U0001f170", "\U0001f189"),
)
_WORD_CATEGORIES = ("L", "M", "Nd", "Nl", "Pc")
# Every text is searched for the added tokens; a longer one would only serve to make that slow.
_LONGEST = 10_000


@dataclass(frozen=True)
class AddedToken:
    """A token that is recognised in the text before the rest is encoded.

    Attributes:
        content: its text.
        id: its id.
        special: whether it is a control token and not text; it is recognised only if the caller allows it.
        lstrip: whether it includes the whitespace before it.
        rstrip: whether it includes the whitespace after it.
        single_word: whether it is recognised only if no word character is next to it.
        normalized: whether it is searched for in the normalized text.
    """

    content: str
    id: int
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


def added_token(entry: Any, where: str) -> AddedToken:
    """Parse an added token from its JSON object.

    Raises:
        CheckpointError: it has no text or no id.
    """
    if not isinstance(entry, dict):
        raise CheckpointError(f"{where}: an added token is not a JSON object: {str(entry)[:80]}")
    content, number = entry.get("content"), entry.get("id")
    if not isinstance(content, str) or not content:
        raise CheckpointError(f"{where}: an added token has no content: {str(entry)[:80]}")
    if type(number) is not int or not 0 <= number < 2**31:
        raise CheckpointError(f"{where}: the added token {content!r:.80} has the id {number!r:.80}, which is no id")
    if len(content) > _LONGEST:
        raise CheckpointError(f"{where}: the added token {content[:40]!r}... has {len(content):,} characters")
    if not content.isascii() and "\ufffd" in content.encode("utf-16", "surrogatepass").decode("utf-16", "replace"):
        raise CheckpointError(f"{where}: the added token {content!r:.80} is no Unicode text")
    special = entry.get("special") is True
    return AddedToken(
        content,
        number,
        special=special,
        lstrip=entry.get("lstrip") is True,
        rstrip=entry.get("rstrip") is True,
        single_word=entry.get("single_word") is True,
        normalized=entry.get("normalized", not special) is True,
    )


class Cutter:
    """Splits a text at added tokens: the leftmost match, and there the longest token, as Hugging Face does.

    Args:
        tokens: the tokens to look for.
    """

    def __init__(self, tokens: Sequence[AddedToken]) -> None:
        self._by_content = {token.content: token for token in tokens if token.content}
        longest_first = sorted(self._by_content, key=len, reverse=True)
        self._search = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def cut(self, text: str, *, special: bool, closed: Sequence[tuple[int, int]] = ()) -> Iterator[str | int]:
        """The parts of a text: ids of added tokens, and the text between them (never empty).

        Args:
            text: the text.
            special: whether to split at special tokens too.
            closed: spans of the text, start and end, that no token may overlap.
        """
        done = 0
        for match in self._matches(text, closed):
            token = self._by_content[match[0]]
            start, end = match.span()
            if (token.special and not special) or (token.single_word and _touches_a_word(text, start, end)):
                continue
            if token.lstrip:
                start = max(len(text[:start].rstrip(_WHITE_SPACE)), done)
            if token.rstrip:
                end = len(text) - len(text[end:].lstrip(_WHITE_SPACE))
            if start > done:
                yield text[done:start]
            yield token.id
            done = end
        if done < len(text):
            yield text[done:]

    def _matches(self, text: str, closed: Sequence[tuple[int, int]]) -> Iterator[re.Match[str]]:
        """The tokens in a text; after one that overlaps a closed span, the search continues at its second character."""
        place = 0
        while self._search is not None and (match := self._search.search(text, place)):
            touches = any(match.start() < end and start < match.end() for start, end in closed)
            place = match.start() + 1 if touches else match.end()
            if not touches:
                yield match


def _touches_a_word(text: str, start: int, end: int) -> bool:
    return any(map(_is_word, text[max(start - 1, 0) : start] + text[end : end + 1]))


def _is_word(character: str) -> bool:
    """Whether Unicode's regular expressions (UTS 18, annex C) count a character as part of a word."""
    circled = any(first <= character <= last for first, last in _CIRCLED)
    joiner = character in "\u200c\u200d"
    return unicodedata.category(character).startswith(_WORD_CATEGORIES) or circled or joiner

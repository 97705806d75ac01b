"""The text that is explored: typed characters and taken tokens, a caret, and every earlier version."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gptcli.errors import GptcliError
from gptcli.tokenizer import Tokenizer

Encode = Callable[[str], list[int]]
# Versions that can be brought back.
_MOST_UNDONE = 1000


@dataclass(frozen=True)
class Version:
    """The text at one time.

    Attributes:
        text: what is typed and taken.
        ids: its tokens, with those before the text; empty where it has none.
        start: how many of ``ids`` stand before the text.
        caret: the character before which one types.
        cursor: the token that is looked at.
        error: why there are no tokens; "" where there are.
    """

    text: str = ""
    ids: tuple[int, ...] = ()
    start: int = 0
    caret: int = 0
    cursor: int = 0
    error: str = ""


@dataclass
class Document:
    """A text and its tokens.

    Typing encodes the text again. Taking a token adds that token, whatever the encoding of the text would be.

    Args:
        tokenizer: of the model.
        encode: the ids that the model reads for a text, which may raise GptcliError.
    """

    tokenizer: Tokenizer
    encode: Encode
    now: Version = field(default_factory=Version)
    _before: list[Version] = field(default_factory=list)

    @property
    def tokens(self) -> list[bytes]:
        """The bytes of each token."""
        return [self.tokenizer.token_bytes(token) for token in self.now.ids]

    def keep(self) -> None:
        """Remember this version, for ``undo``."""
        if not self._before or self._before[-1] != self.now:
            self._before.append(self.now)
            del self._before[:-_MOST_UNDONE]

    def undo(self) -> bool:
        """Bring back the version before; False where there is none."""
        while self._before:
            version = self._before.pop()
            if (version.text, version.ids) != (self.now.text, self.now.ids):
                self.now = version
                return True
        return False

    def replace(self, text: str, caret: int | None = None) -> None:
        """Set the text, with the caret behind it or before a character."""
        text = text.encode("utf-8", "replace").decode()  # lone surrogates have no tokens
        place = len(text) if caret is None else min(max(caret, 0), len(text))
        try:
            ids = tuple(self.encode(text))
            prefix = self.tokenizer.prefix_ids
            start = len(prefix) if list(ids[: len(prefix)]) == prefix else 0
            start = len(ids) if not text else start
            self.now = Version(text, ids, start, place, max(len(ids) - 1, 0))
        except GptcliError as error:
            self.now = Version(text, (), 0, place, 0, str(error))
        if place < len(text):
            self.now = _with_cursor(self.now, self._token_at(place))

    def insert(self, typed: str) -> None:
        """Type at the caret."""
        text, caret = self.now.text, self.now.caret
        self.replace(text[:caret] + typed + text[caret:], caret + len(typed))

    def erase(self, start: int, end: int) -> None:
        """Delete the characters between two places."""
        start, end = max(start, 0), min(end, len(self.now.text))
        if start < end:
            self.replace(self.now.text[:start] + self.now.text[end:], start)

    def move_caret(self, place: int) -> None:
        """Put the caret before a character; the cursor follows."""
        now = self.now
        place = min(max(place, 0), len(now.text))
        self.now = Version(now.text, now.ids, now.start, place, self._token_at(place), now.error)

    def move_cursor(self, token: int) -> None:
        """Look at another token."""
        self.now = _with_cursor(self.now, token)

    def word_left(self) -> int:
        """The beginning of the word before the caret."""
        text, place = self.now.text, self.now.caret
        while place > 0 and text[place - 1].isspace():
            place -= 1
        while place > 0 and not text[place - 1].isspace():
            place -= 1
        return place

    def word_right(self) -> int:
        """The end of the word after the caret."""
        text, place = self.now.text, self.now.caret
        while place < len(text) and text[place].isspace():
            place += 1
        while place < len(text) and not text[place].isspace():
            place += 1
        return place

    def take(self, token: int, after: int | None = None) -> int:
        """Add a token after another one, or at the end; what followed is cut off.

        Returns:
            How many tokens were cut off.
        """
        now = self.now
        kept = now.ids if after is None else now.ids[: after + 1]
        ids = (*kept, token)
        text = self.tokenizer.decode(ids[now.start :])
        self.now = Version(text, ids, now.start, len(text), len(ids) - 1)
        return len(now.ids) - len(kept)

    def char_starts(self) -> list[int] | None:
        """The character at which each token begins, with the text's length at the end; None where that is unknown.

        A token that begins inside of a character has the place of that character. Tokens before the text begin at 0.
        """
        return char_starts(self.tokens, self.now.start, self.now.text)

    def _token_at(self, place: int) -> int:
        """The token that ends at or holds the character before the caret."""
        starts = self.char_starts()
        if starts is None or not self.now.ids:
            return max(len(self.now.ids) - 1, 0)
        found = [index for index, start in enumerate(starts[:-1]) if start < place]
        return found[-1] if found else 0


def char_starts(tokens: Sequence[bytes], start: int, text: str) -> list[int] | None:
    """See ``Document.char_starts``; ``start`` of the tokens stand before the text."""
    data = text.encode()
    if b"".join(tokens[start:]) != data:
        return None
    of_byte: list[int] = []
    for index, character in enumerate(text):
        of_byte += [index] * len(character.encode())
    of_byte.append(len(text))
    starts, place = [0] * start, 0
    for token in tokens[start:]:
        starts.append(of_byte[place])
        place += len(token)
    return [*starts, len(text)]


def _with_cursor(version: Version, token: int) -> Version:
    last = max(len(version.ids) - 1, 0)
    return Version(version.text, version.ids, version.start, version.caret, min(max(token, 0), last), version.error)

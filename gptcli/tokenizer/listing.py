"""What the tokens of a text are, how many, and where a text ends after so many of them."""

import codecs
import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import overload

from gptcli.errors import InputError
from gptcli.text import clipped
from gptcli.tokenizer.base import Tokenizer
from gptcli.tokenizer.chunks import encode_chunks

# Characters of ids before the first of them are handed out: a mistake in fewer is found before anything is printed.
_MANY_IDS = 1 << 17
_LONGEST_ID = 10  # digits
_BETWEEN_IDS = re.compile(r"[\s,\[\]()]+")


@dataclass(frozen=True)
class Token:
    r"""One token.

    Attributes:
        id: its id.
        text: the bytes that it stands for, as text; those that are not whole characters as ``\xe2``.
        hex: the bytes in hexadecimal.
    """

    id: int
    text: str
    hex: str


@dataclass(frozen=True)
class Counts:
    """How long a text is.

    Attributes:
        tokens: in tokens.
        characters: in Unicode code points.
        bytes: in bytes of UTF-8.
        characters_per_token: None for no tokens.
    """

    tokens: int
    characters: int
    bytes: int
    characters_per_token: float | None


@dataclass(frozen=True)
class Tokenized:
    """A text in tokens.

    Attributes:
        tokenizer: the name of the tokenizer.
        counts: of the whole text.
        tokens: its tokens, or only the first of them; each is made when it is looked at.
    """

    tokenizer: str
    counts: Counts
    tokens: Sequence[Token]


class _Tokens(Sequence[Token]):
    """Tokens that are kept as four bytes each."""

    def __init__(self, tokenizer: Tokenizer, ids: "array[int]") -> None:
        self._tokenizer, self._ids = tokenizer, ids

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> Token: ...

    @overload
    def __getitem__(self, place: slice) -> list[Token]: ...

    def __getitem__(self, place: int | slice) -> Token | list[Token]:
        if isinstance(place, slice):
            return [_token(self._tokenizer, number) for number in self._ids[place]]
        return _token(self._tokenizer, self._ids[place])


@dataclass(frozen=True)
class Truncated:
    """The beginning of a text.

    Attributes:
        text: as much of it as the tokens hold in whole characters.
        ids: the tokens.
        is_cut: whether the text goes on.
    """

    text: str
    ids: list[int]
    is_cut: bool


def tokenize_text(
    tokenizer: Tokenizer, chunks: Iterable[str], *, special: bool = False, keep: int | None = None
) -> Tokenized:
    """Cut a text into tokens and count them.

    Args:
        tokenizer: cuts it.
        chunks: the text.
        special: as in ``Tokenizer.encode``.
        keep: how many tokens to list; None for all.
    """
    characters = size = count = 0

    def counted() -> Iterator[str]:
        nonlocal characters, size
        for chunk in chunks:
            characters += len(chunk)
            size += len(chunk.encode("utf-8", "replace"))
            yield chunk

    kept = array("I")
    for ids in encode_chunks(tokenizer, counted(), special=special, ahead=True):
        count += len(ids)
        if keep is None or len(kept) < keep:
            kept.extend(ids if keep is None else ids[: keep - len(kept)])
    counts = Counts(count, characters, size, characters / count if count else None)
    return Tokenized(tokenizer.name, counts, _Tokens(tokenizer, kept))


def _token(tokenizer: Tokenizer, number: int) -> Token:
    data = tokenizer.token_bytes(number)
    return Token(number, data.decode("utf-8", errors="backslashreplace"), data.hex(" "))


def truncate_text(tokenizer: Tokenizer, chunks: Iterable[str], length: int, *, special: bool = False) -> Truncated:
    """The first tokens of a text; reads no more of it than it needs.

    Args:
        tokenizer: cuts it.
        chunks: the text.
        length: how many tokens at most.
        special: as in ``Tokenizer.encode``.
    """
    length = min(length, sys.maxsize - 1)
    ids = list(islice(chain.from_iterable(encode_chunks(tokenizer, chunks, special=special)), length + 1))
    # An incremental decoder keeps an unfinished character to itself.
    text = codecs.getincrementaldecoder("utf-8")(errors="replace").decode(tokenizer.decode_bytes(ids[:length]))
    return Truncated(text, ids[:length], len(ids) > length)


def parse_ids(chunks: Iterable[str]) -> Iterator[list[int]]:
    """Ids as people write them: with spaces, commas or newlines between, in brackets or not.

    Args:
        chunks: the text.

    Raises:
        InputError: something in it is no id.
    """
    held = ""
    for chunk in chunks:
        held += chunk
        if len(held) >= _MANY_IDS:
            *whole, held = _BETWEEN_IDS.split(held)
            yield [_parse_id(word) for word in whole if word]
            if len(held) > _LONGEST_ID:
                _parse_id(held)
    yield [_parse_id(word) for word in _BETWEEN_IDS.split(held) if word]


def _parse_id(word: str) -> int:
    if word.isascii() and word.isdecimal() and len(word) <= _LONGEST_ID:
        return int(word)
    raise InputError(f"'{clipped(word, 40)}' is not a token id: ids are whole numbers, such as 3673 477 10281")

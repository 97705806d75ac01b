"""Lists and counts the tokens of a text, truncates a text to a number of tokens, and decodes ids."""

import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, overload

from gptcli.errors import InputError
from gptcli.system.answer import left_out
from gptcli.text import clipped
from gptcli.tokenizer.base import Spans, Tokenizer
from gptcli.tokenizer.chunks import cut_text
from gptcli.tokenizer.stream import StreamDecoder

# Characters of input before the first ids are yielded: in a shorter input, errors are found before any output.
_MANY_IDS = 1 << 17
_LONGEST_ID = 10  # digits
_BETWEEN_IDS = re.compile(r"[\s,\[\]()]+")


@dataclass(frozen=True)
class ListedToken:
    """One token of a text.

    Attributes:
        position: in the text, from 1.
        id: in the vocabulary.
        token: the bytes that it stands for.
        piece: the token as the vocabulary spells it, for example ``Ġthe``, ``▁the`` or ``<0xE2>``.
        start: the first character that it was made from, from 0; it may be only a part of that character.
        end: after the last one.
    """

    position: int
    id: int
    token: bytes
    piece: str
    start: int
    end: int


@dataclass(frozen=True)
class Counts:
    """The length of a text.

    Attributes:
        n_tokens: its length in tokens.
        n_characters: its length in Unicode code points.
        n_bytes: its length in bytes of UTF-8.
        characters_per_token: characters per token; None if there are no tokens.
        file: that the text is from; None: an argument or a pipe.
        line: where the text stands there, from 1, with --lines.
    """

    schema: ClassVar[str] = "gptcli.tokenize.count/1"
    table: ClassVar[str] = ""

    n_tokens: int
    n_characters: int
    n_bytes: int
    characters_per_token: float | None
    file: str | None = left_out()
    line: int | None = left_out()


@dataclass(frozen=True)
class Tokenized:
    """A text in tokens.

    Attributes:
        tokenizer: the name of the tokenizer.
        counts: the length of the whole text.
        tokens: its tokens, or only the first of them; each is created when it is accessed.
        n_positions: how many tokens the model reads at most; None: it is unknown, or there is no model.
        file: that the text is from; None: an argument or a pipe.
        line: where the text stands there, from 1, with --lines.
    """

    schema: ClassVar[str] = "gptcli.tokenize/1"
    table: ClassVar[str] = "tokens"

    tokenizer: str
    counts: Counts
    tokens: Sequence[ListedToken]
    n_positions: int | None = left_out()
    file: str | None = left_out()
    line: int | None = left_out()


class _Tokens(Sequence[ListedToken]):
    """A sequence of tokens that stores three numbers per token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids, self._starts, self._ends = array("I"), array("Q"), array("Q")

    def add(self, spans: Spans, place: int, limit: int | None) -> None:
        """Add the tokens of a part that begins at index ``place`` of the text, up to ``limit`` tokens in total."""
        room = None if limit is None else max(limit - len(self._ids), 0)
        self._ids.extend(spans.ids[:room])
        self._starts.extend(place + start for start in spans.starts[:room])
        self._ends.extend(place + end for end in spans.ends[:room])

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> ListedToken: ...

    @overload
    def __getitem__(self, place: slice) -> list[ListedToken]: ...

    def __getitem__(self, place: int | slice) -> ListedToken | list[ListedToken]:
        if isinstance(place, slice):
            return [self._token(each) for each in range(len(self))[place]]
        return self._token(range(len(self))[place])

    def _token(self, place: int) -> ListedToken:
        number = self._ids[place]
        data, piece = self._tokenizer.token_bytes(number), self._tokenizer.piece(number) or ""
        return ListedToken(place + 1, number, data, piece, self._starts[place], self._ends[place])


@dataclass(frozen=True)
class Truncated:
    """The beginning of a text.

    Attributes:
        text: the whole characters that the tokens were made from.
        ids: the tokens.
        is_cut: whether the text goes on.
        file: that the text is from; None: an argument or a pipe.
        line: where the text stands there, from 1, with --lines.
    """

    schema: ClassVar[str] = "gptcli.tokenize.truncate/1"

    text: str
    ids: list[int]
    is_cut: bool
    file: str | None = left_out()
    line: int | None = left_out()


@dataclass(frozen=True)
class TokenIds:
    """The ids of a text.

    Attributes:
        ids: in order.
    """

    schema: ClassVar[str] = "gptcli.tokenize.ids/1"

    ids: Sequence[int]


@dataclass(frozen=True)
class Decoded:
    """The text of ids.

    Attributes:
        text: the bytes that they stand for.
        ids: as given.
    """

    schema: ClassVar[str] = "gptcli.tokenize.decode/1"

    text: bytes
    ids: Sequence[int]


def tokenize_text(
    tokenizer: Tokenizer, chunks: Iterable[str], *, special: bool = False, keep: int | None = None
) -> Tokenized:
    """Split a text into tokens and count them.

    Args:
        tokenizer: the tokenizer.
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

    kept, parts, begun = _Tokens(tokenizer), cut_text(tokenizer, counted()), False
    if keep != 0:
        for place, spans in _each_spans(tokenizer, parts, special=special):
            begun = True
            count += len(spans.ids)
            kept.add(spans, place, keep)
            if keep is not None and len(kept) == keep:
                break
    count += sum(map(len, tokenizer.encode_each(parts, special=special, ahead=True, begun=begun)))
    counts = Counts(count, characters, size, characters / count if count else None)
    return Tokenized(tokenizer.name, counts, kept)


def _each_spans(tokenizer: Tokenizer, parts: Iterable[str], *, special: bool) -> Iterator[tuple[int, Spans]]:
    """The spans of each part of a text, each with the index in the text that they are relative to."""
    place = 0
    for number, part in enumerate(parts):
        spans = tokenizer.later_spans if number else tokenizer.spans
        yield place, spans(part, special=special)
        place += len(part)


def truncate_text(tokenizer: Tokenizer, chunks: Iterable[str], length: int, *, special: bool = False) -> Truncated:
    """The first tokens of a text; reads no more of it than it needs.

    Args:
        tokenizer: the tokenizer.
        chunks: the text.
        length: how many tokens at most.
        special: as in ``Tokenizer.encode``.
    """
    length = min(length, sys.maxsize - 1)
    read: list[str] = []
    ids: list[int] = []
    end = 0

    def kept() -> Iterator[str]:
        for part in cut_text(tokenizer, chunks):
            read.append(part)
            yield part

    for place, spans in _each_spans(tokenizer, kept(), special=special):
        room = length - len(ids)
        if len(spans.ids) > room:
            # If the next token continues a character, the last token has only its beginning.
            end = min(place + spans.ends[room - 1] if room else end, place + spans.starts[room])
            return Truncated("".join(read)[:end], ids + spans.ids[:room], True)
        ids += spans.ids
        end = place + spans.ends[-1] if spans.ends else end
    return Truncated("".join(read), ids, False)


def decode_each(tokenizer: Tokenizer, groups: Iterable[Sequence[int]]) -> Iterator[bytes]:
    """The bytes of each group of ids.

    Raises:
        InputError: an id is not in the vocabulary.
    """
    if tokenizer.bytewise:
        yield from map(tokenizer.decode_bytes, groups)
        return
    stream = StreamDecoder(tokenizer)
    for ids in groups:
        yield "".join(map(stream.push, ids)).encode()
    yield stream.finish().encode()


def parse_ids(chunks: Iterable[str]) -> Iterator[list[int]]:
    """Parse ids separated by spaces, commas or newlines, with or without brackets.

    Args:
        chunks: the text.

    Raises:
        InputError: the text contains something else.
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

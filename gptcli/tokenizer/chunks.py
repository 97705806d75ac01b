"""Encodes a stream of text chunks in bounded memory; the ids equal those of the whole text."""

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from gptcli.errors import InputError
from gptcli.system.text_file import ENCODING_BYTES, mark_length
from gptcli.tokenizer.base import Tokenizer

# Characters that are buffered before a split is searched for; enough to make the cost per part negligible.
_ENOUGH = 1 << 18
# The most characters that are buffered without a split position: encoding them at once takes some forty bytes each.
_MOST_HELD = 1 << 24


def decode_chunks(chunks: Iterable[bytes], what: str) -> Iterator[str]:
    """Decode a stream of bytes; characters may be split across chunks, and a byte order mark is no text.

    Args:
        chunks: the bytes.
        what: what they are, for the error message.

    Raises:
        InputError: they are not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = iter(chunks)
    start = b""
    while len(start) < ENCODING_BYTES and (more := next(rest, None)) is not None:
        start += more
    done = mark_length(start, what)
    for last, chunk in _with_end(chain([start[done:]], rest)):
        pending = len(decoder.getstate()[0])
        try:
            yield decoder.decode(chunk, final=last)
        except UnicodeDecodeError as error:
            offset = done - pending + error.start
            raise InputError(
                f"{what} is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {offset}"
            ) from error
        done += len(chunk)


def _with_end(chunks: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    for chunk in chunks:
        yield False, chunk
    yield True, b""


def encode_chunks(
    tokenizer: Tokenizer, chunks: Iterable[str], *, special: bool = False, ahead: bool = False
) -> Iterator[list[int]]:
    """The ids of a long text, in batches.

    The text is split only where that does not change its ids. If the tokenizer's pattern allows no split, or the text
    has no such position, the whole text is buffered.

    Args:
        tokenizer: whose ids they are.
        chunks: the text.
        special: as in ``Tokenizer.encode``.
        ahead: encode in several threads, and read ahead: for callers that want the ids of the whole text.

    Raises:
        InputError: as ``Tokenizer.encode``.
    """
    yield from tokenizer.encode_each(cut_text(tokenizer, chunks), special=special, ahead=ahead)


def cut_text(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[str]:
    """Split a stream of text at positions that do not change its ids.

    Raises:
        InputError: the text is too long without such a position.
    """
    cut: re.Pattern[str] | None = None
    most, held, searched = _ENOUGH, "", 0
    for chunk in chunks:
        held += chunk
        if most == _ENOUGH and len(held) >= most:  # only now: computing the split pattern can be slow
            cut = tokenizer.safe_cut()
            most = tokenizer.most_uncut if cut is None else min(_MOST_HELD, tokenizer.most_uncut)
        if len(held) > most:
            raise InputError(
                f"the text goes on for {len(held):,} characters without a position where {tokenizer.name} may cut it "
                "(before a space): put some in, or give it in parts"
            )
        if cut is None or len(held) - searched < _ENOUGH:
            continue
        place = _last_match(cut, held, searched)
        if place is None:
            searched = max(len(held) - 1, 0)
            continue
        yield held[:place]
        held, searched = held[place:], 0
    if held:
        yield held


def _last_match(cut: re.Pattern[str], text: str, start: int) -> int | None:
    """The last index that is at least 1 and at least ``start`` where ``cut`` matches; None if there is none."""
    reach = 4096
    while True:
        begin = max(len(text) - reach, start, 1)
        places = [match.start() for match in cut.finditer(text, begin)]
        if places:
            return places[-1]
        if begin == max(start, 1):
            return None
        reach *= 16

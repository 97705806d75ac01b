"""Text that comes in chunks -> ids, in bounded memory, the same as those of the whole text."""

import codecs
import re
from collections.abc import Iterable, Iterator

from gptcli.errors import InputError
from gptcli.tokenizer.base import Tokenizer

# Characters before a cut is looked for; long enough that starting and stopping costs nothing.
_ENOUGH = 1 << 18
# Characters that are held while no place for a cut comes: to cut them into tokens at once takes some forty bytes each.
_MOST_HELD = 1 << 24


def decode_chunks(chunks: Iterable[bytes], what: str) -> Iterator[str]:
    """Bytes to text as they come, characters that are cut between two chunks included.

    Args:
        chunks: the bytes.
        what: what they are, for the error message.

    Raises:
        InputError: they are not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    for last, chunk in _with_end(chunks):
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
    """The ids of a long text, some at a time.

    The text is cut only where that changes nothing. Where a tokenizer's pattern offers no such place, or the text has
    none, it is collected until its end.

    Args:
        tokenizer: whose ids they are.
        chunks: the text.
        special: as in ``Tokenizer.encode``.
        ahead: encode in several threads, and read on before the first ids are known: for what is wanted as a whole.

    Raises:
        InputError: as ``Tokenizer.encode``.
    """
    yield from tokenizer.encode_each(cut_text(tokenizer, chunks), special=special, ahead=ahead)


def cut_text(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[str]:
    """A text that comes in chunks, cut where that changes none of its ids.

    Raises:
        InputError: it goes on too long without such a place.
    """
    cut: re.Pattern[str] | None = None
    most, held, searched = _ENOUGH, "", 0
    for chunk in chunks:
        held += chunk
        if most == _ENOUGH and len(held) >= most:  # only now: to find out where it may be cut can take a while
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
    """The last place after the first character and from ``start`` on where ``cut`` matches."""
    reach = 4096
    while True:
        begin = max(len(text) - reach, start, 1)
        places = [match.start() for match in cut.finditer(text, begin)]
        if places:
            return places[-1]
        if begin == max(start, 1):
            return None
        reach *= 16

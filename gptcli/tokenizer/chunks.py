"""Text that comes in chunks -> ids, in bounded memory, the same as those of the whole text."""

import codecs
import re
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from gptcli.errors import InputError
from gptcli.system.threads import default_threads
from gptcli.tokenizer import patterns
from gptcli.tokenizer.bpe import Tokenizer

if TYPE_CHECKING:
    from concurrent.futures import Future

# Characters before a cut is looked for; long enough that starting and stopping costs nothing.
_ENOUGH = 1 << 18
# Characters that are held while no place for a cut comes; and where none is ever looked for. The whole of them is then
# cut into tokens at once, which takes some forty bytes for each.
_MOST_HELD, _MOST_UNCUT = 1 << 24, 1 << 26


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
    encode = partial(tokenizer.encode, special=special)
    parts = _parts(tokenizer, chunks)
    # The first one alone: it makes what all of them need, and mostly there is no other.
    yield from map(encode, islice(parts, 1) if ahead else parts)
    second = next(parts, None)
    if second is None:
        return
    from concurrent.futures import ThreadPoolExecutor

    threads, under_way = default_threads(), deque["Future[list[int]]"]()
    pool = ThreadPoolExecutor(threads)
    try:
        for part in chain([second], parts):
            under_way.append(pool.submit(encode, part))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _parts(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[str]:
    """The text, cut where that changes none of its ids."""
    cut = _safe_cut(tokenizer)
    most = _MOST_UNCUT if cut is None else _MOST_HELD
    held, searched = "", 0
    for chunk in chunks:
        held += chunk
        if len(held) > most:
            raise InputError(
                f"the text goes on for {len(held):,} characters without a place where {tokenizer.name} may cut it "
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


def _safe_cut(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    """Where a text may be cut before it is encoded, or None where nothing is known to be safe."""
    expression = patterns.SAFE_CUTS.get(tokenizer.pattern)
    if expression is None or any(form != "NFC" for form in tokenizer.normal_forms):
        return None  # NFC puts nothing together with a space or a full stop before it; the other forms make spaces
    # A space before the text is only put where there is none, so a part that starts with one is as the whole.
    cut = re.compile(patterns.BEFORE_SPACE if tokenizer.prefix_space else expression)
    for token in tokenizer.added:
        inside = any(0 < match.start() < len(token.content) for match in cut.finditer(token.content))
        if inside or token.rstrip:
            return None
    return cut


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

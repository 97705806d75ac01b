"""The interface of all tokenizers: text to ids and back, independent of the library that does it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from gptcli.errors import InputError
from gptcli.system.threads import default_threads
from gptcli.tokenizer.added import AddedToken, Cutter
from gptcli.tokenizer.merges import PieceMerges

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True)
class Spans:
    """The tokens of a text, and the span of characters that each was made from.

    Attributes:
        ids: the tokens.
        starts, ends: the span of each token, in characters; it includes characters of which the token is only a part.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]


@dataclass(frozen=True)
class Declared:
    """The settings of a tokenizer that are in the checkpoint's other files.

    Attributes:
        roles: role to the text of its token: ``bos_token``, ``eos_token``, ...
        eos: the end-of-text token, or candidates for it, the best first.
        n_vocab: the size of the model's vocabulary, which may be padded beyond the last token; 0 if it is not known.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    eos: Sequence[str] = ()
    n_vocab: int = 0


class Tokenizer(ABC):
    """Text to ids and back.

    Args:
        name: its name.
        kind: a description of its algorithm.
        added: tokens that are recognised in a text first, including special ones.
        prefix_ids: ids that are put before every text.
        declared: the settings in the checkpoint's other files.

    Attributes:
        name, kind, prefix_ids: as given.
        added: the same as a tuple.
        roles: role to the text of its token.
        special_tokens: text of each special token to its id.
        eos_id: the id of the end-of-text token, or None.
        bytewise: whether the bytes of a sequence of ids are the concatenated bytes of each id.
    """

    bytewise = True

    def __init__(
        self, name: str, kind: str, added: Iterable[AddedToken], prefix_ids: Sequence[int], declared: Declared
    ) -> None:
        self.name, self.kind = name, kind
        self.added = tuple(added)
        self.prefix_ids = list(prefix_ids)
        self.roles = dict(declared.roles)
        self.special_tokens = {token.content: token.id for token in self.added if token.special}
        by_content = {token.content: token.id for token in self.added}
        self._contents = {token.id: token.content for token in self.added}
        self.eos_id = next((by_content[content] for content in declared.eos if content in by_content), None)

    @property
    @abstractmethod
    def n_vocab(self) -> int:
        """Every id is below this number."""

    # Text to ids

    @abstractmethod
    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text.

        Args:
            text: any text; lone surrogates become U+FFFD.
            special: recognise special tokens in the text. Added tokens that are not special are always recognised.

        Raises:
            InputError: the tokenizer cannot encode the text.
        """

    @abstractmethod
    def spans(self, text: str, *, special: bool = False) -> Spans:
        """The ids of a text and the span of each. Arguments and errors as for ``encode``."""

    @abstractmethod
    def merges(self, text: str, *, special: bool = False) -> Iterator[PieceMerges]:
        """How a text becomes tokens: its pieces, and the merges that built each, step by step.

        Args:
            text: the text.
            special: as in ``encode``.

        Returns:
            One entry per piece, created lazily. Pieces of more than 2,000 bytes have no steps.

        Raises:
            InputError: the tokenizer cannot encode the text, or has no merges.
        """

    def encode_parts(self, parts: Iterable[tuple[str, bool]]) -> list[int]:
        """The ids of a text in which only some parts may contain special tokens: the template's, not the user's.

        Args:
            parts: the parts of the text in order, each with whether special tokens are recognised in it.

        Returns:
            The ids of the joined parts; a special token is recognised if it is entirely in parts that allow it.

        Raises:
            InputError: as ``encode``.
        """
        given = [part for part in parts if part[0]]
        text = "".join(part for part, _ in given)
        ends = list(accumulate(len(part) for part, _ in given))
        closed = [(start, end) for (start, end), (_, read) in zip(pairwise([0, *ends]), given, strict=True) if not read]
        found = {content for content in self.special_tokens if content in text}
        if not any(content in text[_around(span, len(content))] for content in found for span in closed):
            return self.encode(text, special=True)
        cutter = Cutter([token for token in self.added if token.content in found and token.special])
        ids: list[int] = []
        for place, part in enumerate(cutter.cut(text, special=True, closed=closed)):
            ids += [part] if isinstance(part, int) else self._encode_stretch(part, first=place == 0)
        return ids

    def _encode_stretch(self, text: str, *, first: bool) -> list[int]:
        """The ids of a stretch of text before or after a special token, in which no special token is recognised.

        Args:
            text: the stretch.
            first: whether it is at the start of the text.
        """
        return self.encode(text)

    def safe_cut(self) -> re.Pattern[str] | None:
        """Matches where a text may be split without changing its ids; None if no safe position is known."""
        return None

    # The most characters that are buffered of a text that cannot be split.
    most_uncut = 1 << 26

    def later_spans(self, part: str, *, special: bool) -> Spans:
        """``spans`` for a part of a text other than the first."""
        return self.spans(part, special=special)

    def encode_each(
        self, parts: Iterator[str], *, special: bool, ahead: bool, begun: bool = False
    ) -> Iterator[list[int]]:
        """The ids of the parts of a text that was split at ``safe_cut``.

        Args:
            parts: the parts.
            special: as in ``encode``.
            ahead: encode several parts in parallel, and read ahead of the ids that are returned.
            begun: whether the first of these parts is not the start of the text.

        Raises:
            InputError: as ``encode``.
        """
        encode = partial(self.encode, special=special)
        if not ahead:
            yield from map(encode, parts)
            return
        # The first part alone: it initialises what all parts share, and usually there is no other part.
        first, second = next(parts, None), next(parts, None)
        if first is not None:
            yield encode(first)
        if second is not None:
            yield from in_threads(encode, chain([second], parts))

    # Ids to text

    @abstractmethod
    def piece(self, token: int) -> str | None:
        """A token as the vocabulary spells it (``Ġthe``, ``▁the``, ``<0xE2>``); None for an id without one."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id in the middle of a text: for a special token its text, for a padding id nothing.

        Raises:
            InputError: the id is not in the vocabulary.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are not a whole character become U+FFFD.

        Raises:
            InputError: an id is not in the vocabulary.
        """

    @abstractmethod
    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids.

        Raises:
            InputError: an id is not in the vocabulary.
        """

    def is_part(self, token: int) -> bool:
        """Whether the text of an id may depend on the next id: it is one byte in a run of byte tokens."""
        return False

    def text_end(self, limit: int) -> int:
        """One more than the highest id below ``limit`` that has text; 0 if none has."""
        return next((token + 1 for token in reversed(range(limit)) if self.token_bytes(token)), 0)

    def unused(self, limit: int) -> list[int]:
        """The ids below ``limit`` that have no token."""
        return [token for token in range(limit) if token >= self.n_vocab or not self.piece(token)]

    def _unknown(self, token: int) -> InputError:
        return InputError(f"id {token} is not in the vocabulary of {self.name}: ids run from 0 to {self.n_vocab - 1}")


def in_threads(encode: "partial[list[int]]", parts: Iterable[str]) -> Iterator[list[int]]:
    """The ids of some parts, encoded in several threads."""
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    threads, under_way = default_threads(), deque["Future[list[int]]"]()
    pool = ThreadPoolExecutor(threads)
    try:
        for part in parts:
            under_way.append(pool.submit(encode, part))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def unicode_only(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _around(span: tuple[int, int], length: int) -> slice:
    """The slice that contains every substring of this length that overlaps a span."""
    start, end = span
    return slice(max(start - length + 1, 0), end + length - 1)


def name_of(folder: Path) -> str:
    """The name of the tokenizer in a folder: the folder's, or the repository's for one of the hub's cache.

    There a folder is ``models--owner--name/snapshots/<commit>``.
    """
    if folder.parent.name == "snapshots" and (repo := folder.parent.parent.name).startswith("models--"):
        return repo.removeprefix("models--").replace("--", "/")
    return folder.name

"""What every tokenizer is: text to ids and back, whichever library does it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING

from gptcli.errors import InputError
from gptcli.system.threads import default_threads
from gptcli.tokenizer.added import AddedToken, Cutter
from gptcli.tokenizer.merges import PieceMerges

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True)
class Spans:
    """The tokens of a text, and which characters of it each was made from.

    Attributes:
        ids: the tokens.
        starts, ends: of each token, in characters; a token that holds part of a character has all of it.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]


@dataclass(frozen=True)
class Declared:
    """What a checkpoint says of its tokenizer in the files next to it.

    Attributes:
        roles: text of each token that has a role, by the role: ``bos_token``, ``eos_token``, ...
        eos: the token that ends a text, or candidates for it, the best first.
        n_vocab: the size of the model's vocabulary, where it is padded beyond the last token; 0 where it is not known.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    eos: Sequence[str] = ()
    n_vocab: int = 0


class Tokenizer(ABC):
    """Text to ids and back.

    Args:
        name: what to call it.
        kind: of which kind it is, in words.
        added: tokens that are cut out of a text first, special ones among them.
        prefix_ids: what belongs before every text.
        declared: what the files next to it say.

    Attributes:
        name, kind, prefix_ids: as given.
        added: the same as a tuple.
        roles: text of each token that has a role, by the role.
        special_tokens: text of each special token to its id.
        eos_id: id of the token that ends a text, or None.
        bytewise: whether the bytes of some ids are those of each, joined.
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
            text: any text; what is not Unicode in it (lone surrogates) becomes U+FFFD.
            special: take special tokens that are written in the text as such, not as text. Added tokens that are not
                special are always recognised.

        Raises:
            InputError: the tokenizer cannot take the text.
        """

    @abstractmethod
    def spans(self, text: str, *, special: bool = False) -> Spans:
        """The ids of a text, and where in it each stands. Arguments and errors as for ``encode``."""

    @abstractmethod
    def merges(self, text: str, *, special: bool = False) -> Iterator[PieceMerges]:
        """How a text becomes tokens: its pieces, and the merges that built each, step by step.

        Args:
            text: the text.
            special: as in ``encode``.

        Returns:
            One entry a piece, made as it is asked for. Pieces of more than 2,000 bytes come without their steps.

        Raises:
            InputError: the tokenizer cannot take the text, or has no merges.
        """

    def encode_parts(self, parts: Iterable[tuple[str, bool]]) -> list[int]:
        """The ids of a text of which only some parts may hold special tokens: a template's, not a user's.

        Args:
            parts: the parts of the text in order, each with whether special tokens are read in it.

        Returns:
            The ids of the parts joined; a special token is read where all of it lies in parts that allow it.

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
        """The ids of a text without special tokens that stands before or after one.

        Args:
            text: the text.
            first: whether nothing stands before it.
        """
        return self.encode(text)

    def safe_cut(self) -> re.Pattern[str] | None:
        """Where a text may be cut before it is encoded, or None where nothing is known to be safe."""
        return None

    # Characters that are held of a text that cannot be cut.
    most_uncut = 1 << 26

    def later_spans(self, part: str, *, special: bool) -> Spans:
        """The same as ``spans`` for a part of a text that is not its first one."""
        return self.spans(part, special=special)

    def encode_each(
        self, parts: Iterator[str], *, special: bool, ahead: bool, begun: bool = False
    ) -> Iterator[list[int]]:
        """The ids of the parts of a text that was cut where ``safe_cut`` says.

        Args:
            parts: the text.
            special: as in ``encode``.
            ahead: encode several at once, and read on before the first ids are known.
            begun: whether others stand before the first of them.

        Raises:
            InputError: as ``encode``.
        """
        encode = partial(self.encode, special=special)
        if not ahead:
            yield from map(encode, parts)
            return
        # The first one alone: it makes what all of them need, and mostly there is no other.
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
        """The bytes that one id stands for in the middle of a text: a special token's text, nothing for an id that
        only pads the vocabulary.

        Raises:
            InputError: the id is not in the vocabulary.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are no whole character come out as U+FFFD.

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
        """Whether the text of an id may depend on the id after it: it is one byte of a run of them."""
        return False

    def text_end(self, limit: int) -> int:
        """One more than the highest id below ``limit`` that stands for text; 0 where none does."""
        return next((token + 1 for token in reversed(range(limit)) if self.token_bytes(token)), 0)

    def unused(self, limit: int) -> list[int]:
        """The ids below ``limit`` that stand for no token."""
        return [token for token in range(limit) if token >= self.n_vocab or not self.piece(token)]

    def _unknown(self, token: int) -> InputError:
        return InputError(f"id {token} is not in the vocabulary of {self.name}: ids run from 0 to {self.n_vocab - 1}")


def in_threads(encode: "partial[list[int]]", parts: Iterable[str]) -> Iterator[list[int]]:
    """The ids of some parts, several of them encoded at a time."""
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
    """A text with U+FFFD for each lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _around(span: tuple[int, int], length: int) -> slice:
    """Where a text of this length must begin or end to touch a span."""
    start, end = span
    return slice(max(start - length + 1, 0), end + length - 1)

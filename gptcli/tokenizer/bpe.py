"""Byte-level byte-pair encoding by rank with tiktoken, plus added tokens."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal

from gptcli.errors import CheckpointError, InputError
from gptcli.tokenizer import patterns
from gptcli.tokenizer.added import AddedToken, Cutter
from gptcli.tokenizer.base import Declared, Spans, Tokenizer, unicode_only
from gptcli.tokenizer.merges import LONG_PIECE, PieceMerges, merge_steps
from gptcli.tokenizer.panics import muted, of_library
from gptcli.tokenizer.token import Token
from gptcli.tokenizer.vocabulary import CHARACTER_OF

if TYPE_CHECKING:
    from tiktoken import Encoding

NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

# Longer whitespace runs are handled separately: for "\s+(?!\S)" tiktoken's regular expression engine keeps a stack
# entry per character, and fails at a million.
_LONG_RUN = 100_000
# The first few texts of at most this many bytes are encoded without waiting for tiktoken to load all ranks.
_SHORT_TEXT, _SHORT_TEXTS = 160, 8
# UTF-8 continuation bytes.
_GOES_ON = bytes(range(0x80, 0xC0))
_GOES_ON_BYTES = frozenset(bytes([byte]) for byte in _GOES_ON)
# Seconds that an untrusted regular expression may take for one stretch of text: some never finish.
_PATIENCE = 2.0
# Merges are cached for pieces of at most this many bytes: those of a long piece take megabytes.
_USUAL_PIECE = 100


class RankTokenizer(Tokenizer):
    """Text to ids and back, by rank.

    Args:
        name: its name.
        ranks: bytes of each mergeable token (including all 256 single bytes) to its rank. Two adjacent tokens whose
            joined bytes are a key merge, lowest rank first.
        pattern: the regular expression whose matches are encoded independently; it must cover any text.
        ids: rank to id, where they differ; None marks a byte that the vocabulary does not have.
        added: tokens that are recognised in the text first, including special ones.
        unmerged: ids that no text encodes to, with their bytes.
        prefix_ids: ids that are put before every text.
        normal_forms: Unicode normal forms, applied to the text between special tokens.
        prefix_space: whether to put a space before a text (and after each added token) that does not begin with one.
        declared: the settings in the checkpoint's other files.
    """

    def __init__(
        self,
        name: str,
        ranks: dict[bytes, int],
        pattern: str,
        *,
        ids: Mapping[int, int | None] | None = None,
        added: Iterable[AddedToken] = (),
        unmerged: Mapping[int, bytes] | None = None,
        prefix_ids: Sequence[int] = (),
        normal_forms: Sequence[NormalForm] = (),
        prefix_space: bool = False,
        declared: Declared | None = None,
    ) -> None:
        declared = declared or Declared()
        super().__init__(name, "byte-level BPE", added, prefix_ids, declared)
        self.pattern = pattern
        self.normal_forms = tuple(normal_forms)
        self.prefix_space = prefix_space
        self._ranks = ranks
        self._ids = ids
        self._bytes = self._table(unmerged or {})
        self._n_vocab = max(declared.n_vocab, max(self._bytes, default=-1) + 1)
        self._short_texts = 0
        self._before_normalizing = Cutter([token for token in self.added if not token.normalized])
        self._after_normalizing = Cutter([token for token in self.added if token.normalized])

    @property
    def n_vocab(self) -> int:
        """Every id is below this number."""
        return self._n_vocab

    def _table(self, unmerged: Mapping[int, bytes]) -> dict[int, bytes]:
        if self._ids is None:
            table = dict(zip(self._ranks.values(), self._ranks, strict=True))
        else:
            ids = self._ids
            table = {token: data for data, rank in self._ranks.items() if (token := ids[rank]) is not None}
        table.update(unmerged)
        table.update((token.id, token.content.encode()) for token in self.added)
        return table

    def by_rank(self) -> tuple[list[bytes], list[int | None], dict[int, bytes]]:
        """What it merges: the mergeable bytes by rank, the id of each, and all other ids with their bytes."""
        ranked = sorted(self._ranks, key=self._ranks.__getitem__)
        ids = [self._ranks[data] if self._ids is None else self._ids[self._ranks[data]] for data in ranked]
        return ranked, ids, {token: self._bytes[token] for token in self._bytes.keys() - set(ids)}

    # Text to ids

    @cached_property
    def _encoding(self) -> "Encoding":
        return self._new_encoding(self._ranks)

    def _new_encoding(self, ranks: dict[bytes, int]) -> "Encoding":
        import tiktoken

        try:
            return tiktoken.Encoding(self.name, pat_str=self.pattern, mergeable_ranks=ranks, special_tokens={})
        except ValueError as error:
            raise self._unusable(error) from error

    def _encoding_for(self, text: str) -> "Encoding":
        """The encoding with all ranks, or with those that can occur in this text: no others affect its merges."""
        if "_encoding" in self.__dict__ or len(text) > _SHORT_TEXT or self._short_texts == _SHORT_TEXTS:
            return self._encoding
        data = unicode_only(text).encode()
        if len(data) > _SHORT_TEXT:
            return self._encoding
        self._short_texts += 1
        within = {data[start:end] for start in range(len(data)) for end in range(start + 1, len(data) + 1)}
        within.update(bytes([byte]) for byte in range(256))
        return self._new_encoding({piece: self._ranks[piece] for piece in within if piece in self._ranks})

    def _unusable(self, reason: object) -> CheckpointError:
        said = " ".join(str(reason).split())
        return CheckpointError(f"the pattern that {self.name}'s tokenizer cuts text by cannot be used: {said:.200}")

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text (see ``Tokenizer.encode``).

        Raises:
            InputError: the text needs a byte that the vocabulary lacks, or exceeds the limits of the pattern.
        """
        ids: list[int] = []
        for part in self._parts(text, special=special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self._to_ids(self._encode_ordinary(part))
        return ids

    def _parts(self, text: str, *, special: bool) -> Iterator[str | int]:
        """Ids of added tokens, and the text between them, ready for byte-pair encoding."""
        for part in self._before_normalizing.cut(text, special=special):
            if isinstance(part, int):
                yield part
                continue
            for form in self.normal_forms:
                part = unicodedata.normalize(form, part)
            for piece in self._after_normalizing.cut(part, special=special):
                bare = self.prefix_space and isinstance(piece, str) and not piece.startswith(" ")
                yield f" {piece}" if bare else piece

    def _encode_ordinary(self, text: str) -> list[int]:
        """The ranks of a text without added tokens."""
        if not has_long_run(text):
            return self._encode_safely(text)
        if self.pattern != patterns.GPT2:
            raise InputError(f"a run of over {_LONG_RUN:,} spaces or newlines is more than {self.name} can take")
        # The last space of a run belongs to the next word; those before it are one piece with or without that word.
        ends = [match.end() for match in re.finditer(rf"{patterns.WHITESPACE}{{{_LONG_RUN},}}", text)]
        cuts = [0, *(end - 1 for end in ends if end < len(text)), len(text)]
        return [rank for start, end in pairwise(cuts) for rank in self._encode_safely(text[start:end])]

    def _encode_safely(self, text: str) -> list[int]:
        encoding = self._encoding_for(text)
        try:
            with muted(self.pattern not in patterns.SAFE_CUTS):
                return encoding.encode_ordinary(text)
        except BaseException as error:
            # tiktoken panics if the regular expression runs out of stack or steps.
            if not of_library(error):
                raise
        raise self._too_much()

    def _too_much(self) -> InputError:
        return InputError(f"the text has a stretch that is more than the pattern of {self.name} can take: cut it up")

    def _to_ids(self, ranks: list[int]) -> list[int]:
        if self._ids is None:
            return ranks
        ids = [self._ids[rank] for rank in ranks]
        if None in ids:
            byte = next(data for data, rank in self._ranks.items() if rank == ranks[ids.index(None)])
            raise InputError(f"the vocabulary of {self.name} has no token for the byte 0x{byte.hex()}")
        return ids  # type: ignore[return-value]  # None is not among them

    def spans(self, text: str, *, special: bool = False) -> Spans:
        """The ids of a text and the span of each.

        If a normal form changed the text, the spans refer to the text of the tokens.
        """
        ids = self.encode(text, special=special)
        data = [self.token_bytes(token) for token in ids]
        added = self.prefix_space and bool(data) and data[0].startswith(b" ") and not text.startswith(" ")
        # The number of characters begun by the end of each token; a token that continues one includes it.
        ends = list(accumulate((len(part.translate(None, _GOES_ON)) for part in data), initial=-int(added)))
        inside = (part[:1] in _GOES_ON_BYTES for part in data)
        starts = [max(end - within, 0) for end, within in zip(ends, inside, strict=False)]
        return Spans(ids, starts, ends[1:])

    def merges(self, text: str, *, special: bool = False) -> Iterator[PieceMerges]:
        """How a text becomes tokens: its pieces, and the merges that built each (see ``Tokenizer.merges``)."""
        known: dict[bytes, PieceMerges] = {}
        for part in self._parts(text, special=special):
            if isinstance(part, int):
                data = self.token_bytes(part)
                yield PieceMerges(data, (), (Token(part, data),))
                continue
            for found in self._pieces(unicode_only(part)):
                piece = found.encode()
                if len(piece) > _USUAL_PIECE:
                    yield self._piece_merges(piece)
                    continue
                if piece not in known:
                    known[piece] = self._piece_merges(piece)
                yield known[piece]

    def _pieces(self, text: str) -> list[str]:
        """The text split by the pattern, with an engine that has a timeout."""
        import regex  # type: ignore[import-untyped]  # comes with tiktoken

        self._encode_safely(text)  # tiktoken's engine decides whether the pattern can handle the text
        try:
            return [match[0] for match in regex.finditer(self.pattern, text, timeout=_PATIENCE) if match[0]]
        except regex.error as error:
            raise self._unusable(error) from error
        except (TimeoutError, MemoryError, RecursionError) as error:
            raise self._too_much() from error

    def _piece_merges(self, piece: bytes) -> PieceMerges:
        steps = merge_steps(piece, self._ranks) if len(piece) <= LONG_PIECE else ()
        if piece in self._ranks:
            ranks = [self._ranks[piece]]
        elif steps:
            ranks = [self._ranks[part] for part in steps[-1].parts]
        else:
            ranks = self._encode_safely(piece.decode())
        tokens = tuple(Token(token, self._bytes[token]) for token in self._to_ids(ranks))
        return PieceMerges(piece, steps, tokens)

    def safe_cut(self) -> re.Pattern[str] | None:
        """Matches where a text may be split without changing its ids; None if no safe position is known."""
        expression = patterns.SAFE_CUTS.get(self.pattern)
        if expression is None or any(form != "NFC" for form in self.normal_forms):
            return None  # NFC composes nothing with a space or full stop before it; the other forms create spaces
        # A space is only added to a text that does not begin with one, so a part that does is encoded unchanged.
        return patterns.outside_added(patterns.BEFORE_SPACE if self.prefix_space else expression, self.added)

    # Ids to text

    def piece(self, token: int) -> str | None:
        """A token as the vocabulary spells it, or None for an id without one."""
        data = self._bytes.get(token)
        spelled = None if data is None else "".join(CHARACTER_OF[byte] for byte in data)
        return self._contents.get(token, spelled)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id (see ``Tokenizer.token_bytes``)."""
        data = self._bytes.get(token)
        if data is not None:
            return data
        if 0 <= token < self.n_vocab:
            return b""
        raise self._unknown(token)

    def unused(self, limit: int) -> list[int]:
        """The ids below ``limit`` that have no token."""
        if all(map(self._bytes.get, range(limit))):  # as usual, and told in a tenth of the time
            return []
        return [token for token in range(limit) if not self._bytes.get(token)]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids, joined."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")


def has_long_run(text: str) -> bool:
    """Whether a long run of whitespace is possible: one of ``_LONG_RUN`` fills an aligned block of half that length."""
    half = _LONG_RUN // 2
    return len(text) >= half and any(
        text[start : start + half].isspace() for start in range(0, len(text) - half + 1, half)
    )

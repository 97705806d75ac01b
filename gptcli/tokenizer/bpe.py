"""The tokenizer: byte-level byte-pair encoding with added tokens around it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gptcli.errors import InputError

if TYPE_CHECKING:
    from tiktoken import Encoding

# How GPT-2 cuts text into pieces before it merges bytes: contractions, words, numbers, the rest, each with one space
# before it; of several spaces the last goes with the word. (Possessive quantifiers only save time.)
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


@dataclass(frozen=True)
class AddedToken:
    """A token that is cut out of the text before the rest is encoded.

    Attributes:
        content: its text.
        id: its id.
        special: it steers the model and is not text: recognised in a text only where that is asked for.
        lstrip: it takes the whitespace before it along.
        rstrip: it takes the whitespace after it along.
        single_word: it counts only where no word character touches it.
        normalized: it is looked for in the normalised text.
    """

    content: str
    id: int
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


@dataclass(frozen=True)
class Merge:
    """One step of byte-pair encoding: two neighbours become one.

    Attributes:
        rank: the priority of the merge; of all possible merges the lowest rank goes first.
        left: bytes of the first of the two.
        right: bytes of the second.
        parts: the piece after this step.
    """

    rank: int
    left: bytes
    right: bytes
    parts: tuple[bytes, ...]


@dataclass(frozen=True)
class PieceMerges:
    """How one piece of the text (a word with the space before it, say) became tokens.

    Attributes:
        piece: the bytes of the piece.
        merges: the steps from single bytes to tokens.
        tokens: the bytes of its tokens.
        ids: the ids of its tokens.
    """

    piece: bytes
    merges: tuple[Merge, ...]
    tokens: tuple[bytes, ...]
    ids: tuple[int, ...]


class Tokenizer:
    """Text to ids and back.

    Args:
        name: what to call it.
        ranks: bytes of each mergeable token (all 256 single bytes among them) to its rank. Two neighbours whose bytes
            together are in here merge, lowest rank first.
        pattern: the regular expression whose matches are encoded each on its own; it must cover any text.
        ids: rank to id, where they differ; None stands for a byte that the vocabulary does not have.
        added: tokens that are cut out of the text first, special ones among them.
        unmerged: ids that no text encodes to, with their bytes.
        n_vocab: the size of the model's vocabulary, where it is padded beyond the last token.
        eos: the added token that ends a text.
        prefix_ids: what belongs before every text.
        normalize: applied to the text between special tokens.
        prefix_space: put a space before a text (and after each added token) where there is none.

    Attributes:
        n_vocab: every id is below this number.
        special_tokens: text of each special token to its id.
        eos_id: id of the token that ends a text, or None.
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
        n_vocab: int = 0,
        eos: str | None = None,
        prefix_ids: Sequence[int] = (),
        normalize: Callable[[str], str] | None = None,
        prefix_space: bool = False,
    ) -> None:
        self.name = name
        self.pattern = pattern
        self.added = tuple(added)
        self.prefix_ids = list(prefix_ids)
        self.normalize = normalize
        self.prefix_space = prefix_space
        self.special_tokens = {token.content: token.id for token in self.added if token.special}
        self._ranks = ranks
        self._ids = ids
        self._bytes = self._table(unmerged or {})
        self.n_vocab = max(n_vocab, max(self._bytes) + 1)
        by_content = {token.content: token.id for token in self.added}
        self.eos_id = by_content.get(eos) if eos is not None else None

    def _table(self, unmerged: Mapping[int, bytes]) -> dict[int, bytes]:
        table = dict(unmerged)
        for data, rank in self._ranks.items():
            token = rank if self._ids is None else self._ids[rank]
            if token is not None:
                table[token] = data
        table.update((token.id, token.content.encode()) for token in self.added)
        return table

    @cached_property
    def _encoding(self) -> "Encoding":
        import tiktoken

        return tiktoken.Encoding(self.name, pat_str=self.pattern, mergeable_ranks=self._ranks, special_tokens={})

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text.

        Args:
            text: any text; what is not Unicode in it (lone surrogates) becomes U+FFFD.
            special: take special tokens that are written in the text as such, not as text. Added tokens that are not
                special are always recognised.

        Raises:
            InputError: the text needs a byte that the vocabulary lacks.
        """
        return self._encode_ordinary(text)

    def _encode_ordinary(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one id stands for: a special token's text, nothing for an id that only pads the vocabulary.

        Raises:
            InputError: the id is not in the vocabulary.
        """
        data = self._bytes.get(token)
        if data is None:
            if not 0 <= token < self.n_vocab:
                raise InputError(
                    f"id {token} is not in the vocabulary of {self.name}: ids run from 0 to {self.n_vocab - 1}"
                )
            return b""
        return data

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids, joined.

        Raises:
            InputError: an id is not in the vocabulary.
        """
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are not UTF-8 come out as U+FFFD.

        Raises:
            InputError: an id is not in the vocabulary.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

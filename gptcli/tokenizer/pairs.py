"""Byte-level byte-pair encoding pair by pair: slower than by rank, and right for any list of merges."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gptcli.errors import InputError
from gptcli.tokenizer.bpe import LONG_PIECE, Tokenizer, has_long_run, unicode_only
from gptcli.tokenizer.merges import PieceMerges, merge_pairs, steps_shown
from gptcli.tokenizer.vocabulary import CHARACTER_OF, NotByRank, build, token_to_bytes

# Longer pieces would take gigabytes.
_LONGEST_PIECE = 1_000_000


def byte_level(
    name: str,
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    pattern: str,
    where: str,
    *,
    ignore_merges: bool = False,
    unknown: int | None = None,
    **options: Any,
) -> Tokenizer:
    """The tokenizer of a byte-level vocabulary: by rank where its merges allow that, otherwise pair by pair.

    Args:
        name: what to call it.
        vocab: token to id, in the byte-level alphabet.
        merges: pairs of tokens, highest priority first.
        pattern: the regular expression whose matches are encoded each on its own.
        where: the file, for error messages.
        ignore_merges: take a piece that is a token whole even where no merges build it.
        unknown: id of the token for bytes that the vocabulary lacks.
        options: of ``Tokenizer``.

    Raises:
        CheckpointError: the vocabulary or the merges are broken.
    """
    try:
        built = build(vocab, merges, where, ignore_merges=ignore_merges, unknown=unknown)
    except NotByRank:
        whole = vocab.keys() if ignore_merges else ()
        return PairTokenizer(name, vocab, merges, pattern, whole=whole, unknown=unknown, **options)
    return Tokenizer(name, built.ranks, pattern, ids=built.ids, unmerged=built.unmerged, **options)


class PairTokenizer(Tokenizer):
    """Text to ids and back, by the listed pairs themselves.

    Args:
        name: what to call it.
        vocab: token to id, in the byte-level alphabet.
        merges: pairs of tokens, highest priority first.
        pattern: the regular expression whose matches are encoded each on its own.
        whole: tokens that are not merged where they are a whole piece.
        unknown: id of the token for bytes that the vocabulary lacks.
        options: of ``Tokenizer``.
    """

    def __init__(
        self,
        name: str,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        pattern: str,
        *,
        whole: Iterable[str] = (),
        unknown: int | None = None,
        **options: Any,
    ) -> None:
        bytes_alone = {bytes([byte]): byte for byte in CHARACTER_OF}
        ids = {byte: vocab.get(character, unknown) for byte, character in CHARACTER_OF.items()}
        data = {number: token_to_bytes(token) or token.encode("utf-8", "replace") for token, number in vocab.items()}
        super().__init__(name, bytes_alone, pattern, ids=ids, unmerged=data, **options)
        self._vocab = vocab
        self._unknown = unknown
        self._whole = frozenset(whole)
        self._priority = {pair: place for place, pair in enumerate(merges)}
        self._piece_ids = lru_cache(maxsize=1 << 14)(lambda piece: self._piece_merges(piece, steps=False).ids)

    def _encode_ordinary(self, text: str) -> list[int]:
        if has_long_run(text):
            raise self._too_much()
        return [token for piece in self._pieces(unicode_only(text)) for token in self._piece_ids(piece.encode())]

    def _to_ids(self, ranks: list[int]) -> list[int]:
        return ranks  # they are ids here

    def _piece_merges(self, piece: bytes, *, steps: bool = True) -> PieceMerges:
        if len(piece) > _LONGEST_PIECE:
            raise self._too_much()
        characters = [CHARACTER_OF[byte] for byte in piece]
        text = "".join(characters)
        found, tokens = ([], [text]) if text in self._whole else merge_pairs(characters, self._priority)
        shown = steps_shown(found if steps and len(piece) <= LONG_PIECE else (), [bytes([byte]) for byte in piece])
        ids = tuple(map(self._id, tokens))
        return PieceMerges(piece, shown, tuple(self._bytes[token] for token in ids), ids)

    def _id(self, token: str) -> int:
        number = self._vocab.get(token, self._unknown)
        if number is None:
            byte = (token_to_bytes(token) or b"").hex()
            raise InputError(f"the vocabulary of {self.name} has no token for the byte 0x{byte}")
        return number

r"""Converts a Hugging Face byte-level vocabulary to ranks for tiktoken's byte-pair encoding.

Hugging Face lists merges: pairs of tokens, in order of priority. tiktoken lists tokens: any two neighbours that form a
token merge, the token with the lowest rank first, and a piece that is a token is taken whole. The two agree on the
merges that can happen at all, and only those are kept here.

Proof: assume that every merge is listed after the merges that make its two parts. When all merges before (l, r) are
exhausted, the bytes between two token boundaries are split as they would be in isolation, because no merge crossed
those boundaries. So at that moment the bytes of l+r are always split in the same way. If in isolation they are split
into l and r, then (l, r) is the only pair of neighbours with those bytes, and tiktoken's rule cannot merge another. If
they are not, then l and r are never neighbours at that moment or later, and the merge never happens.

Files made from tiktoken's ranks list every way to split a token in two, including into parts that only later merges
make. A merge like this has to wait for its parts. If l+r is already a token by then, its bytes are that token and never
l and r, so the merge never happens. Otherwise the merge happens as soon as its parts exist, out of order. tiktoken's
rule cannot express that: ``build`` raises ``NotByRank``, and Hugging Face's library merges pair by pair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gptcli.errors import CheckpointError


class NotByRank(CheckpointError):
    """The merges are valid but cannot be expressed as one rank per token; Hugging Face's library has to be used."""


def _byte_alphabet() -> dict[int, int]:
    """GPT-2's characters for bytes: printable Latin-1 characters for themselves, U+0100 and up for the others."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {0x100 + index: byte for index, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
_TO_LATIN1 = dict.fromkeys(range(256), 0xFFFF) | _BYTE_OF  # U+FFFF is not Latin-1: encoding it fails
CHARACTER_OF = {byte: chr(code) for code, byte in _BYTE_OF.items()}


@dataclass(frozen=True)
class Vocabulary:
    """The data that a ``RankTokenizer`` is built from.

    Attributes:
        ranks: bytes of each mergeable token to its rank.
        ids: rank to id, or None if they are the same.
        unmerged: the other ids, with their bytes.
    """

    ranks: dict[bytes, int]
    ids: dict[int, int | None] | None
    unmerged: dict[int, bytes]


def token_to_bytes(token: str) -> bytes | None:
    """The bytes of a token in a byte-level vocabulary; None if it is not written in the byte-level alphabet."""
    try:
        return token.translate(_TO_LATIN1).encode("latin-1")
    except UnicodeEncodeError:
        return None


def build(
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    where: str,
    *,
    ignore_merges: bool = False,
    unknown: int | None = None,
) -> Vocabulary:
    """The ranks for tiktoken, and the ids that they map to.

    Args:
        vocab: token to id, in the byte-level alphabet.
        merges: pairs of tokens, highest priority first.
        where: the file, for error messages.
        ignore_merges: take a piece that is a token whole even if no merges make it.
        unknown: the id of the token for bytes that the vocabulary lacks.

    Raises:
        CheckpointError: an id is out of range or a duplicate, or a merge has unknown tokens or is a duplicate.
        NotByRank: a merge happens out of order, or a token occurs only as a whole piece.
    """
    _check_ids(vocab, where)
    made = _live_merges(vocab, merges, where)
    tokens = dict(made)
    if ignore_merges:
        tokens |= _taken_whole(vocab, made, where)
    data = {token: token_to_bytes(token) for token in vocab}
    if None not in (vocab.get(character) for character in CHARACTER_OF.values()) and _ascending(
        [vocab[token] for token, rank in sorted(tokens.items(), key=lambda item: item[1]) if rank >= 256]
    ):
        # If the ids are in the order of the merges, they can serve as ranks.
        ranks = {known: vocab[token] for token in tokens if (known := data[token]) is not None}
        ids = None
    else:
        ranks = {known: rank for token, rank in tokens.items() if (known := token_to_bytes(token)) is not None}
        ids = {rank: vocab.get(token, unknown) for token, rank in tokens.items()}
    unmerged = {
        vocab[token]: token.encode("utf-8", "replace") if known is None else known
        for token, known in data.items()
        if token not in tokens
    }
    return Vocabulary(ranks, ids, unmerged)


def merge_list(value: Any, where: str) -> list[tuple[str, str]]:
    """The merges as pairs; files have pairs, or strings of two tokens separated by a space.

    Raises:
        CheckpointError: an entry is not a pair.
    """
    if not isinstance(value, list):
        raise CheckpointError(f"{where}: model.merges is not a list")
    merges = []
    for place, entry in enumerate(value, start=1):
        match entry.split(" ") if isinstance(entry, str) else entry:
            case [str(first), str(second)] if first and second:
                merges.append((first, second))
            case _:
                raise CheckpointError(f"{where}: merge {place} is not two tokens: {str(entry)[:80]!r}")
    return merges


def is_id(number: object) -> bool:
    """Whether a value from a file can be a token's id."""
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**31


def _check_ids(vocab: Mapping[str, int], where: str) -> None:
    if not vocab:
        raise CheckpointError(f"{where}: the vocabulary is empty")
    owner: dict[int, str] = {}
    for token, number in vocab.items():
        if not is_id(number):
            raise CheckpointError(f"{where}: the token {token!r:.80} has the id {number!r:.80}, which is no id")
        if owner.setdefault(number, token) != token:
            raise CheckpointError(f"{where}: {owner[number]!r:.80} and {token!r:.80} have the same id {number}")


def _ascending(numbers: list[int]) -> bool:
    return all(a < b for a, b in pairwise(numbers))


def _live_merges(vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], where: str) -> dict[str, int]:
    """Token to rank: the 256 bytes, and every token that a merge can actually make (256 + the merge's index)."""
    rank_of = {character: byte for byte, character in CHARACTER_OF.items()}
    parts: dict[int, tuple[int, int]] = {}
    rank_of_pair: dict[tuple[int, int], int] = {}
    listed: set[tuple[str, str]] = set()
    waiting: dict[str, list[tuple[str, str]]] = {}
    early = ""
    for place, (first, second) in enumerate(merges):
        token = first + second
        pair = f"{where}: merge {place + 1} ({first!r:.80}, {second!r:.80})"
        unknown = next((part for part in (first, second, token) if part not in vocab), None)
        if unknown is not None:
            raise CheckpointError(f"{pair}: no token {unknown!r:.80}")
        if (first, second) in listed:
            raise CheckpointError(f"{pair} is there twice")
        listed.add((first, second))
        left, right = rank_of.get(first), rank_of.get(second)
        if left is None or right is None:
            for part in (first, second):
                if part not in rank_of:
                    waiting.setdefault(part, []).append((first, second))
            continue
        rank = 256 + place
        if not _end_as(left, right, rank, parts, rank_of_pair):
            continue
        rank_of[token], parts[rank], rank_of_pair[left, right] = rank, (left, right), rank
        if any(one in rank_of and two in rank_of and one + two not in rank_of for one, two in waiting.get(token, ())):
            early = early or f"{where}: merge {place + 1} makes {token!r:.80} after a merge that needs it"
    if early:
        raise NotByRank(early)
    return rank_of


def _end_as(
    left: int, right: int, limit: int, parts: Mapping[int, tuple[int, int]], rank_of_pair: Mapping[tuple[int, int], int]
) -> bool:
    """Whether the joined bytes of two tokens, encoded in isolation with merges below ``limit``, give these two tokens.

    Undoes the merges next to the boundary, the last one first; at no point may a merge across it have been possible.
    """
    while True:
        if rank_of_pair.get((left, right), limit) < limit:
            return False
        if left < 256 and right < 256:
            return True
        if left > right:
            limit, left = left, parts[left][1]
        else:
            # Of equal merges the leftmost happens first, so an equal one across the boundary would have come earlier.
            limit, right = right + 1, parts[right][0]


def _taken_whole(vocab: Mapping[str, int], made: Mapping[str, int], where: str) -> dict[str, int]:
    """Ranks, after all others, for tokens that no merge makes but that are used if they are a whole piece."""
    import tiktoken

    live = {data: rank for token, rank in made.items() if (data := token_to_bytes(token)) is not None}
    encoding = tiktoken.Encoding(where, pat_str=r"[\s\S]+", mergeable_ranks=live, special_tokens={})
    whole: dict[str, int] = {}
    for token in vocab:
        data = token_to_bytes(token)
        if token in made or not data:
            continue
        # tiktoken merges any two neighbours that form a token. Bytes that end as three or more tokens are never two.
        if len(encoding._encode_single_piece(data)) == 2:
            raise NotByRank(f"{where}: {token!r:.80} is only taken whole")
        whole[token] = max(made.values()) + 1 + len(whole)
    return whole

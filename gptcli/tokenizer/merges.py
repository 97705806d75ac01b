"""Byte-pair encoding one merge at a time: for looking at, not for speed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise


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
        merges: the steps from single bytes to tokens; none for an added token, which is taken whole.
        tokens: the bytes of its tokens.
        ids: the ids of its tokens.
    """

    piece: bytes
    merges: tuple[Merge, ...]
    tokens: tuple[bytes, ...]
    ids: tuple[int, ...]


def merge_steps(piece: bytes, ranks: Mapping[bytes, int]) -> tuple[Merge, ...]:
    """All merges from the single bytes of a piece to its tokens, in the order in which they happen.

    At each step the two neighbours whose bytes together have the lowest rank become one; of equals the leftmost.

    Args:
        piece: what to merge.
        ranks: bytes of each mergeable token to its rank.
    """
    parts = [piece[index : index + 1] for index in range(len(piece))]
    steps: list[Merge] = []
    while True:
        candidates = [
            (ranks[left + right], index) for index, (left, right) in enumerate(pairwise(parts)) if left + right in ranks
        ]
        if not candidates:
            return tuple(steps)
        rank, index = min(candidates)
        left, right = parts[index : index + 2]
        parts[index : index + 2] = [left + right]
        steps.append(Merge(rank, left, right, tuple(parts)))


def first_different(pieces: Iterable[PieceMerges], limit: int) -> list[PieceMerges]:
    """Each piece where it comes for the first time, ``limit`` of them at most; looks no further than it needs."""
    found: dict[bytes, PieceMerges] = {}
    for piece in pieces:
        found.setdefault(piece.piece, piece)
        if len(found) == limit:
            break
    return list(found.values())

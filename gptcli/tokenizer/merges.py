"""Byte-pair encoding one merge at a time: for display, and for merges that tiktoken's rule cannot express."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from gptcli.system.answer import token_columns
from gptcli.tokenizer.token import Token

# Longer pieces are not shown merge by merge: time and memory grow with the square of the length.
LONG_PIECE = 2_000


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
        text: the bytes of the piece.
        merges: the steps from single bytes to tokens; none for an added token, which is taken whole.
        tokens: its tokens.
    """

    text: bytes
    merges: tuple[Merge, ...]
    tokens: tuple[Token, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of its tokens."""
        return tuple(token.id for token in self.tokens)


@dataclass(frozen=True)
class Merged:
    """A text, merge by merge.

    Attributes:
        tokenizer: its name.
        pieces: of the text, in order.
    """

    schema: ClassVar[str] = "gptcli.tokenize.merges/1"

    tokenizer: str
    pieces: Iterable[PieceMerges]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each merge."""
        for number, piece in enumerate(self.pieces, start=1):
            for step in piece.merges:
                sides = token_columns("left", step.left) | token_columns("right", step.right)
                yield {"piece": number, "rank": step.rank, **sides}


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


MergeStep = tuple[int, int, int]


def merge_pairs(parts: Sequence[str], priority: Mapping[tuple[str, str], int]) -> tuple[list[MergeStep], list[str]]:
    """Byte-pair encoding by listed pairs, as Hugging Face's library does it; in n log n steps.

    Args:
        parts: what to merge.
        priority: pair of neighbours to its index in the list; the pair with the lowest index merges first.

    Returns:
        The merges in order, each as its priority and the indices of the parts that its two sides start at; and the
        tokens.
    """
    alive: list[str | None] = list(parts)
    after, before = list(range(1, len(parts) + 1)), list(range(-1, len(parts) - 1))
    heap: list[tuple[int, int, str]] = []

    def pair_at(left: int) -> tuple[str, str] | None:
        right = after[left]
        first, second = alive[left], alive[right] if right < len(parts) else None
        return None if first is None or second is None or (first, second) not in priority else (first, second)

    def offer(left: int) -> None:
        if left >= 0 and (pair := pair_at(left)):
            heapq.heappush(heap, (priority[pair], left, "".join(pair)))

    for place in range(len(parts)):
        offer(place)
    steps = []
    while heap:
        place, left, token = heapq.heappop(heap)
        pair = pair_at(left)
        if pair is None or "".join(pair) != token:
            continue  # stale: one of the two has since merged into another token
        right = after[left]
        steps.append((place, left, right))
        alive[left], alive[right] = token, None
        after[left] = after[right]
        if after[right] < len(parts):
            before[after[right]] = left
        offer(left)
        offer(before[left])
    return steps, [part for part in alive if part is not None]


def steps_shown(steps: Iterable[MergeStep], parts: Sequence[bytes]) -> tuple[Merge, ...]:
    """The merges that ``merge_pairs`` returned, each with the state of the piece after it."""
    now = dict(enumerate(parts))
    shown = []
    for rank, left, right in steps:
        pair = now[left], now.pop(right)
        now[left] = pair[0] + pair[1]
        shown.append(Merge(rank, *pair, tuple(now.values())))
    return tuple(shown)


def first_different(pieces: Iterable[PieceMerges], limit: int) -> list[PieceMerges]:
    """The distinct pieces in order of first occurrence, at most ``limit``; reads no further than it needs."""
    found: dict[bytes, PieceMerges] = {}
    for piece in pieces:
        found.setdefault(piece.text, piece)
        if len(found) == limit:
            break
    return list(found.values())

"""The kind of a head, as ``heads`` measures it; without torch, for those who only show it."""

from dataclasses import dataclass
from typing import Literal

HeadKind = Literal["previous token", "first token", "same token", "induction"]

# The least share of attention for which a head is named. It is a convention: heads are a continuum, and the scores are
# shown next to the names.
THRESHOLD = 0.4


@dataclass(frozen=True)
class HeadLabel:
    """The attention of a head on random tokens that are read twice.

    Each score is a share of attention, 0 to 1, averaged over the queries (looking positions) that can have it.

    Attributes:
        kind: with the largest score, if that is at least ``THRESHOLD``; else None.
        score: the largest of the scores below.
        nearest: the kind with that score.
        previous_token: share on the previous position; over all queries but the first.
        first_token: share on the first position; over all queries but the first.
        same_token: share on the query's own position and the earlier one of that token; over all but the first.
        induction: share on the position after the earlier one of the same token; over the second repetition.
    """

    kind: HeadKind | None
    score: float
    nearest: HeadKind
    previous_token: float
    first_token: float
    same_token: float
    induction: float

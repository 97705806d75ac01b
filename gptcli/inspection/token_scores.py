"""Tokens with a score, and the largest of very many scores."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TokenScore:
    """A token and its score.

    Attributes:
        id: in the vocabulary.
        token: the bytes it stands for.
        score: its logit, the activation that it causes, or its attention score.
    """

    id: int
    token: bytes
    score: float


def largest(scores: Floats, count: int) -> NDArray[np.int64]:
    """Where the largest of each row are, the largest first, equal ones by place: [rows, n] -> [rows, count at most]."""
    n = scores.shape[1]
    if n > count:
        kept = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    else:
        kept = np.broadcast_to(np.arange(n), scores.shape)
    order = np.lexsort((kept, -np.take_along_axis(scores, kept, 1)))
    return np.take_along_axis(kept, order, 1)


class Top:
    """The largest of many scores that come in blocks, for each of some rows.

    Args:
        rows: how many.
        count: how many scores to keep of each.
    """

    def __init__(self, rows: int, count: int) -> None:
        self._count = count
        self._ids = np.empty((rows, 0), np.int64)
        self._scores = np.empty((rows, 0), np.float32)

    def add(self, first: int, scores: Floats) -> None:
        """Take [rows, n] scores of the ids from ``first`` on; those of -inf are never kept."""
        kept = largest(scores, self._count)
        ids = np.hstack([self._ids, kept + first])
        scores = np.hstack([self._scores, np.take_along_axis(scores, kept, 1)])
        order = np.lexsort((ids, -scores))[:, : self._count]
        self._ids, self._scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)

    def rows(self) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """The ids of each row, the largest score first, and their scores; equal ones by id."""
        for ids, scores in zip(self._ids, self._scores, strict=True):
            there = scores > -np.inf
            yield ids[there].tolist(), scores[there].astype(np.float64)

"""Read a text with a model, position by position: what it expected, and how surprised it was."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError, OverflowedError
from gptcli.model.engine import Engine

# Rows of logits in memory at a time: 128 x 50,257 float32 are 26 MB.
_ROWS = 128


@dataclass(frozen=True)
class Reading:
    """What a model said at one position of a text.

    Attributes:
        id: the token there.
        best: the most probable next token.
        best_probability: the probability it gave to that.
        entropy_bits: how undecided it was.
        next: the token that came next; None at the end.
        next_logprob: natural logarithm of the probability it gave to that.
        next_rank: that token's rank; 1 is the most probable, and equal ones rank by id.
    """

    id: int
    best: int
    best_probability: float
    entropy_bits: float
    next: int | None
    next_logprob: float | None
    next_rank: int | None

    @property
    def next_probability(self) -> float | None:
        """The probability it gave to the token that came."""
        return None if self.next_logprob is None else math.exp(self.next_logprob)


def next_logits(engine: Engine, ids: Sequence[int], n_vocab: int) -> NDArray[np.float32]:
    """Logits for the token after ``ids``: [n_vocab].

    Raises:
        InputError: there is no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    return np.asarray(next(each_logits(engine, ids, n_vocab, len(ids) - 1))[0])


def each_logits(engine: Engine, ids: Sequence[int], n_vocab: int, first: int = 0) -> Iterator[NDArray[np.float32]]:
    """Logits for the token after each of ``ids[first:]``, some positions at a time: [positions, n_vocab].

    Raises:
        InputError: there is no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    check_fits(ids, engine.n_positions)
    yield _finite(engine.prefill([ids[: first + 1]], len(ids))[:, :n_vocab])
    for start in range(first + 1, len(ids), _ROWS):
        yield _finite(engine.extend(ids[start : start + _ROWS])[:, :n_vocab])


def _finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits.max(axis=1)).all():  # NaN, +infinity, or nothing but -infinity
        raise OverflowedError
    return logits


def read(engine: Engine, ids: Sequence[int], n_vocab: int, first: int = 0) -> Iterator[Reading]:
    """Go through a text position by position; yields what the model expected at each, from ``first`` on.

    Args:
        engine: runs the model.
        ids: the text, at most the context long.
        n_vocab: ids from here on are padding and left out.
        first: the first position to yield; those before it are context.

    Raises:
        InputError: there is no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    # Softmax in two reused arrays: four times as fast as new ones for each token.
    shifted, shares = np.empty((2, n_vocab))
    rows = (row for some in each_logits(engine, ids, n_vocab, first) for row in some)
    for token, following, row in zip(ids[first:], [*ids[first + 1 :], None], rows, strict=True):
        best = int(row.argmax())
        np.subtract(row, row[best], out=shifted, dtype=np.float64)
        np.exp(shifted, out=shares)
        total = float(shares.sum())
        yield Reading(
            id=token,
            best=best,
            best_probability=1 / total,
            entropy_bits=max(0.0, math.log(total) - float(shares @ shifted) / total) / math.log(2),
            next=following,
            next_logprob=None if following is None else float(shifted[following]) - math.log(total),
            next_rank=None if following is None else rank_of(row, following),
        )


def rank_of(scores: NDArray[np.floating], token: int) -> int:
    """A token's rank by scores [V]; 1 is the best, and equal ones rank by id."""
    before = np.count_nonzero(scores > scores[token]) + np.count_nonzero(scores[:token] == scores[token])
    return int(before) + 1


def check_fits(ids: Sequence[int], n_positions: int) -> None:
    """Check that a text fits into the context.

    Raises:
        InputError: there is no token, or more than the context holds.
    """
    if not ids:
        raise InputError("there is no token to read: the text is empty")
    if len(ids) > n_positions:
        raise InputError(f"the text has {len(ids):,} tokens and the model's context is {n_positions:,}: shorten it")

"""Read a text with a model, position by position: what it expected, and how surprised it was."""

import math
from collections.abc import Iterable, Iterator, Sequence
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


def last_logits(engine: Engine, texts: Sequence[Sequence[int]], n_vocab: int) -> NDArray[np.float32]:
    """Logits for the token after each of these texts, which are read in one batch: [len(texts), n_vocab].

    Raises:
        InputError: a text has no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    for ids in texts:
        check_fits(ids, engine.n_positions)
    return _finite(engine.prefill(texts, max(map(len, texts)))[:, :n_vocab])


def each_logits(engine: Engine, ids: Sequence[int], n_vocab: int, first: int = 0) -> Iterator[NDArray[np.float32]]:
    """Logits for the token after each of ``ids[first:]``, some positions at a time: [positions, n_vocab].

    Raises:
        InputError: there is no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    check_fits(ids, engine.n_positions)
    if first:
        done = first + 1
        yield _finite(engine.prefill([ids[:done]], len(ids))[:, :n_vocab])
    else:
        done = min(_ROWS, len(ids))
        yield _finite(engine.read_texts([ids[:done]], len(ids))[:, :n_vocab])
    for start in range(done, len(ids), _ROWS):
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
    rows = (row for some in each_logits(engine, ids, n_vocab, first) for row in some)
    yield from _readings(rows, ids[first:], n_vocab)


def read_texts(engine: Engine, texts: Sequence[Sequence[int]], n_vocab: int) -> list[list[Reading]]:
    """Go through several texts, as many at once as one long text would have tokens read at once.

    Args:
        engine: runs the model.
        texts: the ids of each, at most the context long.
        n_vocab: ids from here on are padding and left out.

    Returns:
        What the model expected at each position of each text.

    Raises:
        InputError, OverflowedError: see ``read``.
    """
    read_of: dict[int, list[Reading]] = {}
    # By length, so that an engine that pads short rows has little to pad.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for batch in _batches(order, texts):
        if len(batch) == 1:
            read_of[batch[0]] = list(read(engine, texts[batch[0]], n_vocab))
            continue
        for index in batch:
            check_fits(texts[index], engine.n_positions)
        logits = _finite(engine.read_texts([texts[index] for index in batch], len(texts[batch[-1]]))[:, :n_vocab])
        start = 0
        for index in batch:
            end = start + len(texts[index])
            read_of[index] = list(_readings(logits[start:end], texts[index], n_vocab))
            start = end
    return [read_of[index] for index in range(len(texts))]


def _batches(order: Sequence[int], texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of texts in groups of at most ``_ROWS`` tokens together; a longer text is a group of its own."""
    batch: list[int] = []
    tokens = 0
    for index in order:
        if batch and tokens + len(texts[index]) > _ROWS:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += len(texts[index])
    if batch:
        yield batch


def _readings(rows: Iterable[NDArray[np.float32]], ids: Sequence[int], n_vocab: int) -> Iterator[Reading]:
    """What logits [V] after each token of a text say."""
    # Softmax in two reused arrays: four times as fast as new ones for each token.
    shifted, shares = np.empty((2, n_vocab))
    for token, following, row in zip(ids, [*ids[1:], None], rows, strict=True):
        best = int(row.argmax())
        np.subtract(row, row[best], out=shifted, dtype=np.float64)
        np.exp(shifted, out=shares)
        total = float(shares.sum())
        # Not shares @ shifted: a BLAS divides so short a product among threads, and waits for them where others work.
        mean = float(np.einsum("i,i->", shares, shifted)) / total
        yield Reading(
            id=token,
            best=best,
            best_probability=1 / total,
            entropy_bits=max(0.0, math.log(total) - mean) / math.log(2),
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
        raise InputError(
            f"the text has {len(ids):,} tokens and the model's context is {n_positions:,}: shorten it "
            f"(gptcli tokenize --truncate {n_positions} keeps its beginning)"
        )

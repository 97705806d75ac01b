"""Read a text with a model, position by position: what it expected, and how surprised it was."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError, OverflowedError
from gptcli.model.engine import Engine, blocks_of_logits
from gptcli.model.native.library import library

# Texts of so many tokens together are read at once: the logits after 128 of 50,257 tokens are 26 MB.
_ROWS = 128
# A logit that is so far below the largest (in nats) adds nothing in float64, not even where it is -infinity.
_LEAST = -700.0


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
    return finite(engine.prefill(texts, max(map(len, texts)))[:, :n_vocab])


def each_logits(engine: Engine, ids: Sequence[int], n_vocab: int, first: int = 0) -> Iterator[NDArray[np.float32]]:
    """Logits for the token after each of ``ids[first:]``, some positions at a time: [positions, n_vocab].

    Raises:
        InputError: there is no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    check_fits(ids, engine.n_positions)
    for logits in blocks_of_logits(engine, ids, first):
        yield finite(logits[:, :n_vocab])


def finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """These logits [N, V], if each row has a largest one.

    Raises:
        OverflowedError: one is NaN or +infinity, or a row has no finite one.
    """
    if not np.isfinite(logits.max(axis=1)).all():  # NaN, +infinity, or nothing but -infinity
        raise OverflowedError
    return logits


def read(engine: Engine, ids: Sequence[int], n_vocab: int, first: int = 0) -> list[Reading]:
    """Go through a text position by position: what the model expected at each, from ``first`` on.

    Args:
        engine: runs the model.
        ids: the text, at most the context long.
        n_vocab: ids from here on are padding and left out.
        first: the first position of interest; those before it are context.

    Raises:
        InputError: there is no token, or more than the context holds.
        OverflowedError: the model's numbers overflow.
    """
    check_fits(ids, engine.n_positions)
    found: list[Reading] = []

    def take(logits: NDArray[np.float32]) -> None:
        at = first + len(found)
        end = at + len(logits)
        following = [*ids[at + 1 : end], ids[end] if end < len(ids) else None]
        found.extend(_readings(logits[:, :n_vocab], ids[at:end], following))  # ``expectations`` looks for overflow

    engine.read_by_blocks(ids, take, first)
    return found


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
            read_of[batch[0]] = read(engine, texts[batch[0]], n_vocab)
            continue
        rows = [texts[index] for index in batch]
        for ids in rows:
            check_fits(ids, engine.n_positions)
        logits = engine.read_texts(rows, len(rows[-1]))[:, :n_vocab]
        following = [token for ids in rows for token in (*ids[1:], None)]
        readings = _readings(logits, [token for ids in rows for token in ids], following)
        read_of |= {index: list(islice(readings, len(texts[index]))) for index in batch}
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


def _readings(logits: NDArray[np.float32], tokens: Sequence[int], following: Sequence[int | None]) -> Iterator[Reading]:
    """What logits [T, V] after these tokens say."""
    columns = zip(tokens, following, *expectations(logits, following), strict=True)
    return (_reading(*row) for row in columns)


def _reading(
    token: int, following: int | None, best: int, probability: float, nats: float, logprob: float, rank: int
) -> Reading:
    there = following is not None
    return Reading(
        id=token,
        best=best,
        best_probability=probability,
        entropy_bits=nats / math.log(2),
        next=following,
        next_logprob=logprob if there else None,
        next_rank=rank if there else None,
    )


def expectations(
    logits: NDArray[np.float32], following: Sequence[int | None]
) -> tuple[list[int], list[float], list[float], list[float], list[int]]:
    """What rows of logits say: the best token, its probability, the entropy in nats, and of the token that follows the
    natural logarithm of its probability and its rank (0 and 0 where none follows); each [rows].

    In C where the engine is available, in some hundredths of numpy's time, else in numpy. Both compute in float64.

    Args:
        logits: [rows, n_vocab].
        following: the token that comes after each row; None: there is none.

    Raises:
        OverflowedError: one is NaN or +infinity, or a row has no finite one.
    """
    found = library()
    if found is None or logits.dtype != np.float32 or logits.strides[1] != logits.itemsize:
        return _in_numpy(finite(logits), following)
    rows, n_vocab = logits.shape
    wanted = np.array([-1 if token is None else token for token in following], np.intc)
    best, rank = np.zeros((2, rows), np.intc)
    facts = np.zeros((rows, 3))
    where = (array.ctypes.data for array in (wanted, best, rank, facts))
    if found.gptcli_read_logits(logits.ctypes.data, rows, logits.strides[0] // logits.itemsize, n_vocab, *where):
        raise OverflowedError
    probabilities, nats, logprobs = facts.T.tolist()
    return best.tolist(), probabilities, nats, logprobs, rank.tolist()


def _in_numpy(
    logits: NDArray[np.float32], following: Sequence[int | None]
) -> tuple[list[int], list[float], list[float], list[float], list[int]]:
    best, probabilities, nats, logprobs, ranks = [], [], [], [], []
    # Softmax in two reused arrays: four times as fast as new ones for each token.
    shifted, shares = np.empty((2, logits.shape[1]))
    for row, token in zip(logits, following, strict=True):
        best.append(int(row.argmax()))
        np.subtract(row, row[best[-1]], out=shifted, dtype=np.float64)
        np.maximum(shifted, _LEAST, out=shifted)
        np.exp(shifted, out=shares)
        total = float(shares.sum())
        probabilities.append(1 / total)
        # Not shares @ shifted: a BLAS divides even so short a product among threads, and waits for them.
        mean = float(np.einsum("i,i->", shares, shifted)) / total
        nats.append(max(0.0, math.log(total) - mean))
        logprobs.append(0.0 if token is None else float(row[token]) - float(row[best[-1]]) - math.log(total))
        ranks.append(0 if token is None else rank_of(row, token))
    return best, probabilities, nats, logprobs, ranks


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

"""What a model computes while it reads a short text, all at once: distributions, attention and the lens, for a page."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.probability.reading import each_logits, rank_of
from gptcli.sampling.shortlist import log_normalizer, shortlist

# The most attention weights of one reading: 16 MB in a file.
MOST_WEIGHTS = 6_000_000
# The best logits of each position are kept one by one: so many, and fewer in a long text.
_LISTED, _LISTED_IN_ALL = 1024, 262_144
# Width of a bin of the others, in nats.
_BIN = 1 / 16
# Positions unembedded at a time.
_ROWS = 64
# Candidates of each position whose texts are kept, and guesses of each layer.
NAMED, GUESSED = 40, 5


@dataclass(frozen=True)
class Expected:
    """The logits of the next token at one position.

    Attributes:
        ids: of the best tokens, best first: [NAMED].
        logits: of the best tokens, best first: [K] in float32, K at least ``NAMED``.
        rest: of all others, in narrow bins: the number of tokens and a logit for each, [bins, 2]. Each bin has two
            entries, whose mean and variance are those of its logits, so that the sum of exp(logit / T) is exact to the
            third order of its width (a quadrature of two points).
        log_sum: the logarithm of the sum of the exponentials of all logits.
    """

    ids: NDArray[np.int64]
    logits: NDArray[np.float32]
    rest: NDArray[np.float64]
    log_sum: float


@dataclass(frozen=True)
class Came:
    """The token that came after a position.

    Attributes:
        logit: that the model gave it.
        rank: 1 is the most probable; equal ones rank by id.
        surprisal_bits: -log2 of its probability.
    """

    logit: float
    rank: int
    surprisal_bits: float


@dataclass(frozen=True)
class Explored:
    """A text as a model read it. T positions, L layers, H heads.

    Attributes:
        model: its name.
        quantize: how its weights are stored: ``none``, ``int8`` or ``int4``.
        text: what was read.
        n_vocab: how many tokens there are to choose from.
        ids: the text's tokens.
        ends: where each ends in the text, in UTF-16 units (JavaScript's); None inside a character.
        names: the bytes of every token that is named here, by id.
        expected: at each position, [T].
        came: after each position, [T]; None after the last.
        pattern: the attention weights, [L, H, T, T] in float32.
        guesses: the best tokens after the embedding and after each layer, best first: [L + 1, T, GUESSED].
        shares: their probabilities, of the same shape.
    """

    model: str
    quantize: str
    text: str
    n_vocab: int
    ids: list[int]
    ends: list[int | None]
    names: dict[int, bytes]
    expected: list[Expected]
    came: list[Came | None]
    pattern: NDArray[np.float32]
    guesses: NDArray[np.int64]
    shares: NDArray[np.float64]


def explored(checkpoint: OpenCheckpoint, text: str) -> Explored:
    """Read a text once, and keep what a page shows of it.

    Raises:
        InputError: the text does not fit into the context, or is too long for a page.
        OverflowedError: the model's numbers overflow.
    """
    config, ids = checkpoint.config, checkpoint.encode_prompt(text)
    _check_size(len(ids), config.n_positions, config.n_layer * config.n_head)
    expected: list[Expected] = []
    came: list[Came | None] = []
    listed = max(min(_LISTED, _LISTED_IN_ALL // max(len(ids), 1)), NAMED)
    for logits in _rows(checkpoint, ids):
        expected.append(_expected(logits, listed))
        following = ids[len(came) + 1] if len(came) + 1 < len(ids) else None
        came.append(None if following is None else _came(logits, following, expected[-1].log_sum))
    pattern, guesses, shares = _inside(checkpoint, ids)
    named = {*ids, *(int(each) for row in expected for each in row.ids), *(int(each) for each in guesses.flat)}
    return Explored(
        model=checkpoint.name,
        quantize=checkpoint.placement.quantize,
        text=text,
        n_vocab=checkpoint.n_vocab,
        ids=ids,
        ends=_ends([checkpoint.tokenizer.token_bytes(each) for each in ids], text),
        names={each: checkpoint.tokenizer.token_bytes(each) for each in sorted(named)},
        expected=expected,
        came=came,
        pattern=pattern,
        guesses=guesses,
        shares=shares,
    )


def _ends(tokens: Sequence[bytes], text: str) -> list[int | None]:
    """Where each token ends in the text, if the tokens spell it (what a tokenizer adds or changes has no place)."""
    data, at, ends = text.encode("utf-8", "surrogatepass"), 0, list[int | None]()
    for token in tokens:
        at += len(token)
        begun = data[:at]
        try:
            spelt = begun.endswith(token) and at <= len(data)
            ends.append(len(begun.decode().encode("utf-16-le")) // 2 if spelt else None)
        except UnicodeDecodeError:
            ends.append(None)
    return ends


def _rows(checkpoint: OpenCheckpoint, ids: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    for some in each_logits(checkpoint.engine_for(ids), ids, checkpoint.n_vocab):
        yield from some


def _expected(logits: NDArray[np.float32], listed: int) -> Expected:
    """One row of logits [V]: the best of them, and the others in bins."""
    order = np.argsort(-logits, kind="stable")
    best, others = order[:listed], logits[order[listed:]].astype(np.float64)
    return Expected(best[:NAMED], logits[best], binned(others[others > -np.inf]), log_normalizer(logits))


def binned(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits, largest first, in narrow bins of two entries each (see ``Expected.rest``): [bins, 2]."""
    if not logits.size:
        return np.zeros((0, 2))
    bins = np.floor((logits[0] - logits) / _BIN)
    starts = np.flatnonzero(np.diff(bins, prepend=-1.0))
    counts = np.diff(starts, append=logits.size).astype(np.float64)
    means = np.add.reduceat(logits, starts) / counts
    spread = np.sqrt(np.add.reduceat((logits - np.repeat(means, counts.astype(np.int64))) ** 2, starts) / counts)
    halves = np.repeat(counts / 2, 2)
    return np.stack([halves, np.stack([means + spread, means - spread], 1).ravel()], 1)


def _came(logits: NDArray[np.float32], token: int, log_sum: float) -> Came:
    bits = (log_sum - float(logits[token])) / float(np.log(2))
    return Came(float(logits[token]), rank_of(logits, token), bits)


def _inside(
    checkpoint: OpenCheckpoint, ids: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """The attention weights, and the guesses of each layer with their probabilities; in C where that runs the model."""
    engine = checkpoint.native
    if engine is not None and checkpoint.changes is None:
        run = engine.record(ids)
        patterns = [run.pattern(layer) for layer in range(checkpoint.config.n_layer)]
        stages = [_guesses(map(engine.unembed, _split(stream)), checkpoint.n_vocab) for stream in run.stream]
    else:
        patterns, stages = _inside_torch(checkpoint, ids)
    size = len(ids)
    pattern = np.stack(patterns) if patterns else np.zeros((0, checkpoint.config.n_head, size, size), np.float32)
    return pattern, np.stack([ids for ids, _ in stages]), np.stack([shares for _, shares in stages])


_Guesses: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]


def _inside_torch(checkpoint: OpenCheckpoint, ids: Sequence[int]) -> tuple[list[NDArray[np.float32]], list[_Guesses]]:
    import torch

    from gptcli.inspection.record import record
    from gptcli.inspection.stages import streams

    model = checkpoint.model
    run = record(model, ids, checkpoint.changes)
    with torch.inference_mode():
        stages = [
            _guesses(
                (model.unembed(some).float().cpu().numpy() for some in torch.split(stream, _ROWS)), checkpoint.n_vocab
            )
            for _, _, stream in streams(run, model)
        ]
    return [layer.pattern.cpu().numpy() for layer in run.layers], stages


def _split(stream: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [stream[start : start + _ROWS] for start in range(0, len(stream), _ROWS)]


def _guesses(logits: Iterable[NDArray[np.float32]], n_vocab: int) -> _Guesses:
    """The best tokens of each row of logits [N, V] that come in pieces, best first, and their probabilities.

    Raises:
        OverflowedError: a row has no largest number.
    """
    ids, shares = [], []
    for row in (row[:n_vocab] for some in logits for row in some):
        found = shortlist(np.ascontiguousarray(row), GUESSED)
        assert found.log_sum is not None
        ids.append(found.ids)
        shares.append(np.exp(row[found.ids].astype(np.float64) - found.log_sum))
    return np.stack(ids), np.stack(shares)


def _check_size(length: int, context: int, n_heads: int) -> None:
    if length <= context and length**2 * n_heads > MOST_WEIGHTS:
        most = int((MOST_WEIGHTS / n_heads) ** 0.5)
        raise InputError(
            f"{length:,} tokens and {n_heads:,} heads make {length**2 * n_heads:,} attention weights, too many for a "
            f"page: shorten the text (gptcli tokenize --truncate {most} keeps its beginning)"
        )

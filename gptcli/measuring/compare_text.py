"""What two models expect of the same text: bits for each token, and how far their distributions are apart.

The totals are those of llama.cpp's perplexity tool with ``--kl-divergence``: A is its base model.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.probability.reading import each_logits, expectations
from gptcli.probability.scoring import Score, score
from gptcli.system.answer import MaybeInfinite
from gptcli.tokenizer import Tokenizer

Progress = Callable[[int, int], None]

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
# exp of more overflows a float.
_MOST_NATS = 709.0


@dataclass(frozen=True, slots=True)
class Best:
    """The token that a model found most probable.

    Attributes:
        id: in the vocabulary.
        token: the bytes it stands for.
        probability: that the model gave it, from 0 to 1.
    """

    id: int
    token: bytes
    probability: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What one model expected at a token.

    Attributes:
        probability: that it gave to the token that is there, from 0 to 1.
        surprisal_bits: -log2 of that, in bits.
        rank: of that token; 1 is the most probable.
        best: the token that it found most probable.
    """

    probability: float
    surprisal_bits: float
    rank: int
    best: Best


@dataclass(frozen=True, slots=True)
class TokenComparison:
    """A token of a text, to two models.

    Attributes:
        position: in the text, from 1.
        id: in the vocabulary.
        token: the bytes it stands for.
        a, b: what A and B expected there.
        kl: the KL divergence of B's distribution from A's, sum of p_A ln(p_A / p_B), in nats; where the vocabularies
            are not the same, of both given that the token is one that they share.
    """

    position: int
    id: int
    token: bytes
    a: Expected
    b: Expected
    kl: MaybeInfinite


@dataclass(frozen=True)
class TextTotals:
    """A text to one model.

    Attributes:
        tokens: that have a probability.
        logprob: natural logarithm of the probability of all of them together.
        bits_per_token: their surprisal, on average, in bits.
        bits_per_byte: the same for each byte of their text.
        perplexity: 2 to the power of ``bits_per_token``.
    """

    tokens: int
    logprob: float
    bits_per_token: float
    bits_per_byte: float
    perplexity: MaybeInfinite


@dataclass(frozen=True)
class Divergence:
    """How far the distributions of B are from those of A, over a text.

    Attributes:
        mean_kl: the mean KL divergence of a token, in nats.
        mean_kl_error: its standard error; None for a single token.
        largest_kl: the largest KL divergence, in nats.
        kl_percentiles: percentile -> KL divergence, in nats.
        same_best: the share of tokens at which both find the same token most probable.
        mean_logprob_difference: the mean of ln p_B - ln p_A of the tokens of the text.
        mean_logprob_difference_error: its standard error; None for a single token.
        mean_probability_difference: the mean of p_B - p_A.
        rms_probability_difference: the root of the mean of (p_B - p_A) squared.
        largest_loss: the largest fall of a token's probability from A to B, as p_B - p_A.
        largest_gain: the largest rise, as p_B - p_A.
        shared_vocabulary: tokens that both models have under the same id. If that is not all, the KL divergence is of
            their distributions over these, each scaled to sum to 1.
        unshared_a, unshared_b: the probability that A and B give to all other tokens, on average.
    """

    mean_kl: MaybeInfinite
    mean_kl_error: MaybeInfinite | None
    largest_kl: MaybeInfinite
    kl_percentiles: dict[str, MaybeInfinite]
    same_best: float
    mean_logprob_difference: MaybeInfinite
    mean_logprob_difference_error: MaybeInfinite | None
    mean_probability_difference: float
    rms_probability_difference: float
    largest_loss: float
    largest_gain: float
    shared_vocabulary: int
    unshared_a: float
    unshared_b: float


@dataclass(frozen=True)
class TextComparison:
    """A text to two models.

    Attributes:
        tokens: each token that has a probability; empty where the models do not have the same tokens.
        a, b: the totals of A and B.
        divergence: how far their distributions are apart; None where they do not have the same tokens.
        context: tokens of a window.
        stride: tokens by which the window moves in a longer text.
    """

    tokens: tuple[TokenComparison, ...] = field(repr=False)
    a: TextTotals
    b: TextTotals
    divergence: Divergence | None
    context: int
    stride: int


def compare_text(
    a: OpenCheckpoint,
    b: OpenCheckpoint,
    text: str,
    *,
    bos: bool = False,
    stride: int | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[TextComparison, str | None]:
    """Read a text with two models.

    Args:
        a, b: the models and their tokenizers.
        text: to read, in overlapping windows where it is longer than the shorter context (see ``score``).
        bos: read ``<|endoftext|>`` first, so that the first token has a probability too.
        stride: tokens by which the window moves; half the context by default.
        progress: called with the tokens that are done, and all.

    Returns:
        The comparison, and why it has no divergence.

    Raises:
        InputError: there are fewer than two tokens to read, or the stride does not fit into the context.
    """
    context = min(a.config.n_positions, b.config.n_positions)
    step = step_of(stride, context)
    shared, why = _shared(a, b, text)
    if why is not None:
        total_a, total_b = (_scored(score(each, text, bos=bos, progress=progress)) for each in (a, b))
        return TextComparison((), total_a, total_b, None, context, step), why
    ids = a.encode_prompt(text, bos=bos) if text else []
    if len(ids) < 2:
        raise InputError("there is nothing to compare: it takes two tokens, or one and --bos")
    tokens, logprobs, rests = [], [], []
    for number, (token, kl, logprob, rest) in enumerate(_each(a, b, ids, context, step, shared), start=2 - bos):
        tokens.append(token_at(a.tokenizer, b.tokenizer, number, token, kl))
        logprobs.append(logprob)
        rests.append(rest)
        progress(len(tokens) + 1, len(ids))
    n_bytes = sum(len(token.token) for token in tokens)
    pairs = np.array(logprobs)
    total_a, total_b = (_totals(pairs[:, side], n_bytes) for side in (0, 1))
    found = divergence(tokens, pairs, len(shared), np.array(rests))
    return TextComparison(tuple(tokens), total_a, total_b, found, context, step), None


def step_of(stride: int | None, context: int) -> int:
    """The tokens by which the window moves: the stride, or half the context.

    Raises:
        InputError: the stride does not fit into the context.
    """
    step = max(context // 2, 1) if stride is None else stride
    if not 1 <= step < context:
        raise InputError(
            f"--stride {step}: it must be from 1 to {context - 1:,}, below the context of {context:,} tokens"
        )
    return step


def _shared(a: OpenCheckpoint, b: OpenCheckpoint, text: str) -> tuple[NDArray[np.intp], str | None]:
    """The ids that stand for the same token to both; and why they cannot be compared token by token, as a sentence.

    A fine-tune may have tokens of its own, after the others or in place of some; two vocabularies that have less than
    half of their tokens in common are different ones.
    """
    size, largest = sorted((a.n_vocab, b.n_vocab))
    shared = np.flatnonzero([_token(a, number) == _token(b, number) for number in range(size)])
    ids = a.encode_prompt(text)
    if ids == b.encode_prompt(text) and np.isin(ids, shared).all() and 2 * len(shared) >= largest:
        return shared, None
    if size != largest:
        why = f"the vocabularies have {a.n_vocab:,} and {b.n_vocab:,} tokens"
    elif len(shared) < size:
        first = next(number for number, other in enumerate([*shared, -1]) if number != other)
        why = f"the vocabularies differ, first at id {first}"
    else:
        why = "the tokenizers cut this text in different ways"
    return shared, f"{why}: only totals can be compared, and of these bits per byte (--bos counts the first token too)"


def _token(checkpoint: OpenCheckpoint, number: int) -> bytes:
    return checkpoint.tokenizer.token_bytes(number)


# A token, and what both say of it: the best token, its probability, the logarithm of the token's, and its rank.
_Sides = tuple[int, tuple[tuple[int, float, float, int], tuple[int, float, float, int]]]
# That, the divergence, both logarithms, and the probability that each gives to what the other one lacks.
_Compared = tuple[_Sides, float, tuple[float, float], tuple[float, float]]


def _each(
    a: OpenCheckpoint, b: OpenCheckpoint, ids: Sequence[int], context: int, step: int, shared: NDArray[np.intp]
) -> Iterator[_Compared]:
    """For each token but the first: see ``_Compared``."""
    engines, count = (a.engine_for(ids), b.engine_for(ids)), 0
    for start in range(0, len(ids), step):
        window = ids[start : start + context]
        known = count - start  # already read in an earlier window
        both = (each_logits(engine, window, each.n_vocab, known) for engine, each in zip(engines, (a, b), strict=True))
        at = known
        for logits in zip(*both, strict=True):
            following = window[at + 1 : at + 1 + len(logits[0])]
            at += len(logits[0])
            rows = [logit[: len(following)] for logit in logits]
            if following:
                yield from _compared(rows[0], rows[1], following, shared)
                count += len(following)
        if start + context >= len(ids):
            return


def _compared(
    a: NDArray[np.float32], b: NDArray[np.float32], following: Sequence[int], shared: NDArray[np.intp]
) -> Iterator[_Compared]:
    sides = []
    for logits in (a, b):
        best, shares, _, logprobs, ranks = expectations(logits, following)
        sides.append(list(zip(best, shares, logprobs, ranks, strict=True)))
    everything = len(shared) == a.shape[1] == b.shape[1]
    for row_a, row_b, token, said_a, said_b in zip(a, b, following, *sides, strict=True):
        rests = (0.0, 0.0) if everything else (_rest(row_a, shared), _rest(row_b, shared))
        kl = kl_divergence(row_a, row_b) if everything else kl_divergence(row_a[shared], row_b[shared])
        yield (token, (said_a, said_b)), kl, (said_a[2], said_b[2]), rests


def _rest(logits: NDArray[np.floating], shared: NDArray[np.intp]) -> float:
    """The probability of all tokens but these."""
    shares = np.exp(np.subtract(logits, logits.max(), dtype=np.float64))
    return float(np.delete(shares, shared).sum() / shares.sum())


def kl_divergence(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The KL divergence of the distribution of logits B from that of logits A, sum of p_A ln(p_A / p_B), in nats.

    Computed in float64. Tokens without probability in A add nothing.

    Args:
        a, b: logits, [V]; -infinity stands for probability 0.
    """
    shifted_a, shifted_b = (np.subtract(logits, logits.max(), dtype=np.float64) for logits in (a, b))
    shares, log_b = np.exp(shifted_a), math.log(float(np.exp(shifted_b).sum()))
    total = float(shares.sum())
    if a.min() == -np.inf:
        there = a > -np.inf
        shares, shifted_a, shifted_b = shares[there], shifted_a[there], shifted_b[there]
    shifted_a -= shifted_b  # ln p_A - ln p_B, but for the two constants
    return max(0.0, float(shares @ shifted_a) / total - math.log(total) + log_b)


def token_at(a: Tokenizer, b: Tokenizer, position: int, said: _Sides, kl: float) -> TokenComparison:
    """One token, from what both models say of it, with their tokenizers."""
    token, sides = said
    expected = [
        Expected(
            math.exp(logprob),
            max(0.0, -logprob / math.log(2)),
            rank,
            Best(best, tokenizer.token_bytes(best), probability),
        )
        for tokenizer, (best, probability, logprob, rank) in zip((a, b), sides, strict=True)
    ]
    return TokenComparison(position, token, a.token_bytes(token), expected[0], expected[1], kl)


def _scored(one: Score) -> TextTotals:
    return TextTotals(one.scored, one.logprob, one.bits_per_token, one.bits_per_byte, one.perplexity)


def _totals(logprobs: NDArray[np.float64], n_bytes: int) -> TextTotals:
    nats, count = -float(logprobs.sum()), len(logprobs)
    bits = nats / math.log(2)
    perplexity = math.exp(nats / count) if nats / count < _MOST_NATS else math.inf
    return TextTotals(count, -nats, bits / count, bits / max(n_bytes, 1), perplexity)


def divergence(
    tokens: Sequence[TokenComparison], logprobs: NDArray[np.float64], shared: int, rests: NDArray[np.float64]
) -> Divergence:
    """The totals over a text.

    Args:
        tokens: of the text; at least one.
        logprobs: natural logarithms of their probabilities, to A and to B: [tokens, 2].
        shared: tokens of the vocabulary that both have.
        rests: the probability that A and B give to all others: [tokens, 2].
    """
    kl = np.array([token.kl for token in tokens])
    change = logprobs[:, 1] - logprobs[:, 0]
    gain = np.exp(logprobs[:, 1]) - np.exp(logprobs[:, 0])
    percentiles = {f"{percent:g}": float(value) for percent, value in zip(PERCENTILES, _percentiles(kl), strict=True)}
    return Divergence(
        mean_kl=float(kl.mean()),
        mean_kl_error=_error(kl),
        largest_kl=float(kl.max()),
        kl_percentiles=percentiles,
        same_best=sum(_same(token.a.best, token.b.best) for token in tokens) / len(tokens),
        mean_logprob_difference=float(change.mean()),
        mean_logprob_difference_error=_error(change),
        mean_probability_difference=float(gain.mean()),
        rms_probability_difference=math.sqrt(float((gain * gain).mean())),
        largest_loss=float(gain.min()),
        largest_gain=float(gain.max()),
        shared_vocabulary=shared,
        unshared_a=float(rests[:, 0].mean()),
        unshared_b=float(rests[:, 1].mean()),
    )


def _same(a: Best, b: Best) -> bool:
    """Whether they are one token: an id may stand for two where the vocabularies are not the same."""
    return (a.id, a.token) == (b.id, b.token)


def _percentiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():  # no interpolation between infinities
        return np.asarray(np.percentile(values, PERCENTILES, method="lower"))
    return np.asarray(np.percentile(values, PERCENTILES))


def _error(values: NDArray[np.float64]) -> float | None:
    """The standard error of a mean."""
    if len(values) < 2:
        return None
    with np.errstate(invalid="ignore"):
        return float(values.std(ddof=1) / math.sqrt(len(values)))

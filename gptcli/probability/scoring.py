"""How surprising a text is to a model: the probability of each of its tokens, given those before it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.probability.reading import Reading, read
from gptcli.system.answer import MaybeInfinite

# exp of more overflows a float.
_MOST_NATS = 709.0


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a text.

    Attributes:
        position: in the text, from 1.
        id: in the vocabulary.
        token: the bytes it stands for.
        probability: that the model gave it, from 0 to 1; None for a first token, which has no context.
        surprisal_bits: -log2 of that, in bits.
        rank: among all tokens; 1 is the most probable.
    """

    position: int
    id: int
    token: bytes
    probability: float | None
    surprisal_bits: float | None
    rank: int | None


@dataclass(frozen=True)
class Score:
    """A text, scored.

    Attributes:
        model: its name.
        tokens: each token of the text.
        scored: how many of them have a probability.
        scored_bytes: the bytes of these tokens.
        logprob: natural logarithm of the probability of all of them together.
        bits_per_token: their surprisal, on average, in bits.
        bits_per_byte: the same for each byte of their text.
        perplexity: 2 to the power of ``bits_per_token``.
        context: tokens of a window.
        stride: tokens by which the window moves in a longer text.
    """

    schema: ClassVar[str] = "gptcli.score/1"

    model: str
    tokens: list[TokenScore]
    scored: int
    scored_bytes: int
    logprob: float
    bits_per_token: float
    bits_per_byte: float
    perplexity: MaybeInfinite
    context: int
    stride: int


def score(
    checkpoint: OpenCheckpoint,
    text: str,
    *,
    bos: bool = False,
    stride: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Score:
    """Score a text, in overlapping windows where it is longer than the context.

    Args:
        checkpoint: the model and its tokenizer.
        text: to score.
        bos: read ``<|endoftext|>`` first, so that the first token has a probability too.
        stride: tokens by which the window moves; half the context by default. Each token is scored once, in the
            first window that holds it, and has at least context - stride tokens before it.
        progress: called with the tokens that are done, and all.

    Raises:
        InputError: there are fewer than two tokens to read, or the stride does not fit into the context.
    """
    context = checkpoint.config.n_positions
    step = max(context // 2, 1) if stride is None else stride
    if not 1 <= step < context:
        raise InputError(
            f"--stride {step}: it must be from 1 to {context - 1:,}, below the context of {context:,} tokens"
        )
    ids = checkpoint.encode_prompt(text, bos=bos) if text else []
    if len(ids) < 2:
        raise InputError("there is nothing to score: it takes two tokens, or one and --bos")
    first, logprob = (0 if bos else 1), 0.0  # <|endoftext|> is no part of the text
    tokens = [] if bos else [_token(checkpoint, first, ids[0], None)]
    readings = _readings(checkpoint, ids, context, step, progress)
    for position, (token, reading) in enumerate(zip(ids[1:], readings, strict=True), start=first + 1):
        tokens.append(_token(checkpoint, position, token, reading))
        logprob += reading.next_logprob or 0.0
    return _sum_up(checkpoint.name, tokens, -logprob, context, step)


def _readings(
    checkpoint: OpenCheckpoint, ids: Sequence[int], context: int, step: int, progress: Callable[[int, int], None]
) -> Iterator[Reading]:
    """What the model expected before each token but the first: [len(ids) - 1]."""
    engine, count = checkpoint.engine_for(ids), 0
    for start in range(0, len(ids), step):
        window = ids[start : start + context]
        known = count - start  # already scored in an earlier window
        readings = list(read(engine, window, checkpoint.n_vocab, known))[:-1]
        yield from readings
        count += len(readings)
        progress(count + 1, len(ids))
        if start + context >= len(ids):
            break


def _token(checkpoint: OpenCheckpoint, position: int, token: int, reading: Reading | None) -> TokenScore:
    data = checkpoint.tokenizer.token_bytes(token)
    if reading is None or reading.next_logprob is None:
        return TokenScore(position, token, data, None, None, None)
    surprisal = max(0.0, -reading.next_logprob / math.log(2))
    return TokenScore(position, token, data, math.exp(reading.next_logprob), surprisal, reading.next_rank)


def _sum_up(model: str, tokens: list[TokenScore], nats: float, context: int, stride: int) -> Score:
    scored = [token for token in tokens if token.surprisal_bits is not None]
    n_bytes = sum(len(token.token) for token in scored)
    bits = nats / math.log(2)
    return Score(
        model=model,
        tokens=tokens,
        scored=len(scored),
        scored_bytes=n_bytes,
        logprob=-nats,
        bits_per_token=bits / len(scored),
        bits_per_byte=bits / max(n_bytes, 1),
        perplexity=math.exp(nats / len(scored)) if nats / len(scored) < _MOST_NATS else math.inf,
        context=context,
        stride=stride,
    )

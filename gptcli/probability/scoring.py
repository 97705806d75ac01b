"""How surprising a text is to a model: the probability of each of its tokens, given those before it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.probability.reading import Reading, read, read_texts
from gptcli.system.answer import MaybeInfinite, left_out
from gptcli.system.result import Result

# exp of more overflows a float.
_MOST_NATS = 709.0
# Texts scored at a time: their tokens, and how many. Enough to fill batches, few enough to answer soon.
_TOKENS_AT_ONCE, _TEXTS_AT_ONCE = 1024, 256


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
class Score(Result):
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
        file: that the text is from; None: an argument or a pipe.
        line: where the text stands there, from 1, with --lines.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.score/1"
    table: ClassVar[str] = "tokens"

    model: str
    tokens: list[TokenScore]
    scored: int
    scored_bytes: int
    logprob: float
    bits_per_token: MaybeInfinite
    bits_per_byte: MaybeInfinite
    perplexity: MaybeInfinite
    context: int
    stride: int
    file: str | None = left_out()
    line: int | None = left_out()
    changes: list[str] | None = left_out()


@dataclass(frozen=True)
class Summary:
    """The totals of a text.

    Attributes:
        model: its name.
        text: the text.
        n_tokens: how many it has.
        scored: how many of them have a probability.
        logprob: natural logarithm of the probability of all of them together.
        bits: their surprisal together.
        bits_per_token: on average.
        bits_per_byte: the same for each byte of their text.
        perplexity: 2 to the power of ``bits_per_token``.
        file: that the text is from; None: an argument or a pipe.
        line: where the text stands there, from 1, with --lines.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.score.summary/1"
    table: ClassVar[str] = ""

    model: str
    text: str
    n_tokens: int
    scored: int
    logprob: float
    bits: float
    bits_per_token: MaybeInfinite
    bits_per_byte: MaybeInfinite
    perplexity: MaybeInfinite
    file: str | None = left_out()
    line: int | None = left_out()
    changes: list[str] | None = left_out()


def summary(score: Score, text: str) -> Summary:
    """The totals of a text that was scored."""
    return Summary(
        model=score.model,
        text=text,
        n_tokens=len(score.tokens),
        scored=score.scored,
        logprob=score.logprob,
        bits=max(0.0, -score.logprob / math.log(2)),
        bits_per_token=score.bits_per_token,
        bits_per_byte=score.bits_per_byte,
        perplexity=score.perplexity,
        file=score.file,
        line=score.line,
        changes=score.changes,
    )


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
            first window that holds it, and has at least context - stride tokens before it. The whole context: windows
            do not overlap, but for one token, which is before the first one that is scored.
        progress: called with the tokens that are done, and all.

    Raises:
        InputError: there are fewer than two tokens to read, or the stride does not fit into the context.
    """
    scorer = _Scorer(checkpoint, bos, stride)
    ids = scorer.ids_of(text)
    if len(ids) < 2:
        raise InputError("there is nothing to score: it takes two tokens, or one and --bos")
    return scorer.sum_up(ids, scorer.windows(ids, progress))


def score_each(
    checkpoint: OpenCheckpoint, texts: Iterable[str | None], *, bos: bool = False, stride: int | None = None
) -> Iterator[Score]:
    """Score texts, many in a batch: a thousand short ones take about as long as one of their length.

    Args:
        checkpoint, bos, stride: see ``score``.
        texts: to score; they are taken some at a time. At a None those that were taken are scored.

    Yields:
        The score of each, in order. Where nothing can be scored, ``scored`` is 0, and the averages are NaN.

    Raises:
        InputError: the stride does not fit, or a text has a token that the model lacks.
    """
    scorer = _Scorer(checkpoint, bos, stride)
    waiting: list[list[int]] = []
    for text in texts:
        if text is not None:
            waiting.append(scorer.ids_of(text))
        if text is None or sum(map(len, waiting)) >= _TOKENS_AT_ONCE or len(waiting) == _TEXTS_AT_ONCE:
            yield from scorer.scores(waiting)
            waiting = []
    yield from scorer.scores(waiting)


class _Scorer:
    """What the scores of several texts share."""

    def __init__(self, checkpoint: OpenCheckpoint, bos: bool, stride: int | None) -> None:
        self._checkpoint, self._bos = checkpoint, bos
        self.context = checkpoint.config.n_positions
        if self.context < 2:
            raise InputError("the model's context is one token, and scoring takes one before each")
        self._stride = max(self.context // 2, 1) if stride is None else stride
        if not 1 <= self._stride <= self.context:
            raise InputError(
                f"--stride {self._stride}: it must be from 1 to {self.context:,}, the context of the model"
            )
        # The first token of a window has nothing before it, so windows that do not overlap share one token.
        self._step = max(min(self._stride, self.context - 1), 1)
        self._engine = checkpoint.another_engine() if checkpoint.changes is None else None

    def ids_of(self, text: str) -> list[int]:
        """What the model reads."""
        return self._checkpoint.encode_prompt(text, bos=self._bos) if text else []

    def scores(self, texts: Sequence[list[int]]) -> Iterator[Score]:
        """The scores of some texts."""
        short = [ids for ids in texts if 2 <= len(ids) <= self.context]
        # What is changed in a model refers to one text: no batches then.
        read = iter([] if self._engine is None else read_texts(self._engine, short, self._checkpoint.n_vocab))
        for ids in texts:
            if len(ids) < 2:
                yield self.sum_up(ids, ())
            elif len(ids) <= self.context and self._engine is not None:
                yield self.sum_up(ids, next(read)[:-1])
            else:
                yield self.sum_up(ids, self.windows(ids))

    def sum_up(self, ids: Sequence[int], readings: Iterable[Reading]) -> Score:
        """The score of a text, by what the model expected before each of its tokens but the first."""
        first, logprob = (0 if self._bos else 1), 0.0  # <|endoftext|> is no part of the text
        tokens = [] if self._bos else [_token(self._checkpoint, first, token, None) for token in ids[:1]]
        for position, (token, reading) in enumerate(zip(ids[1:], readings, strict=True), start=first + 1):
            tokens.append(_token(self._checkpoint, position, token, reading))
            logprob += reading.next_logprob or 0.0
        made = _sum_up(self._checkpoint.name, tokens, -logprob, self.context, self._stride)
        return replace(made, changes=self._checkpoint.told_changes)

    def windows(
        self, ids: Sequence[int], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[Reading]:
        """What the model expected before each token but the first: [len(ids) - 1]."""
        engine, count = self._engine or self._checkpoint.engine_for(ids), 0
        for start in range(0, len(ids), self._step):
            window = ids[start : start + self.context]
            known = count - start  # already scored in an earlier window
            readings = read(engine, window, self._checkpoint.n_vocab, known)[:-1]
            yield from readings
            count += len(readings)
            progress(count + 1, len(ids))
            if start + self.context >= len(ids):
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
        bits_per_token=bits / len(scored) if scored else math.nan,
        bits_per_byte=bits / max(n_bytes, 1) if scored else math.nan,
        perplexity=_perplexity(nats / len(scored)) if scored else math.nan,
        context=context,
        stride=stride,
    )


def _perplexity(nats: float) -> float:
    return math.exp(nats) if nats < _MOST_NATS else math.inf


def reread(tokens: int, context: int, stride: int) -> int:
    """The tokens of a text that are read once more than once, by windows that overlap (see ``score``).

    Args:
        tokens: of the text.
        context: tokens of a window.
        stride: by which it moves.
    """
    step = max(min(stride, context - 1), 1)
    windows = max(-(-(tokens - context) // step), 0)  # after the first
    return windows * (context - step)

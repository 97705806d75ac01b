"""The result of ``gptcli logits``: the distribution of the next token, or of each token of the prompt."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.probability.distribution import Distribution, Guess, distribution, watched_ids
from gptcli.probability.reading import Reading, check_fits, last_logits, read
from gptcli.sampling.settings import Sampling
from gptcli.system.answer import left_out, row_of
from gptcli.system.result import Result
from gptcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Prompts read at a time: their tokens, and how many.
_TOKENS_AT_ONCE, _PROMPTS_AT_ONCE = 1024, 64


@dataclass(frozen=True)
class NextToken(Result):
    """The distributions of the token after a prompt.

    Attributes:
        model: its name.
        prompt: the text.
        prompt_ids: its tokens.
        n_vocab: how many tokens there are to choose from.
        n_positions: how many tokens the model can read.
        distributions: one for each temperature.
        file: that the prompt is from; None: an argument or a pipe.
        line: where the prompt stands there, from 1, with --lines.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.logits/1"

    model: str
    prompt: str
    prompt_ids: list[int]
    n_vocab: int
    n_positions: int
    distributions: list[Distribution]
    file: str | None = left_out()
    line: int | None = left_out()
    changes: list[str] | None = left_out()

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each candidate at each temperature, and for each watched token that is none."""
        for shown in self.distributions:
            for each in [*shown.candidates, *(one for one in shown.watched if one not in shown.candidates)]:
                yield {"temperature": shown.temperature, **row_of(each)}


@dataclass(frozen=True)
class Following:
    """The token that came next.

    Attributes:
        id: in the vocabulary.
        token: the bytes it stands for.
        probability: that the model gave it, from 0 to 1.
        rank: 1 is the most probable.
    """

    id: int
    token: bytes
    probability: float
    rank: int


@dataclass(frozen=True)
class Position:
    """One position of a prompt: what the model expected next, and what came.

    Attributes:
        position: from 1.
        id: of the token there.
        token: the bytes it stands for.
        best: the most probable next token.
        next: the token that came next; None at the end.
        entropy_bits: how undecided the model was, in bits.
    """

    position: int
    id: int
    token: bytes
    best: Guess
    next: Following | None
    entropy_bits: float


@dataclass(frozen=True)
class Positions(Result):
    """What the model expected at each position of a prompt.

    Attributes:
        model: its name.
        prompt: the text.
        prompt_ids: its tokens.
        positions: in order.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.logits.all-positions/1"
    table: ClassVar[str] = "positions"

    model: str
    prompt: str
    prompt_ids: list[int]
    positions: list[Position]
    changes: list[str] | None = left_out()


def next_token(
    checkpoint: OpenCheckpoint,
    prompt: str,
    sampling: Sampling,
    *,
    temperatures: Sequence[float],
    top: int,
    watch: Sequence[str] = (),
) -> NextToken:
    """The distribution of the token after a prompt, at each temperature.

    Raises:
        InputError: the prompt does not fit into the context, a temperature is out of range, or a watched word is empty.
    """
    return next(next_token_each(checkpoint, [prompt], sampling, temperatures=temperatures, top=top, watch=watch))


def next_token_each(
    checkpoint: OpenCheckpoint,
    prompts: Iterable[str | None],
    sampling: Sampling,
    *,
    temperatures: Sequence[float],
    top: int,
    watch: Sequence[str] = (),
) -> Iterator[NextToken]:
    """The distribution of the token after each prompt, many read in a batch; at a None those that were taken are read.

    Raises:
        InputError: see ``next_token``.
    """
    samplings = [sampling.changed(temperature=temperature) for temperature in temperatures]
    n_vocab, context = checkpoint.n_vocab, checkpoint.config.n_positions
    # What is changed in a model refers to one text: no batches then.
    engine = checkpoint.another_engine() if checkpoint.changes is None else None
    most = 1 if engine is None else _PROMPTS_AT_ONCE
    waiting: list[tuple[str, list[int], list[int]]] = []

    def answers() -> Iterator[NextToken]:
        if not waiting:
            return
        texts = [ids for _, ids, _ in waiting]
        last = last_logits(checkpoint.engine_for(texts[0]) if engine is None else engine, texts, n_vocab)
        for (prompt, ids, watched), logits in zip(waiting, last, strict=True):
            described = [
                distribution(logits, checkpoint.tokenizer, each, top=top, watch=watched, seen=ids) for each in samplings
            ]
            changes = checkpoint.told_changes
            yield NextToken(checkpoint.name, prompt, ids, n_vocab, context, described, changes=changes)
        waiting.clear()

    for prompt in prompts:
        if prompt is None:
            yield from answers()
            continue
        ids = checkpoint.encode_prompt(prompt)
        check_fits(ids, context)
        waiting.append((prompt, ids, watched_ids(checkpoint.tokenizer, watch, prompt, n_vocab)))
        if sum(len(each) for _, each, _ in waiting) >= _TOKENS_AT_ONCE or len(waiting) >= most:
            yield from answers()
    yield from answers()


def logits_after(checkpoint: OpenCheckpoint, ids: Sequence[int]) -> "NDArray[np.float32]":
    """The logits of the token after these: [V].

    Raises:
        InputError: they do not fit into the context.
    """
    logits: NDArray[np.float32] = last_logits(checkpoint.engine_for(list(ids)), [ids], checkpoint.n_vocab)[0]
    return logits


def all_positions(checkpoint: OpenCheckpoint, prompt: str) -> Positions:
    """What the model expected at each position of a prompt.

    Raises:
        InputError: the prompt does not fit into the context.
    """
    ids = checkpoint.encode_prompt(prompt)
    readings = read(checkpoint.engine_for(ids), ids, checkpoint.n_vocab)
    positions = [_position(checkpoint.tokenizer, number, reading) for number, reading in enumerate(readings, start=1)]
    return Positions(checkpoint.name, prompt, ids, positions, checkpoint.told_changes)


def _position(tokenizer: Tokenizer, number: int, reading: Reading) -> Position:
    text, came = tokenizer.token_bytes, None
    if reading.next is not None and reading.next_probability is not None and reading.next_rank is not None:
        came = Following(reading.next, text(reading.next), reading.next_probability, reading.next_rank)
    best = Guess(reading.best, text(reading.best), reading.best_probability)
    return Position(number, reading.id, text(reading.id), best, came, reading.entropy_bits)

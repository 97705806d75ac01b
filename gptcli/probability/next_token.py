"""The result of ``gptcli logits``: the distribution of the next token, or of each token of the prompt."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.probability.distribution import Distribution, distribution, watched_ids
from gptcli.probability.reading import check_fits, last_logits, read
from gptcli.sampling.settings import Sampling

# Prompts read at a time: their tokens, and how many.
_TOKENS_AT_ONCE, _PROMPTS_AT_ONCE = 1024, 64


@dataclass(frozen=True)
class NextToken:
    """The distributions of the token after a prompt.

    Attributes:
        model: its name.
        prompt: the text.
        prompt_ids: its tokens.
        vocabulary: how many tokens there are to choose from.
        context: how many tokens the model can read.
        distributions: one for each temperature.
        file, line: where the prompt stands, with the line from 1; None: neither was asked for.
    """

    model: str
    prompt: str
    prompt_ids: list[int]
    vocabulary: int
    context: int
    distributions: list[Distribution]
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Guess:
    """One position of a prompt: what the model expected next, and what came.

    Attributes:
        position: from 0.
        id, token: the token there.
        best_id, best_token, best_probability: the most probable next token.
        next_id, next_token, next_probability, next_rank: the token that came next; None at the end.
        entropy_bits: how undecided the model was.
    """

    position: int
    id: int
    token: bytes
    best_id: int
    best_token: bytes
    best_probability: float
    next_id: int | None
    next_token: bytes | None
    next_probability: float | None
    next_rank: int | None
    entropy_bits: float


@dataclass(frozen=True)
class Positions:
    """What the model expected at each position of a prompt."""

    model: str
    prompt: str
    prompt_ids: list[int]
    positions: list[Guess]


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
    prompts: Iterable[str],
    sampling: Sampling,
    *,
    temperatures: Sequence[float],
    top: int,
    watch: Sequence[str] = (),
) -> Iterator[NextToken]:
    """The distribution of the token after each prompt, many read in a batch.

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
            yield NextToken(checkpoint.name, prompt, ids, n_vocab, context, described)
        waiting.clear()

    for prompt in prompts:
        ids = checkpoint.encode_prompt(prompt)
        check_fits(ids, context)
        waiting.append((prompt, ids, watched_ids(checkpoint.tokenizer, watch, prompt, n_vocab)))
        if sum(len(each) for _, each, _ in waiting) >= _TOKENS_AT_ONCE or len(waiting) >= most:
            yield from answers()
    yield from answers()


def all_positions(checkpoint: OpenCheckpoint, prompt: str) -> Positions:
    """What the model expected at each position of a prompt.

    Raises:
        InputError: the prompt does not fit into the context.
    """
    ids = checkpoint.encode_prompt(prompt)

    text = checkpoint.tokenizer.token_bytes
    guesses = [
        Guess(
            position=position,
            id=reading.id,
            token=text(reading.id),
            best_id=reading.best,
            best_token=text(reading.best),
            best_probability=reading.best_probability,
            next_id=reading.next,
            next_token=None if reading.next is None else text(reading.next),
            next_probability=reading.next_probability,
            next_rank=reading.next_rank,
            entropy_bits=reading.entropy_bits,
        )
        for position, reading in enumerate(read(checkpoint.engine_for(ids), ids, checkpoint.n_vocab))
    ]
    return Positions(checkpoint.name, prompt, ids, guesses)

"""The result of ``gptcli logits``: the distribution of the next token, or of each token of the prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.probability.distribution import Distribution, distribution, watched_ids
from gptcli.probability.reading import next_logits, read
from gptcli.sampling.settings import Sampling


@dataclass(frozen=True)
class NextToken:
    """The distributions of the token after a prompt.

    Attributes:
        model: its name.
        prompt: the text.
        prompt_ids: its tokens.
        vocabulary: how many tokens there are to choose from.
        distributions: one for each temperature.
    """

    model: str
    prompt: str
    prompt_ids: list[int]
    vocabulary: int
    distributions: list[Distribution]


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
    ids = checkpoint.encode_prompt(prompt)
    watched = watched_ids(checkpoint.tokenizer, watch, prompt, checkpoint.n_vocab)
    samplings = [sampling.changed(temperature=temperature) for temperature in temperatures]
    logits = next_logits(checkpoint.engine_for(ids), ids, checkpoint.n_vocab)
    described = [
        distribution(logits, checkpoint.tokenizer, each, top=top, watch=watched, seen=ids) for each in samplings
    ]
    return NextToken(checkpoint.name, prompt, ids, checkpoint.n_vocab, described)


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

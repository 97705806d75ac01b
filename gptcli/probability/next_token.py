"""The result of ``gptcli logits``: the distribution of the next token, or of each token of the prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.probability.distribution import Distribution, Guess, distribution, watched_ids
from gptcli.probability.reading import Reading, next_logits, read
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer


@dataclass(frozen=True)
class NextToken:
    """The distributions of the token after a prompt.

    Attributes:
        model: its name.
        prompt: the text.
        prompt_ids: its tokens.
        n_vocab: how many tokens there are to choose from.
        distributions: one for each temperature.
    """

    schema: ClassVar[str] = "gptcli.logits/1"

    model: str
    prompt: str
    prompt_ids: list[int]
    n_vocab: int
    distributions: list[Distribution]


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
class Positions:
    """What the model expected at each position of a prompt.

    Attributes:
        model: its name.
        prompt: the text.
        prompt_ids: its tokens.
        positions: in order.
    """

    schema: ClassVar[str] = "gptcli.logits.all-positions/1"

    model: str
    prompt: str
    prompt_ids: list[int]
    positions: list[Position]


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
    readings = read(checkpoint.engine_for(ids), ids, checkpoint.n_vocab)
    positions = [_position(checkpoint.tokenizer, number, reading) for number, reading in enumerate(readings, start=1)]
    return Positions(checkpoint.name, prompt, ids, positions)


def _position(tokenizer: Tokenizer, number: int, reading: Reading) -> Position:
    text, came = tokenizer.token_bytes, None
    if reading.next is not None and reading.next_probability is not None and reading.next_rank is not None:
        came = Following(reading.next, text(reading.next), reading.next_probability, reading.next_rank)
    best = Guess(reading.best, text(reading.best), reading.best_probability)
    return Position(number, reading.id, text(reading.id), best, came, reading.entropy_bits)

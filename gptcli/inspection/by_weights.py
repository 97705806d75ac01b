"""What ``gptcli head`` shows: a head by its weights. (``head_scan`` has all heads of a model.)"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.read import Checkpoint
from gptcli.errors import InputError
from gptcli.inspection.circuits import Circuits, Distances, HeadWeights, by_distance, equal_tokens, own_ranks
from gptcli.inspection.head_label import HeadLabel
from gptcli.inspection.head_sample import Labels, check_distance, layers_alone, named_from, sample
from gptcli.inspection.place_text import parse
from gptcli.inspection.stream import Floats, StreamWeights
from gptcli.inspection.token_scores import TokenScore
from gptcli.model.config import GPTConfig
from gptcli.system.answer import row_of
from gptcli.system.result import Result
from gptcli.text import clipped, quoted
from gptcli.tokenizer.token import Token

# Tokens of a head that are listed where none are asked for.
_EXAMPLES = 6
_WORD = re.compile(rb" [A-Za-z]{4,}")


@dataclass(frozen=True)
class Seen:
    """What a head writes when it looks at a token, beyond what it writes for any.

    Attributes:
        id: of the token.
        token: its bytes.
        rank: of its own logit among those of all tokens; 1 is the top.
        raises: the tokens whose logits it raises most, in a unit that the weights leave open.
        lowers: those that it lowers most.
    """

    id: int
    token: bytes
    rank: int
    raises: list[TokenScore]
    lowers: list[TokenScore]


@dataclass(frozen=True)
class Moves:
    """The OV circuit of a head.

    Attributes:
        copying_score: the sum of the eigenvalues of W_U W_O W_V X over the sum of their absolute values, where X are
            the sampled tokens: 1 for a head that raises what it sees, -1 for one that lowers it (Elhage et al. 2021).
        copied: the share of sampled tokens that raise themselves above every other token of the vocabulary.
        among_five: the share that are among the five which they raise most (the copy score of Wang et al. 2022).
        median_rank: of a token's own logit, over the sample.
        always: what it writes whatever it sees: for the mean of the sample.
        seen: some tokens, and what they raise and lower beyond that.
    """

    copying_score: float
    copied: float
    among_five: float
    median_rank: float
    always: list[TokenScore]
    seen: list[Seen]


@dataclass(frozen=True)
class Looking:
    """What a token looks for.

    Attributes:
        id: of the token that looks.
        token: its bytes.
        rank: of the same token among the sampled ones that it matches; 1 is the top.
        matches: the sampled tokens that it matches best, by scaled score less the mean over the sample.
    """

    id: int
    token: bytes
    rank: int
    matches: list[TokenScore]


@dataclass(frozen=True)
class Looks:
    """The QK circuit of a head, without the layers between and without learned positions.

    Attributes:
        distance: from the query to the key in positions, where positions are rotary; None: it does not matter.
        matching_score: as ``Moves.copying_score``, of X^T W_Q^T W_K X: 1 for a head that looks for the same token.
        matched: the share of sampled tokens that match themselves best of the sample.
        median_rank: of a token among those that it matches, over the sample.
        always: what the mean of the queries matches.
        looking: some tokens, and what each matches.
    """

    distance: int | None
    matching_score: float
    matched: float
    median_rank: float
    always: list[TokenScore]
    looking: list[Looking]


@dataclass(frozen=True)
class HeadView(Result):
    """A head by its weights.

    Attributes:
        model: its name.
        layer: from 1.
        head: from 1.
        key_head: the head whose keys and values it shares with others, from 1; None where it has its own.
        shared_with: the heads that share them, from 1; empty where it has its own.
        window: how many of the latest positions it sees, its own included; None for all.
        sampled: on how many tokens shares are measured.
        n_vocab: how many there are.
        through: how many of the first layers each token goes through alone before this head's layer reads it.
        moves: what it writes for a token that it looks at.
        looks: which tokens a token looks at.
        distances: what positions alone make of its attention.
        label: what it does in a run on random tokens that come twice; None where that was not measured.
        named_from: the score from which such a head has a name; None as ``label``.
    """

    schema: ClassVar[str] = "gptcli.head/1"

    model: str
    layer: int
    head: int
    key_head: int | None
    shared_with: list[int]
    window: int | None
    sampled: int
    n_vocab: int
    through: int
    moves: Moves
    looks: Looks
    distances: Distances
    label: HeadLabel | None
    named_from: float | None

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each token that the head raises or lowers for a token, and that a token matches."""
        listed: list[tuple[str, Seen | Looking, list[TokenScore]]] = []
        for seen in self.moves.seen:
            listed += [("raises", seen, seen.raises), ("lowers", seen, seen.lowers)]
        listed += [("matches", looking, looking.matches) for looking in self.looks.looking]
        for what, of, tokens in listed:
            for each in tokens:
                yield {"what": what, **row_of(Token(of.id, of.token), "for."), **row_of(each)}


def view_head(
    checkpoint: Checkpoint,
    place: str,
    *,
    words: Sequence[str] = (),
    top: int = 8,
    distance: int = 1,
    sampled: int = 1000,
    through: int | None = None,
    labels: Labels | None = None,
) -> HeadView:
    """A head by its weights.

    Args:
        checkpoint: the model; its files are read, and it is not run.
        place: ``4.1``: layer and head, from 1.
        words: tokens to list, as they stand inside a sentence; none: those for which the head raises another most.
        top: how many tokens to list for each.
        distance: from a query back to the key, in positions, for rotary positions.
        sampled: on how many frequent tokens shares are measured; 0: on all.
        through: how many of the first layers each token goes through alone; None: the first one, where the head is not
            in it.
        labels: measures the kinds of all heads in a run (``heads.label_heads``); None: not measured.

    Raises:
        ExpressionError, InputError: there is no such head, word, distance or layer.
        CheckpointError: the files changed, or hold NaN.
    """
    config = checkpoint.config
    layer, head = one_place(place, config, "head")
    through = layers_alone(through, layer, config)
    check_distance(distance, config)
    stream = StreamWeights(checkpoint)
    ids = sample(stream, sampled)
    given = [_word_id(stream, word) for word in words]
    ids = sorted({*ids, *given})
    entered = stream.embedded(ids)
    read = stream.read_by(layer - 1, "attention", stream.alone(through, entered), through)
    weights = HeadWeights(stream, layer - 1, head - 1)
    circuits = Circuits(stream, weights, ids, read, distance)
    ((ranks, strengths),) = own_ranks([circuits])
    chosen = [ids.index(each) for each in given] or _examples(circuits, strengths)
    named = labels() if labels is not None else None
    return HeadView(
        model=checkpoint.name,
        layer=layer,
        head=head,
        key_head=None if config.key_head(head - 1) is None else weights.key_head + 1,
        shared_with=[each + 1 for each in range(config.n_head) if config.key_head(each) == weights.key_head],
        window=config.window(layer - 1),
        sampled=len(ids),
        n_vocab=int(stream.used.sum()),
        through=through,
        moves=_moves(circuits, ranks, chosen, top),
        looks=_looks(circuits, chosen, top),
        distances=by_distance(stream, weights, equal_tokens(stream, layer - 1, entered.mean(0), through)),
        label=None if named is None else named[layer - 1][head - 1],
        named_from=named_from(named is not None),
    )


def one_place(text: str, config: GPTConfig, bare: Literal["head", "neuron"]) -> tuple[int, int]:
    """Read a single head or neuron, as ``4.1``: its layer and its number, from 1.

    Raises:
        ExpressionError: it does not follow the grammar of places, or the model has no such place.
        InputError: it is another place, several places, or has positions.
    """
    place = parse(text, bare=bare)
    located = place.within(config)
    each = list(located.each())
    if located.kind != bare or len(each) != 1 or place.positions is not None:
        raise InputError(f"'{clipped(text)}': write one {bare}, such as {'3.117' if bare == 'neuron' else '4.1'}")
    layer, member = each[0]
    assert member is not None
    return layer, member


def _word_id(stream: StreamWeights, word: str) -> int:
    """The one token of a word as it stands inside a sentence, or as typed."""
    tokenizer = stream.checkpoint.tokenizer
    if not word.strip():
        raise InputError("--token: there is no word")
    for text in (word if word[0].isspace() else f" {word}", word):
        ids = tokenizer.encode(text)
        if len(ids) == 1 and ids[0] < stream.n_vocab:
            return ids[0]
    raise InputError(f"--token {quoted(word, 60)} is {len(ids)} tokens: give a word that is one")


def _examples(circuits: Circuits, strengths: Floats) -> list[int]:
    """Where none are asked for: whole words, those for which the head raises another token most."""
    order = np.argsort(-strengths, kind="stable").tolist()
    words = [place for place in order if _WORD.fullmatch(_named(circuits, place)[1])]
    return (words if len(words) >= _EXAMPLES else order)[:_EXAMPLES]


def _moves(circuits: Circuits, ranks: NDArray[np.int64], chosen: Sequence[int], top: int) -> Moves:
    """The OV circuit; ``chosen`` are tokens to list, by their place in the sample."""
    stream = circuits.stream
    (always, _), *listed = stream.raised(np.vstack([circuits.mean, circuits.values[list(chosen)]]) @ circuits.out, top)
    return Moves(
        copying_score=circuits.copying_score(),
        copied=float((ranks == 1).mean()),
        among_five=float((ranks <= 5).mean()),
        median_rank=float(np.median(ranks)),
        always=always,
        seen=[
            Seen(*_named(circuits, place), int(ranks[place]), raises, lowers)
            for place, (raises, lowers) in zip(chosen, listed, strict=True)
        ],
    )


def _looks(circuits: Circuits, chosen: Sequence[int], top: int) -> Looks:
    """The QK circuit; ``chosen`` as for ``_moves``."""
    stream, ranks, scores = circuits.stream, circuits.match_ranks(), circuits.matches(chosen)

    def best(row: Floats) -> list[TokenScore]:
        order = np.argsort(-row, kind="stable")[:top]
        return stream.tokens(circuits.ids[order].tolist(), row[order].tolist())

    return Looks(
        distance=circuits.distance if stream.config.rotary_table(circuits.head.layer) is not None else None,
        matching_score=circuits.matching_score(),
        matched=float((ranks == 1).mean()),
        median_rank=float(np.median(ranks)),
        always=best(circuits.mean_matches()),
        looking=[
            Looking(*_named(circuits, place), int(ranks[place]), best(row))
            for place, row in zip(chosen, scores, strict=True)
        ],
    )


def _named(circuits: Circuits, place: int) -> tuple[int, bytes]:
    """The id and the bytes of a sampled token."""
    token = int(circuits.ids[place])
    return token, circuits.stream.checkpoint.tokenizer.token_bytes(token)

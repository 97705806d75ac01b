"""The logit lens: what the model would predict if it stopped after each layer (nostalgebraist 2020).

The residual stream after every layer goes through the final norm and the unembedding, as after the last layer. At the
last layer that is the model's own prediction.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import OverflowedError
from gptcli.inspection.contribution import Attribution
from gptcli.probability.distribution import Guess, watched_ids
from gptcli.probability.reading import check_fits, rank_of
from gptcli.sampling.softmax import log_softmax
from gptcli.system.answer import left_out, row_of
from gptcli.system.result import Result
from gptcli.tokenizer.token import Token, tokens_of

if TYPE_CHECKING:
    from gptcli.inspection.record import Record
    from gptcli.model.native.engine import NativeEngine
    from gptcli.model.native.record import Part

Floats = NDArray[np.float64]
# Positions unembedded at a time: 64 x 50,257 numbers of eight bytes are 26 MB, and there are several of them.
_ROWS = 64


@dataclass(frozen=True)
class Stage:
    """The lens after one layer, or between its attention and MLP.

    Attributes:
        layer: how many layers the stream has been through; 0 is the embedding.
        sublayer: ``attention`` between a layer's attention and its MLP, ``layer`` after both, ``embedding``.
        guesses: one for each position.
    """

    layer: int
    sublayer: str
    guesses: list[Guess]


@dataclass(frozen=True)
class Track:
    """One token through the layers, after the last position.

    Attributes:
        id: in the vocabulary.
        token: the bytes it stands for.
        ranks: at each stage; 1 is the most probable.
        probabilities: at each stage.
    """

    id: int
    token: bytes
    ranks: list[int]
    probabilities: list[float]


@dataclass(frozen=True)
class Lens(Result):
    """The predictions for a prompt after every layer.

    Attributes:
        model: its name.
        prompt: the text.
        tokens: its tokens.
        n_vocab: how many tokens there are to choose from.
        stages: the embedding, then each layer; the last stage is the model's prediction.
        decided: for each position the first stage from which the final guess stays the best one: its index in
            ``stages``, 0 for the embedding.
        tracks: of the prediction after the last position, or of the requested tokens.
        asked: whether tokens were requested.
        parallel: whether attention and MLP read the same input, so that no part of the model reads the sum between
            them.
        attribution: of the logits of ``tracks``, if requested.
        changes: what was changed in the model, as typed; None: nothing.
    """

    schema: ClassVar[str] = "gptcli.lens/1"

    model: str
    prompt: str
    tokens: list[Token]
    n_vocab: int
    stages: list[Stage]
    decided: list[int]
    tracks: list[Track]
    asked: bool
    parallel: bool
    attribution: list[Attribution] = field(default_factory=list)
    changes: list[str] | None = left_out()

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """With attribution a row for each part of each logit; else for each position at each stage."""
        if self.attribution:
            for each in self.attribution:
                logit = {name: value for name, value in row_of(each).items() if name in ("id", "token", "bytes")}
                for part in each.contributions:
                    yield logit | row_of(part)
            return
        for stage in self.stages:
            for position, guess in enumerate(stage.guesses, start=1):
                yield {"layer": stage.layer, "sublayer": stage.sublayer, "position": position, **row_of(guess)}


def lens(
    checkpoint: OpenCheckpoint,
    prompt: str,
    *,
    sublayers: bool = False,
    words: Sequence[str] = (),
    attribution: bool = False,
) -> "tuple[Lens, Record | None]":
    """The best guess of every layer for a prompt.

    Args:
        checkpoint: the model and its tokenizer.
        prompt: the text.
        sublayers: also between attention and MLP.
        words: follow the first tokens of these instead of the prediction.
        attribution: record the run of the PyTorch model, for ``attribute``.

    Returns:
        The lens, and the recorded run; None where the engine in C did it and no run was asked for.

    Raises:
        InputError: the prompt does not fit into the context, or a word is empty.
    """
    ids = checkpoint.encode_prompt(prompt)
    check_fits(ids, checkpoint.config.n_positions)
    wanted = watched_ids(checkpoint.tokenizer, words, prompt, checkpoint.n_vocab, "--token")
    text = checkpoint.tokenizer.token_bytes
    lacks = sublayers and checkpoint.config.post_norm  # what stands between its norms is not recorded in C
    engine = None if attribution or lacks else checkpoint.native_for(ids)
    run = None
    if engine is not None:
        each_stage = _native_stages(engine, ids, checkpoint.n_vocab, sublayers=sublayers)
    else:
        run = _recorded(checkpoint, ids)
        each_stage = _stages(checkpoint, run, sublayers=sublayers)
    stages, last = [], []
    for layer, sublayer, pieces in each_stage:
        guesses: list[Guess] = []
        for logprobs in pieces:
            best = logprobs.argmax(-1).tolist()
            each = zip(best, np.exp(logprobs.max(-1)).tolist(), strict=True)
            guesses += [Guess(token, text(token), probability) for token, probability in each]
        stages.append(Stage(layer, sublayer, guesses))
        last.append(logprobs[-1].copy())
    answer = stages[-1].guesses[-1].id
    tracks = [
        Track(token, text(token), [rank_of(row, token) for row in last], [math.exp(row[token]) for row in last])
        for token in wanted or [answer]
    ]
    return (
        Lens(
            model=checkpoint.name,
            prompt=prompt,
            tokens=tokens_of(checkpoint.tokenizer, ids),
            n_vocab=checkpoint.n_vocab,
            stages=stages,
            decided=[decided_at([stage.guesses[index].id for stage in stages]) for index in range(len(ids))],
            tracks=tracks,
            asked=bool(wanted),
            parallel=checkpoint.config.parallel_residual,
            changes=checkpoint.told_changes,
        ),
        run,
    )


def _recorded(checkpoint: OpenCheckpoint, ids: Sequence[int]) -> "Record":
    """The run of the PyTorch model."""
    from gptcli.inspection.record import record

    return record(checkpoint.model, ids, checkpoint.changes)


_Stages = Iterator[tuple[int, str, Iterator[Floats]]]
"""For each stage the layer, the sublayer, and log-probabilities [rows, n_vocab], some positions at a time."""


def _stages(checkpoint: OpenCheckpoint, run: "Record", *, sublayers: bool) -> _Stages:
    from gptcli.inspection.stages import stage_logprobs, streams

    model, n_vocab = checkpoint.model, checkpoint.n_vocab
    for layer, sublayer, states in streams(run, model, sublayers=sublayers):
        parts = (states[start : start + _ROWS] for start in range(0, len(run.ids), _ROWS))
        yield layer, sublayer, (stage_logprobs(model, some, n_vocab).numpy() for some in parts)


def _native_stages(engine: "NativeEngine", ids: Sequence[int], n_vocab: int, *, sublayers: bool) -> _Stages:
    wanted: list[Part] = ["attention"] if sublayers else []
    seen = engine.record(ids, parts=wanted)
    for layer, after in enumerate(seen.stream):
        stages = [("layer" if layer else "embedding", after)]
        if sublayers and layer:
            stages.insert(0, ("attention", seen.stream[layer - 1] + seen.parts["attention"][layer - 1]))
        for sublayer, rows in stages:
            pieces = (rows[start : start + _ROWS] for start in range(0, len(ids), _ROWS))
            yield layer, sublayer, (log_softmax(_finite(engine.unembed(some)[:, :n_vocab])) for some in pieces)


def _finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits).all():
        raise OverflowedError
    return logits


def decided_at(best: Sequence[int]) -> int:
    """The first index from which the last entry stays: ``[3, 7, 5, 7, 7]`` -> 3."""
    index = len(best) - 1
    while index and best[index - 1] == best[-1]:
        index -= 1
    return index

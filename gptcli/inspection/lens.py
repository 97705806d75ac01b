"""The logit lens: what the model would predict if it stopped after each layer (nostalgebraist 2020).

The residual stream after every layer goes through the final norm and the unembedding, as after the last layer. At the
last layer that is the model's own prediction.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import OverflowedError
from gptcli.inspection.attribution import Attribution
from gptcli.inspection.record import Record, record
from gptcli.model.gpt import GPT
from gptcli.probability.distribution import Guess, watched_ids
from gptcli.probability.reading import rank_of
from gptcli.system.answer import left_out, row_of
from gptcli.system.result import Result
from gptcli.tokenizer.token import Token, tokens_of

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
    checkpoint: OpenCheckpoint, prompt: str, *, sublayers: bool = False, words: Sequence[str] = ()
) -> tuple[Lens, Record]:
    """The best guess of every layer for a prompt.

    Args:
        checkpoint: the model and its tokenizer.
        prompt: the text.
        sublayers: also between attention and MLP.
        words: follow the first tokens of these instead of the prediction.

    Returns:
        The lens, and the recorded run.

    Raises:
        InputError: the prompt does not fit into the context, or a word is empty.
    """
    ids = checkpoint.encode_prompt(prompt)
    wanted = watched_ids(checkpoint.tokenizer, words, prompt, checkpoint.n_vocab, "--token")
    run = record(checkpoint.model, ids, checkpoint.changes)
    text = checkpoint.tokenizer.token_bytes
    stages, last = [], []
    for layer, sublayer, stream in streams(run, checkpoint.model, sublayers=sublayers):
        guesses: list[Guess] = []
        for some in torch.split(stream, _ROWS):
            logprobs = stage_logprobs(checkpoint.model, some, checkpoint.n_vocab)
            best, token = logprobs.max(-1)
            guesses += [
                Guess(int(each), text(int(each)), float(p)) for each, p in zip(token, best.exp().tolist(), strict=True)
            ]
        stages.append(Stage(layer, sublayer, guesses))
        last.append(logprobs[-1].numpy().copy())
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


def streams(run: Record, model: GPT, *, sublayers: bool = False) -> Iterator[tuple[int, str, Tensor]]:
    """The residual stream at each stage: layer, sublayer, [T, C].

    The stage between attention and MLP is the MLP's residual input: the layer's input plus attention's output, and the
    norm of that in a post-norm model.
    """
    yield 0, "embedding", run.embedded
    for number, layer in enumerate(run.layers, start=1):
        if sublayers:
            yield number, "attention", layer.mlp_in if model.config.post_norm else layer.before + layer.attention
        yield number, "layer", layer.after


def finite(logits: Tensor) -> Tensor:
    """Return the logits [..., V], which must be finite.

    Raises:
        OverflowedError: one is.
    """
    if not logits.isfinite().all():
        raise OverflowedError
    return logits


@torch.inference_mode()
def stage_logprobs(model: GPT, stream: Tensor, n_vocab: int) -> Tensor:
    """Final norm, unembedding, log-softmax: [T, C] -> [T, n_vocab] in float64 on the CPU."""
    logits = finite(model.unembed(stream)[:, :n_vocab])
    return logits.cpu().double().log_softmax(-1)


def decided_at(best: Sequence[int]) -> int:
    """The first index from which the last entry stays: ``[3, 7, 5, 7, 7]`` -> 3."""
    index = len(best) - 1
    while index and best[index - 1] == best[-1]:
        index -= 1
    return index

"""Many changed runs of one text as one batch: each starts at the layer of its change, from the unchanged run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gptcli.errors import OverflowedError
from gptcli.inspection.hooking import given_weights, watched_attention
from gptcli.inspection.points import Point, See, capture, seeing
from gptcli.model.gpt import GPT

Measure = Literal["logit", "probability", "loss"]
# Memory for the activations and logits of the runs that are computed at once.
_BYTES = 256_000_000
# Positions unembedded at a time: 64 x 50,257 numbers of eight bytes are 26 MB.
_ROWS = 64


@dataclass(frozen=True)
class Outcome:
    """What is measured at the end of a run.

    Attributes:
        measure: ``logit`` and ``probability`` of the token after the text, or ``loss``: the mean surprisal of the
            text's own tokens but the first, in nats.
        token: whose.
        versus: a token whose logit (or probability) is subtracted; None: none is.
        n_vocab: ids from here on are left out of the probabilities.
    """

    measure: Measure
    token: int
    versus: int | None
    n_vocab: int

    def of(self, model: GPT, stream: Tensor, ids: Sequence[int]) -> list[float]:
        """The outcome of each run: from the stream after the last layer [B, T, C].

        Raises:
            OverflowedError: a logit is not finite.
        """
        if self.measure == "loss":
            return [self._loss(model, one, ids) for one in stream]
        logits = self._logits(model, stream[:, -1])  # [B, V]
        values = logits.softmax(-1) if self.measure == "probability" else logits
        found = values[:, self.token] - (0 if self.versus is None else values[:, self.versus])
        return [float(value) for value in found]

    def _loss(self, model: GPT, stream: Tensor, ids: Sequence[int]) -> float:
        following, total = torch.tensor(list(ids[1:])), 0.0
        for some, wanted in zip(torch.split(stream[:-1], _ROWS), torch.split(following, _ROWS), strict=True):
            logits = self._logits(model, some)
            total += float((logits.logsumexp(-1) - logits.gather(1, wanted[:, None])[:, 0]).sum())
        return total / len(following)

    def _logits(self, model: GPT, stream: Tensor) -> Tensor:
        logits = model.unembed(stream)[:, : self.n_vocab]
        if not logits.amax(-1).isfinite().all():  # NaN, +infinity, or nothing but -infinity
            raise OverflowedError
        return logits.cpu().double()


class Trunk:
    """One run of a text, from which changed runs branch off.

    Args:
        model: in eval mode.
        ids: the text.
        points: what else of this run is kept.
        frozen: whether the changed runs look where this one does.

    Attributes:
        ids: as given.
        seen: what stood at the points, [T, ...] each.
        stream: the residual stream before each layer and after the last, [T, C] each.

    Raises:
        InputError: there is no token, or more than the context holds.
    """

    def __init__(self, model: GPT, ids: Sequence[int], points: Sequence[Point] = (), *, frozen: bool = False) -> None:
        self.ids, self._model = list(ids), model
        layers = range(model.config.n_layer)
        streams: list[Point] = [("embedding", 0), *(("layer", layer) for layer in layers)]
        weights: list[tuple[Tensor, Tensor]] = []
        with watched_attention(model, weights):
            self.seen = capture(model, ids, [*streams, *points])
        self._weights = weights if frozen else None
        self.stream = [self.seen[point] for point in streams]
        positions = torch.arange(len(self.ids), device=self.stream[0].device)[None]
        self._places = model.places(positions, [0])

    @property
    def at_once(self) -> int:
        """How many runs fit into the memory for them."""
        config, length = self._model.config, len(self.ids)
        attention = config.n_head * (length * length + 4 * length * config.head_size)
        numbers = attention + length * (3 * config.mlp_width + 8 * config.n_embd) + config.vocab_size
        return max(_BYTES // (self.stream[0].element_size() * numbers), 1)

    @torch.inference_mode()
    def branch(self, layer: int, edits: Sequence[tuple[Point, See]], count: int) -> Tensor:
        """The stream after the last layer in ``count`` changed runs, [count, T, C].

        Args:
            layer: the first that is run, from 0; ``n_layer``: none.
            edits: what is done at the points of this and later layers; gets [count, T, ...].
            count: how many runs.
        """
        x = self.stream[layer].expand(count, -1, -1)
        with ExitStack() as stack:
            if self._weights is not None:
                later = iter(
                    [(q.expand(count, -1, -1, -1), k.expand(count, -1, -1, -1)) for q, k in self._weights[layer:]]
                )
                stack.enter_context(given_weights(self._model, later))
            stack.enter_context(seeing(self._model, edits))
            for block, places in zip(self._model.h[layer:], self._places[layer:], strict=True):
                x = block(x, places, None)
        return x


Progress = Callable[[int, int], None]


def chunks(count: int, size: int) -> Iterator[range]:
    """The numbers below ``count``, at most ``size`` at a time."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))

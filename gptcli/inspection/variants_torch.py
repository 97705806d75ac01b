"""Changed runs with the PyTorch model (see ``variants``)."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptcli.inspection.hooking import given_weights, means, watched_attention
from gptcli.inspection.places import Point
from gptcli.inspection.points import See, capture, seeing
from gptcli.inspection.variants import BYTES, Edit
from gptcli.model.gpt import GPT


class TorchRuns:
    """Runs of a model in eval mode."""

    def __init__(self, model: GPT) -> None:
        self._model = model

    def trunk(self, ids: Sequence[int], points: Sequence[Point] = (), *, frozen: bool = False) -> "TorchTrunk":
        """Run a text once (see ``Runs.trunk``)."""
        return TorchTrunk(self._model, ids, points, frozen=frozen)

    def means(self, ids: Sequence[int], points: Sequence[Point]) -> dict[Point, Tensor]:
        """The means over a text (see ``Runs.means``)."""
        return means(self._model, ids, points)


class TorchTrunk:
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
    def last(self) -> Tensor:
        """The residual stream after the last layer, [T, C]."""
        return self.stream[-1]

    @property
    def at_once(self) -> int:
        """How many runs fit into the memory for them."""
        config, length = self._model.config, len(self.ids)
        attention = config.n_head * (length * length + 4 * length * config.head_size)
        numbers = attention + length * (3 * config.mlp_width + 8 * config.n_embd) + config.vocab_size
        return max(BYTES // (self.stream[0].element_size() * numbers), 1)

    @torch.inference_mode()
    def branch(self, layer: int, edits: Sequence[Edit], count: int) -> Tensor:
        """The last stream of changed runs (see ``Trunk.branch``)."""
        x = self.stream[layer].expand(count, -1, -1)
        points = list(dict.fromkeys(edit.point for edit in edits))
        with ExitStack() as stack:
            if self._weights is not None:
                later = iter(
                    [(q.expand(count, -1, -1, -1), k.expand(count, -1, -1, -1)) for q, k in self._weights[layer:]]
                )
                stack.enter_context(given_weights(self._model, later))
            stack.enter_context(
                seeing(self._model, [(at, _edited([edit for edit in edits if edit.point == at])) for at in points])
            )
            for block, places in zip(self._model.h[layer:], self._places[layer:], strict=True):
                x = block(x, places, None)
        return x

    @torch.inference_mode()
    def logits(self, stream: Tensor) -> NDArray[np.float32]:
        """Logits of rows of the residual stream (see ``Trunk.logits``)."""
        logits: NDArray[np.float32] = self._model.unembed(stream).float().cpu().numpy()
        return logits


def _edited(edits: Sequence[Edit]) -> See:
    """The edits at one point."""

    def see(old: Tensor) -> Tensor:  # [B, T, ...]
        new = old.clone()
        for edit in edits:
            part = new[edit.row] if edit.head is None else new[edit.row, :, edit.head]
            target = part if edit.position is None else part[edit.position]
            if edit.value is None:
                target.zero_()
            else:
                target.copy_(edit.value)
        return new

    return see

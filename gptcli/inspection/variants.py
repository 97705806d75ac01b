"""Many changed runs of one text as one batch: each starts at the layer of its change, from the unchanged run.

What runs them is in ``variants_native`` and ``variants_torch``; ``runs`` chooses. What stands at
a point is as in ``points``, in an array of numpy or a tensor of torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gptcli.inspection.places import Point
from gptcli.probability.reading import finite
from gptcli.sampling.softmax import log_softmax, softmax

Measure = Literal["logit", "probability", "loss"]
# Memory for the activations and logits of the runs that are computed at once.
BYTES = 256_000_000
# Positions unembedded at a time: 64 x 50,257 numbers of eight bytes are 26 MB.
_ROWS = 64


@dataclass(frozen=True)
class Edit:
    """What replaces a part of what stands at a point, in one run of a batch.

    Attributes:
        row: the run.
        point: the point.
        value: [T or 1, ...] for that head or all that stands there, or [...] for one position; None: zero.
        head: one head of it, from 0; None: all.
        position: one position, from 0; None: all.
    """

    row: int
    point: Point
    value: Any | None
    head: int | None = None
    position: int | None = None


class Trunk(Protocol):
    """One run of a text, from which changed runs branch off."""

    @property
    def ids(self) -> Sequence[int]:
        """The text."""

    @property
    def seen(self) -> dict[Point, Any]:
        """What stood at the requested points, [T, ...] each."""

    @property
    def last(self) -> Any:
        """The residual stream after the last layer, [T, C]."""

    @property
    def at_once(self) -> int:
        """How many runs fit into the memory for them."""

    def branch(self, layer: int, edits: Sequence[Edit], count: int) -> Any:
        """The stream after the last layer in ``count`` changed runs, [count, T, C].

        Args:
            layer: the first that is run, from 0; ``n_layer``: none.
            edits: what is changed in this and later layers; at one point, in this order.
            count: how many runs.
        """

    def logits(self, stream: Any) -> NDArray[np.float32]:
        """Logits of rows of the residual stream: [N, C] -> [N, V]."""


class Runs(Protocol):
    """What runs texts."""

    def trunk(self, ids: Sequence[int], points: Sequence[Point] = (), *, frozen: bool = False) -> Trunk:
        """Run a text once.

        Args:
            ids: the text.
            points: what else of this run is kept.
            frozen: whether the changed runs look where this one does.

        Raises:
            InputError: there is no token, or more than the context holds.
        """

    def means(self, ids: Sequence[int], points: Sequence[Point]) -> dict[Point, Any]:
        """The mean of what stands at some points over the positions of a text, [...] each.

        A text that is longer than the context is read in parts.
        """


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

    def of(self, trunk: Trunk, stream: Any) -> list[float]:
        """The outcome of each run: from the stream after the last layer [B, T, C].

        Raises:
            OverflowedError: a logit is not finite.
        """
        if self.measure == "loss":
            return [self._loss(trunk, one) for one in stream]
        logits = self._logits(trunk, stream[:, -1])  # [B, V]
        values = softmax(logits) if self.measure == "probability" else logits
        found = values[:, self.token] - (0 if self.versus is None else values[:, self.versus])
        return [float(value) for value in found]

    def _loss(self, trunk: Trunk, stream: Any) -> float:
        following, total = list(trunk.ids[1:]), 0.0
        for start in range(0, len(following), _ROWS):
            wanted = following[start : start + _ROWS]
            logits = self._logits(trunk, stream[start : start + len(wanted)])
            total -= float(log_softmax(logits)[range(len(wanted)), wanted].sum())
        return total / len(following)

    def _logits(self, trunk: Trunk, stream: Any) -> NDArray[np.float64]:
        return finite(trunk.logits(stream)[:, : self.n_vocab]).astype(np.float64)


Progress = Callable[[int, int], None]


def chunks(count: int, size: int) -> Iterator[range]:
    """The numbers below ``count``, at most ``size`` at a time."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))

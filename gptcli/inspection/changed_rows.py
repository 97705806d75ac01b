"""What interventions mean in the texts of a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gptcli.inspection.places import Point

if TYPE_CHECKING:
    from gptcli.inspection.interventions import Interventions

Floats = NDArray[np.float32]

Means = Callable[[Sequence[int], Sequence[Point]], dict[Point, Any]]
"""The mean of what stands at some points over the positions of a text (see ``variants.Runs.means``)."""


@dataclass
class Row:
    """One text of a batch, and what the changes mean in it.

    Attributes:
        indices: for each change its positions, from 0; None: all.
        means: for each change the mean over the text, where it has no other value.
        ids: the text so far, with what was dropped of it.
        start: how many of its first tokens were dropped.
    """

    indices: list[tuple[int, ...] | None]
    means: list[Floats | None]
    ids: list[int]
    start: int = 0

    def copy(self) -> "Row":
        """The same for another continuation."""
        return replace(self, ids=list(self.ids))


def bound(interventions: "Interventions", ids: Sequence[int], means: Means) -> Row:
    """What the changes mean in a text.

    Args:
        interventions: the changes.
        ids: the text.
        means: reads the text where a mean over it is wanted.

    Raises:
        InputError: the text lacks a position or a word.
    """
    text = list(ids) if interventions.ids is None else list(interventions.ids)
    tokens = [interventions.token_bytes(token) for token in text]
    changes = interventions.changes
    indices = [None if change.positions is None else change.positions.indices(tokens) for change in changes]
    own = [change for change in changes if change.how == "mean" and change.value is None]
    found = means(text, [change.point for change in own]) if own else {}
    each = [as_numpy(found[change.point]) if change in own else None for change in changes]
    return Row(indices, each, list(ids))


def as_numpy(activation: Any) -> Floats:
    """What stood at a point, of numpy or of torch, as float32 of numpy."""
    if not isinstance(activation, np.ndarray):
        activation = activation.float().cpu().numpy()
    return np.asarray(activation, np.float32)

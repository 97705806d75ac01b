"""Changes that the engine in C makes at points of the model while it computes (``gptcli_change`` in native.h)."""

import ctypes
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptcli.model.native.library import Change, Hooks

Where = Literal["stream", "queries", "heads", "attention", "neurons", "mlp"]
# In the order of ``enum point`` in native.h.
_POINTS: tuple[Where, ...] = ("stream", "queries", "heads", "attention", "neurons", "mlp")


class NativeChange(NamedTuple):
    """A change of some columns of some tokens of a call.

    Attributes:
        point: what is changed; not ``queries``.
        layer: from 0; of ``stream``: before this layer, ``n_layer`` after the last.
        tokens: from, and to before.
        columns: from, and to before.
        values: what replaces it, or is added: [tokens, columns], or [columns] for all; None: zeros.
        add: whether it is added.
    """

    point: Where
    layer: int
    tokens: tuple[int, int]
    columns: tuple[int, int]
    values: NDArray[np.float32] | None = None
    add: bool = False


def changing(changes: Sequence[NativeChange], **fields: Any) -> Hooks:
    """Hooks that make these changes; ``fields`` are their other fields. They keep the values alive."""
    values = [None if each.values is None else np.ascontiguousarray(each.values, np.float32) for each in changes]
    made = (Change * len(changes))(*map(_stored, changes, values))
    hooks = Hooks(changes=ctypes.cast(made, ctypes.POINTER(Change)), change_count=len(changes), **fields)
    hooks.kept = made, values
    return hooks


def _stored(change: NativeChange, values: NDArray[np.float32] | None) -> Change:
    width = change.columns[1] - change.columns[0]
    return Change(
        point=_POINTS.index(change.point),
        layer=change.layer,
        first=change.tokens[0],
        last=change.tokens[1],
        start=change.columns[0],
        width=width,
        stride=0 if values is None or values.ndim == 1 else width,
        add=change.add,
        values=None if values is None else values.ctypes.data,
    )

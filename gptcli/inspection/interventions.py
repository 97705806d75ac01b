"""What is changed while a model runs: parts replaced, directions added, attention held as it was.

``Interventions`` says what, without torch. ``hooking`` puts the hooks of a PyTorch model in place for as long as a run
lasts; ``changed_torch`` generates with them, and ``changed_native`` with the engine in C.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.inspection.changed_rows import Floats
from gptcli.inspection.places import Kind, Located, Point, Positions
from gptcli.model.engine import Engine

if TYPE_CHECKING:
    from gptcli.inspection.changed_native import ChangedNativeEngine
    from gptcli.model.gpt import GPT
    from gptcli.model.native.engine import NativeEngine

How = Literal["zero", "mean", "replace", "add"]


@dataclass(frozen=True, eq=False)
class Change:
    """A change at one point of the model.

    Attributes:
        kind, layer: the point; the layer from 0.
        members: which heads or neurons of it, from 0; None: all that stands there.
        positions: at which positions of the text; None: at all, also at those that come later.
        how: ``zero``; ``mean``: its mean over a text; ``replace``: what stood at the same position of another text;
            ``add``: a direction is added.
        value: the mean, [...]; None: over the text itself. What replaces it, [N, ...] for the positions of the other
            text, which start over (at the second, for the first is unlike all others) where this text is longer. Or
            the direction, [C]. None for ``zero``.
    """

    kind: Kind
    layer: int
    members: tuple[int, ...] | None
    positions: Positions | None
    how: How
    value: Floats | None = None

    @property
    def point(self) -> Point:
        """Where it is."""
        return self.kind, self.layer

    def at(self, positions: NDArray[np.integer]) -> NDArray[np.integer]:
        """The positions of the other text that replace these, for ``replace``."""
        assert self.value is not None
        last = len(self.value) - 1
        wrapped = np.where(positions <= last, positions, 1 + (positions - 1) % last) if last else positions
        return np.minimum(wrapped, last)


@dataclass(frozen=True)
class Interventions:
    """Everything that is changed in a run.

    Attributes:
        changes: in the order in which they are made at one point.
        frozen: whether attention weights are those of the run without the changes.
        token_bytes: the bytes of a token, to find words in a text.
        ids: the text that ``@`` positions and means refer to; None: each prompt.
        told: the options that say so, as typed.
    """

    changes: tuple[Change, ...]
    frozen: bool
    token_bytes: Callable[[int], bytes]
    ids: tuple[int, ...] | None = None
    told: tuple[str, ...] = ()

    def check(self, ids: Sequence[int]) -> None:
        """Check that a text has the positions that are changed.

        Raises:
            InputError: it lacks a position or a word.
        """
        tokens = [self.token_bytes(token) for token in ids]
        for change in self.changes:
            if change.positions is not None:
                change.positions.indices(tokens)

    def engine(self, model: "GPT", ids: Sequence[int] | None = None) -> Engine:
        """An engine that runs the changed model (see ``checkpoint.open.Changes``).

        Raises:
            InputError: the text lacks a position or a word, or ``@`` stands in a text that is read in parts.
        """
        from gptcli.inspection.changed_torch import ChangedTorchEngine

        return ChangedTorchEngine(model, self._of(ids, model.config.n_positions))

    def native_engine(self, engine: "NativeEngine", ids: Sequence[int] | None = None) -> "ChangedNativeEngine":
        """The same in C; not with frozen attention.

        Raises:
            InputError: as ``engine``.
        """
        from gptcli.inspection.changed_native import ChangedNativeEngine

        return ChangedNativeEngine(engine, self._of(ids, engine.n_positions))

    def recording_engine(self, engine: "NativeEngine", ids: Sequence[int]) -> "NativeEngine":
        """An engine in C that records one text with the changes; not with frozen attention.

        Raises:
            InputError: as ``engine``.
        """
        return self.native_engine(engine, ids).recording(ids)

    def _of(self, ids: Sequence[int] | None, n_positions: int) -> "Interventions":
        """The same, of one text where that is known."""
        if ids is None:
            return self
        if len(ids) > n_positions and any(change.positions is not None for change in self.changes):
            raise InputError(
                f"@ names a position of a text that is read at once: this one has {len(ids):,} tokens and the context "
                f"{n_positions:,}"
            )
        return replace(self, ids=tuple(ids))

    def on_text(self, model: "GPT", ids: Sequence[int]) -> AbstractContextManager[None]:
        """Run the model on one text, once, with the changes.

        Raises:
            InputError: the text lacks a position or a word, or does not fit into the context.
        """
        from gptcli.inspection.hooking import on_text

        return on_text(model, self, ids)


def located_changes(place: Located, how: How, values: Callable[[Point], Floats | None]) -> list[Change]:
    """A change for each layer of a place.

    Args:
        place: where.
        how: what is done.
        values: its value at a point.
    """
    members = tuple(member - 1 for member in place.members) or None
    made = []
    for layer in place.layers or (1,):
        point: Point = (place.kind, layer - 1)
        made.append(Change(*point, members, place.place.positions, how, values(point)))
    return made

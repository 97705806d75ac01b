"""Generation with interventions in PyTorch (see ``changed_engine``)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from gptcli.inspection.changed_engine import ChangedEngine, Result
from gptcli.inspection.changed_rows import Means
from gptcli.inspection.hooking import applied, means, watched_attention
from gptcli.model.engine import Take, read_by_blocks
from gptcli.model.gpt import GPT
from gptcli.model.torch_engine import TorchEngine

if TYPE_CHECKING:
    from gptcli.inspection.interventions import Interventions


class ChangedTorchEngine(ChangedEngine[TorchEngine]):
    """The PyTorch engine with interventions.

    Args:
        model: in eval mode.
        interventions: what is changed.
    """

    def __init__(self, model: GPT, interventions: "Interventions") -> None:
        super().__init__(TorchEngine(model), model.config, interventions)
        self._model = model
        # Reads the same without the changes, so that its attention weights can be taken.
        self._plain = TorchEngine(model) if interventions.frozen else None

    def new_session(self) -> "ChangedTorchEngine":
        """Another engine with the same interventions (see ``Engine.new_session``)."""
        return ChangedTorchEngine(self._model, self._interventions)

    def row_bytes(self, capacity: int) -> int:
        """What a row of a batch takes (see ``Engine.row_bytes``); twice as much with frozen attention."""
        return super().row_bytes(capacity) * (1 if self._plain is None else 2)

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``)."""
        # The calls that it takes read parts of the text, and the changes refer to all of it.
        self._bind([ids], len(ids))
        before, self._only = self._only, self._rows[0]
        try:
            read_by_blocks(self, ids, take, first)
        finally:
            self._only = before

    @torch.inference_mode()
    def _with_changes(self, call: Callable[[TorchEngine], Result]) -> Result:
        """Do the same in the plain engine, where there is one, and then here."""
        if self._plain is None:
            with applied(self._model, self._interventions, self._rows):
                return call(self._engine)
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        with watched_attention(self._model, seen):
            call(self._plain)
        with applied(self._model, self._interventions, self._rows, iter(seen)):
            return call(self._engine)

    @property
    def _means(self) -> Means:
        return partial(means, self._model)

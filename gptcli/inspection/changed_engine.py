"""An engine that generates with interventions: what is taken out stays out at every step."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gptcli.inspection.hooking import Row, applied, bound, watched_attention
from gptcli.model.bounds import check_prefill, check_refill
from gptcli.model.gpt import GPT
from gptcli.model.torch_engine import TorchEngine

if TYPE_CHECKING:
    from gptcli.inspection.interventions import Interventions

Result = TypeVar("Result")


class ChangedEngine(TorchEngine):
    """The PyTorch engine with interventions.

    ``@`` positions and means refer to each row's prompt, as ``prefill`` gets it (or to one text: see
    ``Interventions.ids``). They move along where the older half of the context is dropped.

    Args:
        model: in eval mode.
        interventions: what is changed.
    """

    def __init__(self, model: GPT, interventions: "Interventions") -> None:
        super().__init__(model)
        self._interventions = interventions
        self._rows: list[Row] = []
        self._only: Row | None = None  # of the one text that everything refers to
        # Reads the same without the changes, so that its attention weights can be taken.
        self._plain = TorchEngine(model) if interventions.frozen else None

    def new_session(self) -> "ChangedEngine":
        """Another engine with the same interventions (see ``Engine.new_session``)."""
        return ChangedEngine(self.model, self._interventions)

    def row_bytes(self, capacity: int) -> int:
        """What a row of a batch takes (see ``Engine.row_bytes``); twice as much with frozen attention."""
        return super().row_bytes(capacity) * (1 if self._plain is None else 2)

    @torch.inference_mode()
    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``).

        Raises:
            InputError: a prompt lacks a position or a word that a change names.
        """
        self._bind(rows, capacity)
        return self._with_changes(lambda engine: TorchEngine.prefill(engine, rows, capacity))

    @torch.inference_mode()
    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``).

        Raises:
            InputError: as ``prefill``.
        """
        self._bind(rows, capacity)
        return self._with_changes(lambda engine: TorchEngine.read_texts(engine, rows, capacity))

    def _bind(self, rows: Sequence[Sequence[int]], capacity: int) -> None:
        check_prefill(rows, capacity, self.n_positions, self.model.config.vocab_size)
        self._rows = [self._bound(ids) for ids in rows]

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        logits = self._with_changes(lambda engine: TorchEngine.step(engine, ids))
        for row, token in zip(self._rows, ids, strict=True):
            row.ids.append(token)
        return logits

    @torch.inference_mode()
    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        logits = self._with_changes(lambda engine: TorchEngine.extend(engine, ids))
        self._rows[0].ids += ids
        return logits

    @torch.inference_mode()
    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        self._with_changes(lambda engine: TorchEngine.rewind(engine, count))
        row = self._rows[0]
        del row.ids[len(row.ids) - count :]

    @torch.inference_mode()
    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row of the batch by these ids (see ``Engine.refill``)."""
        check_refill(row, ids, self._lengths, self._capacity, self.model.config.vocab_size)
        self._rows[row] = self._moved(self._rows[row], ids)
        self._with_changes(lambda engine: TorchEngine.refill(engine, row, ids))

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        self._with_changes(lambda engine: TorchEngine.select(engine, rows))
        self._rows = [self._rows[row].copy() for row in rows]

    def _bound(self, ids: Sequence[int]) -> Row:
        """What the changes mean in a row; looked up once where they refer to one text."""
        if self._interventions.ids is None:
            return bound(self.model, self._interventions, ids)
        self._only = self._only or bound(self.model, self._interventions, ids)
        return Row(self._only.indices, self._only.means, list(ids))

    def _moved(self, row: Row, ids: Sequence[int]) -> Row:
        """The row once it holds a part of its text only."""
        wanted = list(ids)
        for start in range(len(row.ids) - len(wanted), -1, -1):
            if row.ids[start : start + len(wanted)] == wanted:
                return Row(row.indices, row.means, row.ids[: start + len(wanted)], start)
        return self._bound(wanted) if wanted else row  # another text

    def _with_changes(self, call: Callable[[TorchEngine], Result]) -> Result:
        """Do the same in the plain engine, where there is one, and then here."""
        if self._plain is None:
            with applied(self.model, self._interventions, self._rows):
                return call(self)
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        with watched_attention(self.model, seen):
            call(self._plain)
        with applied(self.model, self._interventions, self._rows, iter(seen)):
            return call(self)

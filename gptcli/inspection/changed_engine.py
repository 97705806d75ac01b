"""An engine that generates with interventions: what is taken out stays out at every step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from gptcli.inspection.changed_rows import Means, Row, bound
from gptcli.model.bounds import check_prefill, check_refill
from gptcli.model.config import GPTConfig
from gptcli.model.engine import Take
from gptcli.model.wrapped import Inner, Wrapped

if TYPE_CHECKING:
    from gptcli.inspection.interventions import Interventions

Result = TypeVar("Result")


class ChangedEngine(Wrapped[Inner], ABC):
    """An engine whose model is changed while it computes (see ``Engine``).

    ``@`` positions and means refer to each row's prompt, as ``prefill`` gets it (or to one text: see
    ``Interventions.ids``). They move along where the older half of the context is dropped.

    Args:
        engine: computes; nothing else uses it.
        config: of its model.
        interventions: what is changed.
    """

    def __init__(self, engine: Inner, config: GPTConfig, interventions: "Interventions") -> None:
        super().__init__(engine)
        self._config, self._interventions = config, interventions
        self._rows: list[Row] = []
        self._capacity = 0
        self._only: Row | None = None  # of the one text that everything refers to

    @abstractmethod
    def new_session(self) -> "ChangedEngine[Inner]":
        """Another engine with the same interventions (see ``Engine.new_session``)."""

    @abstractmethod
    def _with_changes(self, call: Callable[[Inner], Result]) -> Result:
        """What a call of the engine gives with the changes of ``_rows``."""

    @property
    @abstractmethod
    def _means(self) -> Means:
        """Means over a text, without the changes."""

    @property
    def guessed(self) -> int | None:
        """It does not guess."""
        return None

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``).

        Raises:
            InputError: a prompt lacks a position or a word that a change names.
        """
        self._bind(rows, capacity)
        return self._with_changes(lambda engine: engine.prefill(rows, capacity))

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``).

        Raises:
            InputError: as ``prefill``.
        """
        self._bind(rows, capacity)
        return self._with_changes(lambda engine: engine.read_texts(rows, capacity))

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``).

        Raises:
            InputError: as ``prefill``.
        """
        self._bind([ids], len(ids))
        self._with_changes(lambda engine: engine.read_by_blocks(ids, take, first))

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        logits = self._with_changes(lambda engine: engine.step(ids))
        for row, token in zip(self._rows, ids, strict=True):
            row.ids.append(token)
        return logits

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        logits = self._with_changes(lambda engine: engine.extend(ids))
        self._rows[0].ids += ids
        return logits

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        self._with_changes(lambda engine: engine.rewind(count))
        row = self._rows[0]
        del row.ids[len(row.ids) - count :]

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row of the batch by these ids (see ``Engine.refill``)."""
        lengths = [len(each.ids) - each.start for each in self._rows]
        check_refill(row, ids, lengths, self._capacity, self._config.vocab_size)
        self._rows[row] = self._moved(self._rows[row], ids)
        self._with_changes(lambda engine: engine.refill(row, ids))

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch (see ``Engine.select``)."""
        self._with_changes(lambda engine: engine.select(rows))
        self._rows = [self._rows[row].copy() for row in rows]

    def _bind(self, rows: Sequence[Sequence[int]], capacity: int) -> None:
        check_prefill(rows, capacity, self.n_positions, self._config.vocab_size)
        self._rows, self._capacity = [self._bound(ids) for ids in rows], capacity

    def _bound(self, ids: Sequence[int]) -> Row:
        """What the changes mean in a row; looked up once where they refer to one text."""
        known = self._only or bound(self._interventions, ids, self._means)
        if self._interventions.ids is not None:
            self._only = known
        return Row(known.indices, known.means, list(ids))

    def _moved(self, row: Row, ids: Sequence[int]) -> Row:
        """The row once it holds a part of its text only."""
        wanted = list(ids)
        for start in range(len(row.ids) - len(wanted), -1, -1):
            if row.ids[start : start + len(wanted)] == wanted:
                return Row(row.indices, row.means, row.ids[: start + len(wanted)], start)
        return self._bound(wanted) if wanted else row  # another text

"""An engine that masks ids without a token, so that they are never chosen."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gptcli.model.engine import Engine, Take
from gptcli.model.wrapped import Wrapped

# Far below any logit, so that its probability is 0; but finite, so that 0 times it is 0.
_SILENT = np.float32(-1e30)


class SilentEngine(Wrapped[Engine]):
    """An engine that gives a very low logit to some ids, and forwards all calls.

    Args:
        engine: does the work.
        ids: the ids that have no token, each below the size of the vocabulary.
    """

    def __init__(self, engine: Engine, ids: Sequence[int]) -> None:
        super().__init__(engine)
        self._ids = np.asarray(ids, dtype=np.intp)

    def _silenced(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        made = np.array(logits)
        made[:, self._ids] = _SILENT
        return made

    @property
    def guessed(self) -> int | None:
        """Tokens that were guessed correctly (see ``Engine.guessed``)."""
        return self._engine.guessed

    def new_session(self) -> "SilentEngine":
        """Another engine that shares the weights (see ``Engine.new_session``)."""
        return SilentEngine(self._engine.new_session(), self._ids.tolist())

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        return self._silenced(self._engine.prefill(rows, capacity))

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``)."""
        return self._silenced(self._engine.read_texts(rows, capacity))

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``)."""
        self._engine.read_by_blocks(ids, lambda logits: take(self._silenced(logits)), first)

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        return self._silenced(self._engine.step(ids))

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        return self._silenced(self._engine.extend(ids))

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        self._engine.rewind(count)

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row of the batch by these ids (see ``Engine.refill``)."""
        self._engine.refill(row, ids)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order (see ``Engine.select``)."""
        self._engine.select(rows)

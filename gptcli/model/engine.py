"""What generation asks of a model: ids in, float32 logits out, one batch at a time.

An engine knows nothing of text. ``generation`` talks to the ``Engine`` protocol only, so that another way to compute
the same step (or a test's toy) can stand in for the PyTorch one.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Quantize = Literal["none", "int8", "int4"]
"""How matrices are kept: as they are, in 8 bits with one scale a row, or in 4 bits with one scale for 32 weights."""


class Engine(Protocol):
    """A model that reads token ids and says what may come next."""

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts.

        Args:
            rows: token ids of each prompt, of any lengths between 1 and ``n_positions``.
            capacity: positions that a row may grow to, at most ``n_positions``.

        Returns:
            Logits after each prompt's last token, [B, V].
        """

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch: [B] -> logits [B, V]."""

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Forget one row of the batch and read these ids in its place; there may be none."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order; one row may be named more than once."""


# Rows of a batch at most: more make nothing quicker, and the first text should not wait for thousands.
_MOST_ROWS = 128


def rows_at_once(engine: Engine, capacity: int) -> int:
    """How many rows of this capacity one batch should have, by the memory that is free; at least one.

    An engine that knows what a row takes says so with ``row_bytes(capacity)`` and ``free_bytes()``; of one that does
    not, nothing but the number is bounded.
    """
    takes, free = getattr(engine, "row_bytes", None), getattr(engine, "free_bytes", None)
    available = free() if free is not None else None
    if takes is None or available is None:
        return _MOST_ROWS
    fitting: int = available // (2 * takes(capacity))
    return max(min(fitting, _MOST_ROWS), 1)


class SharedEngine(Engine, Protocol):
    """An engine of which there may be several with the same weights."""

    def beside(self) -> "SharedEngine":
        """Another one, with a batch of its own."""

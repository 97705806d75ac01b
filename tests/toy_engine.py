"""A model made of a table, behind the engine's protocol: the next token depends on the last one alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gptcli.model.engine import EngineFacts, Take, read_by_blocks


class ToyEngine:
    """Logits are ``table[last id]``; every call is checked against the protocol.

    Args:
        table: [V, V] logits.
        n_positions: the context length.
    """

    def __init__(self, table: NDArray[np.floating], n_positions: int = 1000) -> None:
        self.table = np.asarray(table, dtype=np.float32)
        self.n_positions = n_positions
        self.rows: list[list[int]] = []
        self.calls: list[str] = []
        self._capacity = 0

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        assert all(1 <= len(row) <= capacity <= self.n_positions for row in rows)
        self.rows, self._capacity = [list(row) for row in rows], capacity
        self.calls.append("prefill")
        return self._logits()

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        self.prefill(rows, capacity)
        return self.table[[token for row in rows for token in row]]

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        read_by_blocks(self, ids, take, first)

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        assert len(ids) == len(self.rows)
        for row, token in zip(self.rows, ids, strict=True):
            assert len(row) < self._capacity, "a row outgrew the capacity it was given"
            row.append(token)
        self.calls.append("step")
        return self._logits()

    def row_bytes(self, capacity: int) -> int:
        return 0

    def free_bytes(self) -> int | None:
        return None

    def refill(self, row: int, ids: Sequence[int]) -> None:
        assert len(ids) < self._capacity
        self.rows[row] = list(ids)
        self.calls.append("refill")

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        assert len(self.rows) == 1
        assert 1 <= len(ids) <= self._capacity - len(self.rows[0])
        self.rows[0] += ids
        self.calls.append("extend")
        return self.table[list(ids)]

    def rewind(self, count: int) -> None:
        assert len(self.rows) == 1
        assert 0 <= count <= len(self.rows[0])
        del self.rows[0][len(self.rows[0]) - count :]
        self.calls.append("rewind")

    def new_session(self) -> "ToyEngine":
        return ToyEngine(self.table, self.n_positions)

    @property
    def guessed(self) -> int | None:
        return None

    def facts(self) -> EngineFacts:
        return EngineFacts("toy", "cpu", "float32", "float32", 1, self.table.nbytes, 4)

    def select(self, rows: Sequence[int]) -> None:
        self.rows = [list(self.rows[row]) for row in rows]

    def _logits(self) -> NDArray[np.float32]:
        return np.stack([self.table[row[-1]] for row in self.rows])


def chain(order: Sequence[int], size: int, sure: float = 50.0) -> NDArray[np.float32]:
    """A table under which each token of ``order`` is followed by the next one, and the last by the first."""
    table = np.zeros((size, size), dtype=np.float32)
    for here, following in zip(order, [*order[1:], order[0]], strict=True):
        table[here, following] = sure
    return table


def random_table(size: int, seed: int = 0) -> NDArray[np.float32]:
    """A table in which anything may follow anything."""
    return np.random.default_rng(seed).normal(0, 1, (size, size)).astype(np.float32)

"""Exact speculative decoding by prompt look-up (Saxena 2023): guess that what followed before follows again.

Where the latest tokens occurred before, the tokens that stood behind them are read along with the new one, for little
more than the price of one: the weights are read once. The logits after each are what single steps would have given,
and are handed out only as far as the caller really chooses what was guessed. So the text is the same with and without.
"""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.model.engine import Engine

# Longest run of tokens that is looked up first, and the shortest.
_LONGEST, _SHORTEST = 4, 2
# More than eight tokens at once the engine in C reads as a prompt, adding up in another order: in their last digits its
# logits would not be those of single steps. More guesses come with the next read.
_MOST = 7


class RewindingEngine(Engine, Protocol):
    """An engine that can read several tokens of one row at once, and forget the latest again."""

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row: logits after each, [len(ids), V]."""

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row."""


class LookupEngine:
    """An engine that guesses ahead while its batch has one row, and just passes on what it is asked otherwise.

    Args:
        engine: does the work.
        guesses: tokens to guess at most at a time; more than 7 are as 7.

    Attributes:
        steps: tokens that were asked for one at a time.
        accepted: of them, those that had been guessed and cost nothing.
    """

    def __init__(self, engine: RewindingEngine, guesses: int) -> None:
        self._engine, self._guesses = engine, guesses
        self._rows: list[list[int]] = []
        self._ahead: list[tuple[int, NDArray[np.float32]]] = []  # guessed tokens that were read, and the logits after
        self._capacity = 0
        self.steps = self.accepted = 0

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self._engine.n_positions

    def __getattr__(self, name: str) -> Any:
        """What a row takes, where the engine can tell."""
        if name in ("row_bytes", "free_bytes"):
            return getattr(self._engine, name)
        raise AttributeError(name)

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        self._rows, self._capacity, self._ahead = [list(row) for row in rows], capacity, []
        return self._engine.prefill(rows, capacity)

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        for row, token in zip(self._rows, ids, strict=True):
            row.append(token)
        if len(ids) != 1:
            return self._engine.step(ids)
        self.steps += 1
        if self._ahead and self._ahead[0][0] == ids[0]:
            self.accepted += 1
            return self._ahead.pop(0)[1]
        self._forget()
        room = self._capacity - len(self._rows[0])
        guessed = guess(self._rows[0], min(self._guesses, room, _MOST))
        if not guessed:
            return self._engine.step(ids)
        logits = self._engine.extend([*ids, *guessed])
        self._ahead = [(token, logits[index + 1 : index + 2]) for index, token in enumerate(guessed)]
        return logits[:1]

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Forget one row of the batch and read these ids in its place (see ``Engine.refill``)."""
        self._forget()
        self._rows[row] = list(ids)
        self._engine.refill(row, ids)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order (see ``Engine.select``)."""
        if list(rows) != list(range(len(self._rows))):
            self._forget()
            self._rows = [list(self._rows[row]) for row in rows]
        self._engine.select(rows)

    def _forget(self) -> None:
        """Take back what was guessed wrongly."""
        if self._ahead:
            self._engine.rewind(len(self._ahead))
            self._ahead = []


def with_lookup(engine: Engine, guesses: int) -> Engine:
    """The engine, guessing up to so many tokens ahead; 0: as it is.

    Raises:
        InputError: it cannot read several tokens of a row at once (a model that several processes hold).
    """
    if guesses == 0:
        return engine
    able = rewinding(engine)
    if able is None:
        raise InputError("--lookup works in one process only: leave it out, or torchrun")
    return LookupEngine(able, guesses)


def rewinding(engine: Engine) -> RewindingEngine | None:
    """The engine as one that can forget its latest tokens, or None where it is not one."""
    return cast(RewindingEngine, engine) if hasattr(engine, "extend") and hasattr(engine, "rewind") else None


def guess(ids: Sequence[int], most: int) -> list[int]:
    """What stood behind the latest earlier occurrence of the last few tokens; the longest run that occurred decides."""
    if most < 1:
        return []
    for length in range(min(_LONGEST, len(ids) - 1), _SHORTEST - 1, -1):
        tail = list(ids[-length:])
        for start in range(len(ids) - length - 1, -1, -1):
            if ids[start] == tail[0] and list(ids[start : start + length]) == tail:
                return list(ids[start + length : start + length + most])
    return []

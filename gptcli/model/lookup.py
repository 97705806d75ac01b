"""Exact speculative decoding by prompt look-up (Saxena 2023): guess that what followed before follows again.

Where the latest tokens occurred before, the tokens that stood behind them are read along with the new one, for little
more than the price of one: the weights are read once. The logits after each are what single steps would have given,
and are handed out only as far as the caller really chooses what was guessed. So the text is the same with and without.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from gptcli.model.engine import Engine, EngineFacts

# Longest run of tokens that is looked up first, and the shortest.
_LONGEST, _SHORTEST = 4, 2
# More than eight tokens at once the engine in C reads as a prompt, adding up in another order: in their last digits its
# logits would not be those of single steps. More guesses come with the next read.
_MOST = 7


class LookupEngine:
    """An engine that guesses ahead while its batch has one row, and just passes on what it is asked otherwise.

    Args:
        engine: does the work.
        guesses: tokens to guess at most at a time; more than 7 are as 7.
        epochs: what of a text's length decides its rotary angles (``GPTConfig.epochs``): tokens that are read together
            have those of the whole, so that guesses end where single steps would have others. None: nothing does.

    Attributes:
        steps: tokens that were asked for one at a time.
        guessed: of them, those that had been guessed and cost nothing.
    """

    def __init__(self, engine: Engine, guesses: int, epochs: Callable[[int], tuple[int, ...]] | None = None) -> None:
        self._engine, self._guesses = engine, guesses
        self._epochs = epochs if epochs is not None else lambda length: ()
        self._rows: list[list[int]] = []
        self._ahead: list[tuple[int, NDArray[np.float32]]] = []  # guessed tokens that were read, and the logits after
        self._capacity = 0
        self.steps = self.guessed = 0

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self._engine.n_positions

    def facts(self) -> EngineFacts:
        """What does the work (see ``Engine.facts``)."""
        return self._engine.facts()

    def new_session(self) -> "LookupEngine":
        """Another one of the same weights (see ``Engine.new_session``)."""
        return LookupEngine(self._engine.new_session(), self._guesses, self._epochs)

    def row_bytes(self, capacity: int) -> int:
        """What a row of a batch takes (see ``Engine.row_bytes``)."""
        return self._engine.row_bytes(capacity)

    def free_bytes(self) -> int | None:
        """The memory that is left for batches (see ``Engine.free_bytes``)."""
        return self._engine.free_bytes()

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        self._forget()
        logits = self._engine.prefill(rows, capacity)
        self._rows, self._capacity = [list(row) for row in rows], capacity
        return logits

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        logits = self._next(ids[0]) if len(ids) == len(self._rows) == 1 else self._engine.step(ids)
        for row, token in zip(self._rows, ids, strict=True):
            row.append(token)
        return logits

    def _next(self, token: int) -> NDArray[np.float32]:
        """Logits [1, V] after one more token of the only row, and maybe those after what is likely to follow it."""
        if self._ahead and self._ahead[0][0] == token:
            logits = self._ahead.pop(0)[1]
            self.guessed += 1
        else:
            self._forget()
            ids = [*self._rows[0], token]
            guesses = guess(ids, min(self._guesses, self._capacity - len(ids), _MOST))
            lengths = range(len(ids), len(ids) + len(guesses) + 1)
            alike = sum(1 for _ in takewhile(lambda length: self._epochs(length) == self._epochs(len(ids)), lengths))
            guesses = guesses[: alike - 1]
            read = self._engine.extend([token, *guesses]) if guesses else self._engine.step([token])
            logits = read[:1]
            self._ahead = [(following, read[at : at + 1]) for at, following in enumerate(guesses, start=1)]
        self.steps += 1
        return logits

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row (see ``Engine.extend``)."""
        self._forget()
        logits = self._engine.extend(ids)
        self._rows[0] += ids
        return logits

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row (see ``Engine.rewind``)."""
        self._forget()
        self._engine.rewind(count)
        del self._rows[0][len(self._rows[0]) - count :]

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Forget one row of the batch and read these ids in its place (see ``Engine.refill``)."""
        self._forget()
        self._engine.refill(row, ids)
        self._rows[row] = list(ids)

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order (see ``Engine.select``)."""
        changed = list(rows) != list(range(len(self._rows)))
        if changed:
            self._forget()
        self._engine.select(rows)
        if changed:
            self._rows = [list(self._rows[row]) for row in rows]

    def _forget(self) -> None:
        """Take back what was guessed wrongly."""
        if self._ahead:
            self._engine.rewind(len(self._ahead))
            self._ahead = []


def with_lookup(engine: Engine, guesses: int, epochs: Callable[[int], tuple[int, ...]] | None = None) -> Engine:
    """The engine, guessing up to so many tokens ahead; 0: as it is. ``epochs``: see ``LookupEngine``."""
    return LookupEngine(engine, guesses, epochs) if guesses else engine


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

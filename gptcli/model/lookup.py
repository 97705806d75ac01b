"""Exact speculative decoding by prompt look-up (Saxena 2023): the guess is that the text repeats itself.

Where the latest tokens occurred before, the tokens that followed them are run together with the new one. This costs
little more than one step, as the weights are read once. The logits after each token are those of single steps, and are
returned only as long as the caller chooses the guessed tokens. So the text is the same with and without look-up.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from gptcli.model.engine import Engine, Take
from gptcli.model.wrapped import Wrapped

# Length of the n-gram that is looked up first, and of the shortest one.
_LONGEST, _SHORTEST = 4, 2
# The engine in C runs more than eight tokens at once as a prompt and sums in another order: the last digits of its
# logits would differ from those of single steps. More guesses follow in the next read.
_MOST = 7


class LookupEngine(Wrapped[Engine]):
    """An engine that guesses ahead while its batch has one row, and otherwise forwards all calls.

    Args:
        engine: does the work.
        guesses: the most tokens to guess at a time; values above 7 act as 7.
        epochs: maps a text's length to the epochs of its rotary angles (``GPTConfig.epochs``). Tokens that are read
            together have the angles of the whole text, so guesses stop where the epoch changes. None: the angles do
            not depend on the length.

    Attributes:
        steps: number of single-token steps that were requested.
        guessed: how many of them were answered by a correct guess, at no cost.
    """

    def __init__(self, engine: Engine, guesses: int, epochs: Callable[[int], tuple[int, ...]] | None = None) -> None:
        super().__init__(engine)
        self._guesses = guesses
        self._epochs = epochs if epochs is not None else lambda length: ()
        self._rows: list[list[int]] = []
        self._ahead: list[tuple[int, NDArray[np.float32]]] = []  # guessed tokens that were read, and the logits after
        self._capacity = 0
        self.steps = self.guessed = 0

    def new_session(self) -> "LookupEngine":
        """Another engine that shares the weights (see ``Engine.new_session``)."""
        return LookupEngine(self._engine.new_session(), self._guesses, self._epochs)

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts (see ``Engine.prefill``)."""
        self._forget()
        logits = self._engine.prefill(rows, capacity)
        self._rows, self._capacity = [list(row) for row in rows], capacity
        return logits

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: logits after each token of each row (see ``Engine.read_texts``)."""
        self._forget()
        logits = self._engine.read_texts(rows, capacity)
        self._rows, self._capacity = [list(row) for row in rows], capacity
        return logits

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Read a text, for the logits after each token (see ``Engine.read_by_blocks``)."""
        self._forget()
        self._engine.read_by_blocks(ids, take, first)
        self._rows, self._capacity = [list(ids)], len(ids)

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch (see ``Engine.step``)."""
        logits = self._next(ids[0]) if len(ids) == len(self._rows) == 1 else self._engine.step(ids)
        for row, token in zip(self._rows, ids, strict=True):
            row.append(token)
        return logits

    def _next(self, token: int) -> NDArray[np.float32]:
        """Logits [1, V] after one more token of the only row; also reads ahead the tokens that probably follow it."""
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
        """Replace the contents of one row of the batch by these ids (see ``Engine.refill``)."""
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
        """Rewind the wrong guesses."""
        if self._ahead:
            self._engine.rewind(len(self._ahead))
            self._ahead = []


def with_lookup(engine: Engine, guesses: int, epochs: Callable[[int], tuple[int, ...]] | None = None) -> Engine:
    """The engine with up to so many guesses at a time; 0: the engine itself. ``epochs``: see ``LookupEngine``."""
    return LookupEngine(engine, guesses, epochs) if guesses else engine


def guess(ids: Sequence[int], most: int) -> list[int]:
    """The tokens that followed the latest earlier occurrence of the last few tokens; the longest match wins."""
    if most < 1:
        return []
    for length in range(min(_LONGEST, len(ids) - 1), _SHORTEST - 1, -1):
        tail = list(ids[-length:])
        for start in range(len(ids) - length - 1, -1, -1):
            if ids[start] == tail[0] and list(ids[start : start + length]) == tail:
                return list(ids[start + length : start + length + most])
    return []

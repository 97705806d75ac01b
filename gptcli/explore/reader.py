"""Reads the text with an engine whose cache is kept: of a text that changes, only what changed is read again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.model.engine import Engine
from gptcli.model.native.record import shared_prefix
from gptcli.probability.reading import finite, rank_of
from gptcli.sampling.softmax import log_softmax

# Tokens read at a time, which bounds the memory of their logits on the way.
_PIECE = 128
# Bytes of logits that are kept; those of earlier positions are read again when they are looked at.
_MOST_LOGITS = 256_000_000
# The least capacity of the cache, in tokens: it grows by reading the text again.
_LEAST_CAPACITY = 256


@dataclass(frozen=True)
class Came:
    """The token that came at a position.

    Attributes:
        bits: its surprisal, -log2 of its probability.
        rank: among all tokens; 1 is the most probable.
    """

    bits: float
    rank: int


@dataclass(frozen=True)
class Reading:
    """What a model makes of a text.

    Attributes:
        ids: the text.
        came: of each token, how expected it was; None for the first one.
    """

    ids: tuple[int, ...]
    came: tuple[Came | None, ...]


class Reader:
    """One text in one engine.

    Args:
        engine: a session of its own.
        n_vocab: ids from here on are padding.
    """

    def __init__(self, engine: Engine, n_vocab: int) -> None:
        self._engine, self._n_vocab = engine, n_vocab
        self._capacity = 0
        self._read: list[int] = []  # what is in the engine's cache
        self._ids: list[int] = []  # the text of these:
        self._rows: list[NDArray[np.float32] | None] = []  # logits after each token; None: not kept
        self._came: list[Came | None] = []
        self.read_tokens = 0  # so many were read so far, for tests and benchmarks

    def read(self, ids: Sequence[int]) -> Reading:
        """Read a text of at least one token, at most as long as the context.

        Raises:
            OverflowedError: the model's numbers overflow.
            GptcliError: there is no memory.
        """
        same = shared_prefix(self._ids, ids)
        del self._rows[same:], self._came[same:]
        self._ids = list(ids[:same])
        if same and self._rows[-1] is None:
            self._rows[-1] = self._logits(ids, same - 1, same)[0]
        while len(self._ids) < len(ids):
            start = len(self._ids)
            piece = ids[start : start + _PIECE]
            self._add(list(piece), self._logits(ids, start, start + len(piece)))
            self._drop_oldest()
        return Reading(tuple(ids), tuple(self._came))

    def logits(self, position: int) -> NDArray[np.float32]:
        """The logits after a token of the text that was read last: [V].

        Raises:
            OverflowedError, GptcliError: as ``read``.
        """
        row = self._rows[position]
        return self._logits(self._ids, position, position + 1)[0] if row is None else row

    def _logits(self, ids: Sequence[int], start: int, end: int) -> NDArray[np.float32]:
        """Logits after the tokens from ``start`` to ``end``: [end - start, V]."""
        try:
            logits = self._advance(ids, start, end)[:, : self._n_vocab]
        except BaseException:
            self._read, self._capacity = [], 0  # the cache may hold anything
            raise
        return finite(logits)

    def _advance(self, ids: Sequence[int], start: int, end: int) -> NDArray[np.float32]:
        if self._read and end <= self._capacity:
            same = min(shared_prefix(self._read, ids), start)
            if same:
                self._engine.rewind(len(self._read) - same)
                new = list(ids[same:end])
                self._read = list(ids[:end])
                self.read_tokens += len(new)
                return self._engine.extend(new)[start - same :]
        most = self._engine.n_positions
        if end > self._capacity:
            self._capacity = min(max(_LEAST_CAPACITY, 2 * end), most)
        self.read_tokens += end
        if start == 0:
            logits = self._engine.read_texts([list(ids[:end])], self._capacity)
        else:
            self._engine.prefill([list(ids[:start])], self._capacity)
            logits = self._engine.extend(list(ids[start:end]))
        self._read = list(ids[:end])
        return logits

    def _add(self, piece: list[int], logits: NDArray[np.float32]) -> None:
        for token, row in zip(piece, logits, strict=True):
            before = self._rows[-1] if self._rows else None
            self._came.append(None if before is None else came(before, token))
            self._ids.append(token)
            self._rows.append(row)

    def _drop_oldest(self) -> None:
        """Forget logits of the earliest positions, where there are too many; the last ones stay."""
        most = max(_MOST_LOGITS // (4 * max(self._n_vocab, 1)), 2)
        for position in range(len(self._rows) - most):
            self._rows[position] = None


def came(logits: NDArray[np.float32], token: int) -> Came:
    """How expected a token was, by the logits [V] before it."""
    bits = -float(log_softmax(logits)[token]) / float(np.log(2))
    return Came(max(bits, 0.0), rank_of(logits, token))

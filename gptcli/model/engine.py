"""The interface between generation and a model: ids in, float32 logits out, one batch at a time.

An engine knows nothing about text. Callers use only the ``Engine`` protocol, so that another implementation (or a mock
model in a test) can replace the PyTorch one. Every engine checks its arguments (``bounds``) before it computes
anything: a call that raises IndexError has changed nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Quantize = Literal["none", "int8", "int4"]
"""Quantization of matrices: none, 8 bits with one scale a row, or 4 bits with one scale for 32 weights."""

CacheType = Literal["float32", "float16"]
"""Precision of the cached keys and values."""

Take = Callable[[NDArray[np.float32]], None]
"""Is given logits [positions, V], some positions at a time, in memory that is written again afterwards."""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says about itself.

    Attributes:
        name: for example ``C (avx512)`` or ``PyTorch``.
        device: where it computes: ``cpu``, ``cuda`` or ``mps``.
        dtype: precision of the computation and of the cached keys and values.
        weights: storage type of matrices: ``float32``, ``float16``, ``bfloat16``, ``int8`` or ``int4``.
        threads: number of threads that compute on the CPU.
        weight_bytes: bytes of weights that one step reads.
        cache_itemsize: bytes of one number of the keys and values.
        why_not_c: why the engine in C cannot run this model here, as a sentence without its full stop; None where it
            runs or could run the model, or does not apply (on a GPU).
    """

    name: str
    device: str
    dtype: str
    weights: str
    threads: int
    weight_bytes: int
    cache_itemsize: int
    why_not_c: str | None = None


class Engine(Protocol):
    """A model that reads token ids and returns the logits of the next token.

    Call ``prefill`` first: before it the batch has no rows.
    """

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""

    @property
    def guessed(self) -> int | None:
        """Tokens so far that were guessed correctly; None for an engine that does not guess."""

    def facts(self) -> EngineFacts:
        """Name, device, precision and bytes read by a step."""

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read the prompts.

        Args:
            rows: token ids of each prompt, of any lengths between 1 and ``capacity``.
            capacity: positions that a row may grow to, at most ``n_positions``.

        Returns:
            Logits after each prompt's last token, [B, V].

        Raises:
            IndexError: there is no row, one has no ids or more than ``capacity``, an id is not in the vocabulary, or
                the capacity is not from 1 to ``n_positions``.
            GptcliError: there is not enough memory; there is no batch then.
        """

    def read_texts(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        """Start a new batch: read texts, for what the model expected at each of their tokens.

        Args:
            rows: token ids of each text, of any lengths between 1 and ``capacity``; together no more than fit into
                memory with their logits.
            capacity: see ``prefill``.

        Returns:
            Logits after each token, one text after the other: [sum of the lengths, V].

        Raises:
            IndexError, GptcliError: see ``prefill``.
        """

    def read_by_blocks(self, ids: Sequence[int], take: Take, first: int = 0) -> None:
        """Start a new batch of one row: read a text, for what the model expected at each of its tokens.

        Args:
            ids: token ids, from 1 to ``n_positions``.
            take: is given the logits after each token. It must not call this engine.
            first: the tokens before this one are only read.

        Raises:
            IndexError, GptcliError: see ``prefill``; and whatever ``take`` raises.
        """

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch: [B] -> logits [B, V].

        Raises:
            IndexError: there are not as many ids as rows, a row is full, or an id is not in the vocabulary.
            GptcliError: there is not enough memory.
        """

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row: logits after each, [len(ids), V].

        Raises:
            IndexError: the batch has another number of rows, there is no id, the row has no capacity for all of them,
                or one is not in the vocabulary.
            GptcliError: there is not enough memory.
        """

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row.

        Raises:
            IndexError: the batch has another number of rows, or the row is shorter.
        """

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Replace the contents of one row of the batch by these ids; there may be none.

        Raises:
            IndexError: the row does not exist, it has no capacity for all ids, or one is not in the vocabulary.
            GptcliError: there is not enough memory.
        """

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order; one row may be named more than once.

        Raises:
            IndexError: one of them does not exist.
            GptcliError: there is not enough memory.
        """

    def row_bytes(self, capacity: int) -> int:
        """Memory in bytes that a row of a batch with a capacity of so many tokens takes."""

    def free_bytes(self) -> int | None:
        """Memory in bytes that is left for batches; None where it is unknown."""

    def new_session(self) -> "Engine":
        """Another engine that shares the weights and has its own batch.

        Raises:
            InputError: the model is divided over several processes, which run one batch at a time.
        """


# Tokens whose logits are in memory at a time: of 50,257 tokens 26 MB.
_BLOCK = 128


def blocks_of_logits(engine: Engine, ids: Sequence[int], first: int = 0) -> Iterator[NDArray[np.float32]]:
    """Logits after each of ``ids[first:]`` of a new batch of one row, some positions at a time: [positions, V]."""
    if first:
        done = first + 1
        yield engine.prefill([ids[:done]], len(ids))
    else:
        done = min(_BLOCK, len(ids))
        yield engine.read_texts([ids[:done]], len(ids))
    for start in range(done, len(ids), _BLOCK):
        yield engine.extend(ids[start : start + _BLOCK])


def read_by_blocks(engine: Engine, ids: Sequence[int], take: Take, first: int = 0) -> None:
    """``Engine.read_by_blocks`` for an engine that has no faster way."""
    for logits in blocks_of_logits(engine, ids, first):
        take(logits)


# The most rows of a batch: more do not raise throughput, and the first text should not wait for thousands of others.
_MOST_ROWS = 128


def rows_at_once(engine: Engine, capacity: int) -> int:
    """How many rows of this capacity one batch should have, given the free memory; at least one."""
    free = engine.free_bytes()
    if free is None:
        return _MOST_ROWS
    return max(min(free // (2 * max(engine.row_bytes(capacity), 1)), _MOST_ROWS), 1)

"""What generation asks of a model: ids in, float32 logits out, one batch at a time.

An engine knows nothing of text. Callers talk to the ``Engine`` protocol only, so that another way to compute the same
step (or a test's toy) can stand in for the PyTorch one. Every engine checks what it is asked for (``bounds``) before it
computes anything: a call that raises IndexError has changed nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Quantize = Literal["none", "int8", "int4"]
"""How matrices are kept: as they are, in 8 bits with one scale a row, or in 4 bits with one scale for 32 weights."""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says about itself.

    Attributes:
        name: what it is called, such as ``C (avx512)`` or ``PyTorch``.
        device: where it computes: ``cpu``, ``cuda`` or ``mps``.
        dtype: in which precision it computes, and keeps keys and values.
        weights: how it keeps matrices: ``float32``, ``float16``, ``bfloat16``, ``int8`` or ``int4``.
        threads: that compute on the CPU.
        weight_bytes: bytes of weights that one step reads.
        cache_itemsize: bytes of one number of the keys and values.
        why_not_c: why the engine in C cannot run this model here, in a sentence without its full stop; None where it
            does, could, or is out of the question (on a GPU).
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
    """A model that reads token ids and says what may come next.

    ``prefill`` comes first: before it the batch has no rows.
    """

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""

    @property
    def guessed(self) -> int | None:
        """Tokens that it had read before they were chosen, so far; None for an engine that does not guess."""

    def facts(self) -> EngineFacts:
        """What it is, where it runs, and what a step reads."""

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

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token in each row of the batch: [B] -> logits [B, V].

        Raises:
            IndexError: there are not as many ids as rows, a row is full, or an id is not in the vocabulary.
            GptcliError: there is not enough memory.
        """

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read several tokens of a batch of one row: logits after each, [len(ids), V].

        Raises:
            IndexError: the batch has another number of rows, there is no id, the row has no room for all of them, or
                one is not in the vocabulary.
            GptcliError: there is not enough memory.
        """

    def rewind(self, count: int) -> None:
        """Forget the latest tokens of a batch of one row.

        Raises:
            IndexError: the batch has another number of rows, or the row is shorter.
        """

    def refill(self, row: int, ids: Sequence[int]) -> None:
        """Forget one row of the batch and read these ids in its place; there may be none.

        Raises:
            IndexError: there is no such row, it has no room for all ids, or one is not in the vocabulary.
            GptcliError: there is not enough memory.
        """

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order; one row may be named more than once.

        Raises:
            IndexError: one of them is not there.
            GptcliError: there is not enough memory.
        """

    def new_session(self) -> "Engine":
        """Another engine of the same weights, with a batch of its own.

        Raises:
            InputError: several processes hold the model, and read one batch at a time.
        """

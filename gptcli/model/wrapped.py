"""What engines that stand before another engine have in common."""

from typing import Generic, TypeVar

from gptcli.model.engine import Engine, EngineFacts

Inner = TypeVar("Inner", bound=Engine)


class Wrapped(Generic[Inner]):
    """The part of an engine that says what it is: that of the engine behind it.

    Args:
        engine: does the work.
    """

    def __init__(self, engine: Inner) -> None:
        self._engine = engine

    @property
    def n_positions(self) -> int:
        """The context length in tokens."""
        return self._engine.n_positions

    def facts(self) -> EngineFacts:
        """What does the work (see ``Engine.facts``)."""
        return self._engine.facts()

    def row_bytes(self, capacity: int) -> int:
        """What a row of a batch takes (see ``Engine.row_bytes``)."""
        return self._engine.row_bytes(capacity)

    def free_bytes(self) -> int | None:
        """The memory that is left for batches (see ``Engine.free_bytes``)."""
        return self._engine.free_bytes()

"""Progress while texts are written: how many are finished."""

from collections.abc import Callable

from gptcli.generation.writing import Piece
from gptcli.show.story import Writer


class CountingWriter:
    """Another writer, with a report of each finished text.

    Args:
        writer: shows the texts.
        progress: called with how many are finished, and how many there are.
        total: of the texts.
    """

    def __init__(self, writer: Writer, progress: Callable[[int, int], None], total: int) -> None:
        self._writer, self._progress, self._total = writer, progress, total
        self._done = 0

    def begin(self) -> None:
        """Start a batch."""
        self._writer.begin()

    def piece(self, piece: Piece) -> None:
        """Show a chosen token; report the text if it was its last."""
        self._writer.piece(piece)
        if piece.completion.finish_reason is not None:
            self._done += 1
            self._progress(self._done, self._total)

    def close(self) -> None:
        """End the batch."""
        self._writer.close()

"""Progress while texts are written: how many are finished."""

from collections.abc import Callable

from gptcli.generation.writing import Piece, Writing
from gptcli.show import story
from gptcli.show.story import Writer
from gptcli.show.terminal.progress import progress_beside_rows


class CountingWriter:
    """Another writer, with a report of each finished text.

    Args:
        writer: shows the texts.
        progress: called with how many are finished, and how many there are.
        total: of the texts.
    """

    def __init__(self, writer: Writer, progress: Callable[[int, int | None], None], total: int) -> None:
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


def write_counted(writing: Writing, output: str | None, *, echo: bool, pace: float = 0.0, written: int = 0) -> None:
    """Generate and show the texts of a request, with a report of how many are finished where it has several prompts.

    Args:
        writing: the texts.
        output, echo, written: see ``story.writer_for``.
        pace: seconds to wait after each token.
    """
    writer = story.writer_for(writing, output, echo=echo, written=written)
    count = len(writing.request.prompts)
    if count == 1:
        return story.write(writing, writer, pace)
    with progress_beside_rows("writing") as progress:
        story.write(writing, CountingWriter(writer, progress, count * writing.request.num_samples), pace)

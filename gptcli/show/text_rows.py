"""A table with a row for each of many texts, printed as the answers come."""

import sys
from collections.abc import Sequence

from gptcli.show.terminal.console import stdout_console, stdout_is_terminal
from gptcli.text import visible

# Characters of a text.
_MOST = 200


class TextRows:
    """Rows of figures, then the text or the name of its file. Widths are fixed, so that rows can be compared.

    On a terminal a row is cut at the right edge; in a pipe it has the first 200 characters of the text.

    Args:
        columns: the heading of each column of figures, and its width.
        last: the heading of the last column.
    """

    def __init__(self, columns: Sequence[tuple[str, int]], last: str = "text") -> None:
        self._widths = [width for _, width in columns]
        self._console = stdout_console() if stdout_is_terminal() else None
        self._headings: list[str] | None = [*(heading for heading, _ in columns), last]

    def row(self, figures: Sequence[str], text: str) -> None:
        """Print one row, below the headings: figures, and the text on one line."""
        if self._headings is not None:  # now, since nothing should be printed before a mistake is found
            *headings, last = self._headings
            self._headings = None
            self._print(headings, last, "bold")
        self._print(figures, visible(text[: _MOST + 1].replace("\n", "⏎"), keep="")[:_MOST] + "…" * (len(text) > _MOST))

    def _print(self, figures: Sequence[str], last: str, style: str | None = None) -> None:
        cells = "  ".join(f"{figure:>{width}}" for figure, width in zip(figures, self._widths, strict=True))
        line = f"{cells}  {last}".rstrip()
        if self._console is None:
            sys.stdout.write(f"{line}\n")
            return
        from rich.text import Text

        self._console.print(Text(line, style=style or ""), no_wrap=True, overflow="ellipsis", crop=True)

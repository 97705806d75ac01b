"""Running text on a terminal, wrapped between words while it is being written.

A piece is shown as soon as it is there, although its last word may go on in the next piece. When such a word grows over
the right edge, it is taken back and begun again on the next line.
"""

import sys
from typing import TYPE_CHECKING

from gptcli.show.terminal.encoding import escaped
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import Console

_TAB = 8


class Flow:
    """Text that goes to stdout piece by piece: wrapped on a terminal, unchanged into a pipe.

    Args:
        console: the terminal's, whose width may change; None for a pipe.
    """

    def __init__(self, console: "Console | None") -> None:
        self._console = console
        self._column = 0
        self._word: list[tuple[str, str]] = []  # what stands since the last break: characters and their styles
        self._cells = 0  # of the word
        self._out: list[tuple[str, str]] = []

    def write(self, text: str, style: str | None = None) -> None:
        """Write a piece; on a terminal its control characters are made visible."""
        if self._console is None:
            sys.stdout.write(escaped(text))
            return
        # The last column stays free: a terminal that has filled it moves the cursor in its own way.
        limit = max(self._console.width - 1, 2)
        for character in visible(text):
            self._put(character, style or "", limit)
        self._flush()

    def begin_line(self) -> None:
        """Say that the cursor is at the beginning of a line: somebody else has written."""
        self._column, self._cells, self._word = 0, 0, []

    def _put(self, character: str, style: str, limit: int) -> None:
        from rich.cells import cell_len

        if character == "\n":
            self._out.append((character, style))
            self.begin_line()
        elif character in " \t":
            self._space(character, style, limit)
        else:
            width = cell_len(character)
            if self._column + width > limit:
                self._next_line(width, limit)
            self._out.append((character, style))
            self._column += width
            # Chinese, Japanese and Korean may break between any two characters.
            self._word = [*self._word, (character, style)] if width < 2 else []
            self._cells = self._cells + width if width < 2 else 0

    def _space(self, character: str, style: str, limit: int) -> None:
        width = 1 if character == " " else _TAB - self._column % _TAB
        if self._column + width <= limit:
            self._out.append((character, style))
            self._column += width
        else:  # at the edge it is what the line break stands for
            self._column = limit
        self._word, self._cells = [], 0

    def _next_line(self, width: int, limit: int) -> None:
        """Begin a line, with the word that does not fit; one longer than a line is broken."""
        if self._word and self._cells < self._column and self._cells + width <= limit:
            self._flush()
            self._out.append(("\b" * self._cells + " " * self._cells + "\n", ""))
            self._out += self._word
            self._column = self._cells
        else:
            self._out.append(("\n", ""))
            self.begin_line()

    def _flush(self) -> None:
        """Hand over what was collected, neighbours of one style at once."""
        from itertools import groupby
        from operator import itemgetter

        from rich.segment import Segment, Segments

        assert self._console is not None
        segments = [
            Segment("".join(text for text, _ in some), self._console.get_style(style) if style else None)
            for style, some in groupby(self._out, key=itemgetter(1))
        ]
        self._out = []
        if segments:
            self._console.print(Segments(segments), end="", soft_wrap=True)

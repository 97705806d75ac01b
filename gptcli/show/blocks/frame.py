"""A text while it grows, with the candidates next to it or below it, never taller than the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.passage import Passage

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment

    from gptcli.probability.choice import Explanation

# From this width on, the candidates are next to the text; they take half of the width, or less if they need less.
_BESIDE, _TABLE = 120, 84
# Lines for the text on a low terminal.
_LEAST_LINES = 3
# With fewer candidates than this, everything else gives way.
_FEW = 5


@dataclass(frozen=True)
class Frame:
    """A frame of the live display.

    Attributes:
        prompt: text before them.
        steps: the tokens so far.
        now: draws the candidates, no more than so many of them.
        listed: how many there are.
        low: the same without all that is not needed, for a low terminal.
    """

    prompt: str
    steps: "Sequence[Explanation]"
    now: "Callable[[int], RenderableType]"
    listed: int
    low: "Callable[[int], RenderableType] | None" = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it as wide and at most as tall as the terminal, less the line of the cursor."""
        from rich.segment import Segment

        height = max(console.height - 1, 1)
        layout = self._beside if options.max_width >= _BESIDE else self._below
        whole = layout(console, options.update(height=None), height)
        for line in console.render_lines(whole, options.update(height=None), pad=False)[:height]:
            yield from _trimmed(line)
            yield Segment.line()

    def _below(self, console: "Console", options: "ConsoleOptions", height: int) -> "RenderableType":
        from rich.console import Group

        now, taken = self._candidates(console, options, height - _LEAST_LINES)
        return Group(Passage(self.prompt, self.steps, max(height - taken, 1)), now)

    def _beside(self, console: "Console", options: "ConsoleOptions", height: int) -> "RenderableType":
        from rich.table import Table

        width = min(options.max_width // 2, _TABLE)
        grid = Table.grid(expand=True, padding=(0, 2))
        grid.add_column(ratio=1)
        grid.add_column(width=width)
        grid.add_row(
            Passage(self.prompt, self.steps, height), self._candidates(console, options.update(width=width), height)[0]
        )
        return grid

    def _candidates(self, console: "Console", options: "ConsoleOptions", lines: int) -> "tuple[RenderableType, int]":
        """As many candidates as fit, and the lines that they take."""
        made = self.now(self.listed)
        taken = len(console.render_lines(made, options))
        if taken <= lines:
            return made, taken
        most = self.listed - (taken - lines)
        if most < _FEW and self.low is not None:
            # Its rows are all that can go.
            taken = len(console.render_lines(self.low(self.listed), options))
            most = min(max(self.listed - (taken - lines), 1), self.listed)
            return self.low(most), taken - (self.listed - most)
        most = max(most, 1)
        return self.now(most), taken - (self.listed - most)


def _trimmed(line: "list[Segment]") -> "list[Segment]":
    """A line without the blanks at its end.

    A line filled to the edge would wrap if something is printed after it, such as the terminal's ^C.
    """
    from rich.segment import Segment

    while line:
        last = line[-1]
        if last.style and (last.style.bgcolor or last.style.reverse):
            break
        if text := last.text.rstrip():
            return [*line[:-1], Segment(text, last.style)]
        line = line[:-1]
    return line

"""A text with each token on the colour of its probability, and the legend of the colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import TextLegend, has_colours
from gptcli.show.blocks.palette import on_scale
from gptcli.show.blocks.tokens import token_strip
from gptcli.show.html.parts import Legend
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from gptcli.probability.choice import Explanation

LEGEND = Legend("the model gave it", [(f"{step}%", step / 100) for step in range(0, 101, 25)])


@dataclass(frozen=True)
class Passage:
    """A prompt and the tokens that were added, each on the colour of the probability that the model gave it.

    Without colour each token has its probability under it.

    Attributes:
        prompt: text before the tokens.
        steps: the tokens.
        lines: show only so many, from the end; None: all.
    """

    prompt: str
    steps: "Sequence[Explanation]"
    lines: int | None = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it as wide as the terminal."""
        from rich.segment import Segment

        if self.lines is None:
            yield self._text(console, options.max_width, 0)
            return
        most = (
            self.lines * options.max_width
        )  # tokens that may be visible; rounded, so that line breaks stay where they were
        start = max(len(self.steps) // most - 1, 0) * most
        whole = self._text(console, options.max_width, start)
        drawn = console.render_lines(whole, options.update(height=None), pad=False)
        for line in drawn[-self.lines :]:
            yield from line
            yield Segment.line()

    def _text(self, console: "Console", width: int, start: int) -> "Text":
        from rich.text import Text

        text = Text(visible(self.prompt) if start == 0 else "", style="bold", end="\n")
        steps = self.steps[start:]
        if not has_colours(console):
            below = [short_percent(step.chosen.model_probability) for step in steps]
            strip = token_strip([token_text(step.chosen.token) for step in steps], below, width)
            return text.append("\n").append_text(strip) if self.prompt and not start else strip
        for step in steps:
            text.append(_flowing(step.chosen.token), style=f"not bold {style(step.chosen.model_probability)}")
        return text


def style(probability: float) -> str:
    """Text on the colour of a probability."""
    return on_scale(probability)


def short_percent(probability: float) -> str:
    """A probability in a few characters; 0 and 100 only if exact."""
    if 0 < probability < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= probability < 1 else f"{probability:.0%}"


def _flowing(token: bytes) -> str:
    """A token as a part of running text: its spaces are spaces, since its colour shows where it ends."""
    try:
        return visible(token.decode())
    except UnicodeDecodeError:
        return token_text(token)


def legend() -> TextLegend:
    """The legend of the colours."""
    return TextLegend(LEGEND, "below each token: the probability that the model gave it")

"""The pictures of ``gptcli chat``: the prompt as the model sees it, and what was said."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.generation.chat.turns import Format, Prompt, Turn
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

_SEEN, _FALLEN = "│", "✗"


def draw_prompt(prompt: Prompt) -> "RenderableType":
    """The prompt with a line in front of what the model sees, and a cross in front of what it does not see any more."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 1))
    for part in prompt.parts:
        for text, mark, style in (
            (part.fallen_text, _FALLEN, "dim strike"),
            (part.text.removeprefix(part.fallen_text), _SEEN, "bold" if part.role == "cue" else ""),
        ):
            for line in visible(text).removeprefix("\n").split("\n") if text else ():
                lines.add_row(Text(mark, style="dim"), Text(line, style=style))
    count = f"the model sees {len(prompt.ids):,} tokens, of a context of {prompt.n_positions:,}"
    fallen = f"; {prompt.fallen:,} have fallen out ({_FALLEN})" if prompt.fallen else ""
    return Group(lines, Text(count + fallen, style="dim"))


def draw_turns(layout: Format, system: str, turns: Sequence[Turn]) -> "RenderableType":
    """What was said, by whom."""
    from rich.text import Text

    drawn = Text(f"{visible(system)}\n\n" if system else "", style="")
    for turn in turns:
        name = layout.user if turn.role == "user" else layout.assistant
        drawn.append(f"{visible(name)}: ", style="bold").append(f"{visible(turn.text)}\n")
    return drawn

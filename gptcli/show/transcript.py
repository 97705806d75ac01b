"""The drawings of ``gptcli chat``: the prompt as the model sees it, and the conversation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptcli.generation.chat.script import Format
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.turns import Prompt, PromptPart, Turn
from gptcli.show.blocks.palette import series
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_SEEN, _FALLEN = "│", "✗"
_SPECIAL = ("«", "»")


def draw_prompt(prompt: Prompt) -> "RenderableType":
    """The prompt, with a bar before the parts that the model sees, and a cross before the dropped ones.

    Special tokens that a template wrote are enclosed in marks, so that they differ from text that spells one.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 1))
    seen = [part for part in prompt.parts if part.role in ("special", "text")]
    if seen:
        for part in prompt.parts[: len(prompt.parts) - len(seen)]:
            for line in visible(f"{part.role}: {part.text}").split("\n"):
                lines.add_row(Text(_FALLEN, style="dim"), Text(line, style="dim strike"))
        for drawn in _rendered(seen).split("\n", allow_blank=True):
            lines.add_row(Text(_SEEN, style="dim"), drawn)
        return Group(lines, Text(_count(prompt) + f"; {'…'.join(_SPECIAL)} are special tokens", style="dim"))
    for part in prompt.parts:
        for text, mark, style in (
            (part.fallen_text, _FALLEN, "dim strike"),
            (part.text.removeprefix(part.fallen_text), _SEEN, "bold" if part.role == "cue" else ""),
        ):
            for line in visible(text).removeprefix("\n").split("\n") if text else ():
                lines.add_row(Text(mark, style="dim"), Text(line, style=style))
    return Group(lines, Text(_count(prompt), style="dim"))


def _count(prompt: Prompt) -> str:
    count = f"the model sees {len(prompt.ids):,} tokens, of a context of {prompt.n_positions:,}"
    return count + (f"; {prompt.fallen:,} have fallen out ({_FALLEN})" if prompt.fallen else "")


def _rendered(parts: Sequence[PromptPart]) -> "Text":
    """The prompt that a template wrote, with marks around special tokens."""
    from rich.text import Text

    drawn = Text()
    for part in parts:
        if part.role == "special":
            drawn.append(f"{_SPECIAL[0]}{visible(part.text, keep='')}{_SPECIAL[1]}", style=f"bold {series(0)}")
        else:
            drawn.append(visible(part.text))
    return drawn


def draw_turns(layout: Format | TemplateLayout, system: str | None, turns: Sequence[Turn]) -> "RenderableType":
    """The turns of a conversation, each with its speaker."""
    from rich.text import Text

    drawn = Text(f"{visible(system)}\n\n" if system else "", style="")
    for turn in turns:
        name = layout.user if turn.role == "user" else layout.assistant
        drawn.append(f"{visible(name)}: ", style="bold").append(f"{visible(turn.text)}\n")
    return drawn

"""The picture of ``gptcli similarity --in-context``: the contexts, their similarity by layer, and nearest tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.pictures import table
from gptcli.show.blocks.plot import HOLLOW, MARKERS, Line, LinePlot
from gptcli.show.terminal.watching import lines_allowed
from gptcli.show.vectors import MEASURES, HeatMap
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.contexts import Context, ContextSimilarities
    from gptcli.show.blocks.rows import Rows

_MOST_LINES = len(MARKERS + HOLLOW)
_POSITIONS = (
    "The embedding's similarity is below 1 though the token is the same: this model adds a vector for each position."
)
_STEP_COLUMN, _CONTEXT_COLUMN = 12, 22  # columns of the terminal


def draw(answer: "ContextSimilarities") -> "RenderableType":
    """The contexts by number, a line for each pair, the figures, and the nearest tokens."""
    from rich.console import Group
    from rich.text import Text

    pairs = [f"{pair.first}–{pair.second}" for pair in answer.pairs]
    measure = MEASURES[answer.metric]
    shown = answer.pairs[:_MOST_LINES]
    lines = [Line(name, pair.values) for name, pair in zip(pairs, shown, strict=False)]
    steps = ["embed", *answer.layers[1:]]
    more = f", the first {len(shown)} of {len(pairs)} pairs" if len(shown) < len(pairs) else ""
    figures = [[pair.values[step] for pair in answer.pairs] for step in range(len(answer.layers))]
    plot = LinePlot(lines, steps, "layer", f"{measure}{more}")
    if lines_allowed() is not None:  # the curve without its figures
        return Group(_listed(answer), Text(), plot)
    same = len({context.tokens[-1].id for context in answer.contexts}) == 1
    moved = same and answer.metric == "cosine" and any(pair.values[0] < 0.9995 for pair in answer.pairs)
    parts: list[RenderableType] = [
        _listed(answer),
        Text(),
        plot,
        Text(),
        HeatMap(answer.layers, pairs, figures, visible(f"{answer.model}, {measure} after each layer", keep="")),
    ]
    if moved:
        parts.append(Text(_POSITIONS, style="dim"))
    if answer.nearest:
        parts += [Text(f"\nNearest tokens, by {answer.nearest_by}", style="bold"), _Nearest(answer)]
    return Group(*parts)


def _listed(answer: "ContextSimilarities") -> "Text":
    """Each context on a line, its marked word in brackets and bold, and the token that is compared."""
    from rich.text import Text

    lines = []
    for number, context in enumerate(answer.contexts, start=1):
        line = Text(f"{number}  ", style="bold").append(_part(context.text[: context.start]), style="not bold")
        line.append(f"[{_part(context.text[context.start : context.end])}]")
        line.append(_part(context.text[context.end :]), style="not bold")
        lines.append(line.append(f"  {_name(context)} at position {context.position}", style="not bold dim"))
    return Text("\n").join(lines)


def _part(text: str) -> str:
    return visible(text, keep="")


def _name(context: "Context") -> str:
    return token_text(context.tokens[-1].token)


@dataclass(frozen=True)
class _Nearest:
    """A row for each layer and a column for each context, in tables of as many columns as fit."""

    answer: "ContextSimilarities"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw the tables, one below the other."""
        count = max((options.max_width - _STEP_COLUMN) // _CONTEXT_COLUMN, 1)
        for start in range(0, len(self.answer.contexts), count):
            yield self._table(range(start, min(start + count, len(self.answer.contexts))))

    def _table(self, numbers: range) -> "Rows":
        made = table("layer", *(f"{number + 1}  {_name(self.answer.contexts[number])}" for number in numbers))
        for column in made.columns[1:]:
            column.no_wrap, column.ratio = False, 1
        for step, layer in enumerate(self.answer.layers):
            near = [self.answer.nearest[number][step] for number in numbers]
            made.add_row(layer, *("  ".join(token_text(item.token) for item in items) for items in near))
        return made

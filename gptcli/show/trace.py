"""The picture of ``gptcli trace``: the steps in order, weights in one colour and data in the other.

Weights are written ``⟨rows × columns⟩`` and data ``[rows × columns]``, so that they are told apart without colour too.
The colours are the first two of the palette's lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from gptcli.counting.steps import OF_POSITIONS
from gptcli.show.blocks.figures import number_text, percent
from gptcli.show.blocks.palette import series
from gptcli.show.blocks.tokens import token_strip
from gptcli.show.terminal.watching import lines_allowed
from gptcli.show.trace_diagram import LayerDiagram
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.counting.steps import TraceStep
    from gptcli.counting.tracing import Trace
    from gptcli.tokenizer.token import Token

_GAP = "  "
_NUMBER = 8  # columns of a number and a space
_FEW = 4
# Up to this many equal layers are shown one by one.
_ALIKE = 4
_TOKENS_SHOWN = 60


def draw(trace: "Trace", *, full: bool = False) -> "RenderableType":
    """A headline, the tokens, the steps, and what comes out; ``full``: every step of an opened layer on its line."""
    from rich.console import Group
    from rich.text import Text

    low = lines_allowed() is not None  # without what the text of the tour says
    parts: list[RenderableType] = [_headline(trace), *([] if low else [_legend()])]
    if trace.tokens is not None:
        parts += [*([] if low else [Text()]), TokenStrip(trace.tokens)]
    parts += [] if low else [Text()]
    parts.append(Steps(trace, full))
    if trace.next is not None:
        said = f"{token_text(trace.next.token)} {percent(trace.next.probability)}"
        parts.append(Text("most probable next: ").append(said, style=f"bold {series(1)}"))
    return Group(*parts)


def _headline(trace: "Trace") -> "Text":
    from rich.text import Text

    config = trace.config
    shape = f"{config.n_layer:,} layers of {config.n_head:,} heads, width {config.n_embd:,}"
    tokens = f"{trace.n_tokens:,} token{'' if trace.n_tokens == 1 else 's'}"
    return Text(visible(trace.model, keep=""), style="bold").append(f"  {tokens} through {shape}", style="not bold")


def _legend() -> "Text":
    from rich.text import Text

    text = Text().append("⟨weights⟩", style=series(0)).append(" stay the same for every text, ", style="dim")
    return text.append("[data]", style=series(1)).append(" is made from this one", style="dim")


@dataclass(frozen=True)
class TokenStrip:
    """The tokens with their ids; of a long text the latest."""

    tokens: "Sequence[Token]"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Wrap them to the terminal's width."""
        from rich.text import Text

        first = max(len(self.tokens) - _TOKENS_SHOWN, 0)
        if first:
            yield Text(f"… after {first:,} earlier tokens", style="dim")
        shown = [token_text(each.token) for each in self.tokens[first:]]
        yield token_strip(shown, [str(each.id) for each in self.tokens[first:]], options.max_width)


@dataclass(frozen=True)
class Steps:
    """One line for each step: its name, the shape of the data after it, its parameters, and a few numbers.

    An opened layer is a diagram; with ``full`` it has a line for each step, too, and weights and remarks that do not
    fit next to a step are below it.
    """

    trace: "Trace"
    full: bool = False

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Lay it out for the terminal's width; what does not fit is left out from the right, counts last."""
        from rich.text import Text

        total = f"{self.trace.parameters:,}"
        opened_steps = [step for step in self.trace.steps if step.layer is not None and step.name != "layer"]
        inside = {id(step) for step in opened_steps} if not self.full else set()
        steps = self.trace.steps if self.full else _thinned(self.trace.steps, opened_steps)
        if lines_allowed() is not None and self.trace.tokens is not None:
            steps = [step for step in steps if step.name != "tokens"]  # they stand above
        lines = [_line(step, count) for step, count in _folded(steps, brief=bool(inside))]
        columns = zip(
            *(line[:3] for line in lines),
            ("all steps", "parameters" if len(total) < 10 else total, "data"),
            strict=True,
        )
        widths = [max(map(len, column)) for column in columns]
        used = sum(widths) + 3 * len(_GAP)
        below = sum(widths) + 2 * len(_GAP) > options.max_width  # too narrow for the shapes next to the steps
        weights = 0 if self.full else max(len(line.weights) for line in lines)
        room = options.max_width - used - (weights if used + weights + _NUMBER <= options.max_width else 0)
        few = min(max(room // _NUMBER, 0), _FEW) if self.trace.tokens is not None else 0
        used += few * _NUMBER
        fits = used + max(line.extra for line in lines) <= options.max_width
        yield self._head(widths[:2] if below else widths, few, options.max_width)
        opened = None
        for line in lines:
            if line.step.layer not in (None, opened) and line.step.name not in ("layer", "layers"):
                opened = line.step.layer
                head = next((step.head for step in opened_steps if step.head is not None), None)
                yield Text(f"layer {opened}, opened" + ("" if head is None else f", head {head}"), style="bold")
                if not self.full:
                    yield LayerDiagram(opened_steps, self.trace.tokens, self.trace.config.parallel_residual)
                    continue
            text = Text(no_wrap=True, overflow="ellipsis")
            text.append(line.name.ljust(widths[0]) + _GAP, style="" if line.name.startswith(" ") else "bold")
            text.append(line.parameters.rjust(widths[1]) + _GAP, style=series(0))
            if below:
                text.rstrip()
            text.append(f"\n    {line.data}" if below else line.data.ljust(widths[2]) + _GAP, style=series(1))
            text.append(_numbers(line.step, few).ljust(few * _NUMBER), style=series(1))
            if line.extra and not fits and (line.weights or used + line.extra > options.max_width) and self.full:
                text.append("\n    ")
            if self.full or used + len(line.weights) <= options.max_width:
                text.append(line.weights, style=series(0)).append(_GAP if line.weights else "")
            if self.full or used + line.extra <= options.max_width:
                text.append(line.step.detail, style="dim")
            text.rstrip()
            yield text
        yield Text("all steps".ljust(widths[0]) + _GAP, style="bold").append(total.rjust(widths[1]), style=series(0))

    def _head(self, widths: "Sequence[int]", few: int, width: int) -> "Text":
        from rich.text import Text

        head = "step".ljust(widths[0]) + _GAP + "parameters".rjust(widths[1]) + _GAP
        if len(widths) > 2:
            head += "data".ljust(widths[2]) + _GAP
        last = token_text(self.trace.tokens[-1].token) if self.trace.tokens else ""
        one = any(len(step.shape) == 3 for step in self.trace.steps)
        whose = ", head 1" if one and len(f"{head}numbers at {last}, head 1") <= width else ""
        return Text(head + (f"numbers at {last}{whose}" if few else ""), style="dim", no_wrap=True, overflow="ellipsis")


class _Line(NamedTuple):
    """The texts for a step, before they are laid out."""

    name: str
    parameters: str
    data: str
    weights: str
    step: "TraceStep"

    @property
    def extra(self) -> int:
        """Columns of weights and remark."""
        return len(self.weights) + (len(_GAP) if self.weights and self.step.detail else 0) + len(self.step.detail)


def _line(step: "TraceStep", alike: int) -> _Line:
    if step.name == "layers":
        name = f"layers {step.detail}"
        step = replace(step, detail="")
    elif step.name == "layer":
        name = f"layer {step.layer}" if alike == 1 else f"⋮ {alike:,} more, alike"
    else:
        name = ("  " if step.layer is not None else "") + step.name
        name += f", head {step.head}" if step.head is not None and step.weights else ""
    parameters = f"{step.parameters * alike:,}" if step.parameters else ""
    weights = " + ".join(f"⟨{_product(weight.shape)}⟩" for weight in step.weights)
    return _Line(name, parameters, f"[{_product(step.shape)}]", weights, step)


def _thinned(steps: "Sequence[TraceStep]", opened: "Sequence[TraceStep]") -> "list[TraceStep]":
    """The steps with the first of the opened layer for all of it."""
    left_out = {id(step) for step in opened[1:]}
    return [step for step in steps if id(step) not in left_out]


def _folded(steps: "Sequence[TraceStep]", *, brief: bool = False) -> "Iterator[tuple[TraceStep, int]]":
    """Each step and how many it stands for: a run of layers that differ only in number becomes three lines.

    With ``brief`` layers are alike whatever their numbers are, and a run of them becomes one line, with the last's.
    """
    for (kind, *_), group in groupby(steps, key=lambda step: _kind(step, brief=brief)):
        alike = list(group)
        if brief and kind == "layer" and len(alike) > 1:
            yield replace(alike[-1], name="layers", detail=f"{alike[0].layer} to {alike[-1].layer}"), len(alike)
            continue
        if len(alike) <= _ALIKE:
            yield from ((step, 1) for step in alike)
            continue
        yield alike[0], 1
        yield alike[1], len(alike) - 2
        yield alike[-1], 1


def _product(shape: "Sequence[int]") -> str:
    return " × ".join(f"{number:,}" for number in shape)


def _numbers(step: "TraceStep", few: int) -> str:
    """As many numbers as fit, with dots on the side of the others."""
    if not step.numbers or not few:
        return ""
    shown = step.numbers[-few:] if step.name in OF_POSITIONS else step.numbers[:few]
    return "".join(number_text(number).rjust(_NUMBER - 1) + " " for number in shown)


def _kind(step: "TraceStep", *, brief: bool) -> tuple[object, ...]:
    """Equal for steps that are alike: layers with the same parameters, and the same numbers unless brief."""
    if step.name != "layer":
        return (step.name, step)
    return ("layer", replace(step, layer=None, numbers=() if brief else step.numbers))

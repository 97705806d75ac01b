"""The pictures of ``gptcli neurons --neuron``: a neuron by its weights, and the passages that excite it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.attribution import SignedBar
from gptcli.show.blocks.heat import TextLegend, has_colours
from gptcli.show.blocks.narrow import BARS, narrowing
from gptcli.show.blocks.palette import on_scale
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.blocks.tokens import token_rows
from gptcli.show.circuits import fitting, token_bars
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Legend, Listing, PagePart, Strip
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from gptcli.inspection.neuron_weights import Neuron, NeuronView
    from gptcli.inspection.passages import NeuronPassage, NeuronPassages


def draw_neuron(view: "NeuronView") -> "RenderableType":
    """What it writes and what excites it, as two tables."""
    from rich.console import Group
    from rich.text import Text

    neuron = view.neuron
    written = table("it writes", ">logit", BARS)
    most = max(abs(each.score) for each in (*neuron.raises, *neuron.lowers)) or 1.0
    for each in (*neuron.raises, *reversed(neuron.lowers)):
        written.add_row(token_text(each.token), f"{each.score:+.2f}", SignedBar(each.score / most))
    excited = table("excited by", ">activation", BARS)
    largest = max((each.score for each in neuron.excited_by), default=0.0)
    for each in neuron.excited_by:
        excited.add_row(token_text(each.token), f"{each.score:.2f}", Bar(max(each.score, 0) / (largest or 1.0)))
    return Group(
        Text(f"Layer {neuron.layer}, neuron {neuron.neuron} of {view.model}", style="bold"),
        narrowing(written, BARS),
        narrowing(excited, BARS),
        *(Text(line, style="dim") for line in _said(view)),
    )


def draw_neuron_page(view: "NeuronView") -> Page:
    """The page: three lists."""
    neuron = view.neuron
    parts: list[PagePart] = [
        Listing("It raises", ("token", ">logit"), token_bars(neuron.raises)),
        Listing("It lowers", ("token", ">logit"), token_bars(neuron.lowers)),
        Listing("It is excited by", ("token", ">activation"), token_bars(neuron.excited_by)),
    ]
    return Page(f"Layer {neuron.layer}, neuron {neuron.neuron} of {view.model}", _said(view), parts)


def _said(view: "NeuronView") -> list[str]:
    alone = "as its embedding" if not view.through else f"through layer {view.through}"
    sample = "all" if view.sampled == view.n_vocab else f"{view.sampled:,} frequent"
    lines = [
        "it writes: the logits for an activation of 1, less their mean; through the norms behind it, whose scale the "
        "weights leave open, and the unembedding; later layers are left out",
        f"excited by: of {sample} tokens, each alone {alone}, without its position",
    ]
    if view.gated:
        lines.append(
            f"its MLP is gated: the activation is {view.activation} of one number times another, so it has both signs, "
            "and a negative one writes the opposite"
        )
    return lines


def draw_passages(found: "NeuronPassages") -> "RenderableType":
    """What it writes, and the passages, each token on the colour of the activation."""
    from rich.console import Group
    from rich.text import Text

    neuron = found.neuron
    most = max(found.largest, 0.0) or 1.0
    parts: list[RenderableType] = [
        Text(f"Layer {neuron.layer}, neuron {neuron.neuron} of {found.model} in {found.source}", style="bold")
    ]
    for passage in found.passages:
        head = Text(f"\n{passage.activation:.2f}", style="bold")
        parts += [head.append(f"  at token {passage.position:,}", style="not bold dim"), Coloured(passage, most)]
    legend = Legend("activation", _ticks(most), "no colour: under a twentieth of the largest")
    parts += [
        Text(),
        TextLegend(legend, "below each token: the activation, from a twentieth of the largest on"),
        *map(Text, facts(found)),
        _Written(neuron),
    ]
    return Group(*parts)


def _ticks(most: float) -> list[tuple[str, float]]:
    return [(f"{most * step / 4:.2f}", step / 4) for step in range(5)]


def facts(found: "NeuronPassages") -> list[str]:
    """How much was read, and how active the neuron was."""
    interrupted = "" if found.complete else "interrupted: "
    return [
        f"{interrupted}{found.read:,} tokens read, {found.window:,} at once · activation {found.smallest:.2f} to "
        f"{found.largest:.2f}, {found.mean:.3f} on average, above 0 at {found.positive:.1%}"
    ]


@dataclass(frozen=True)
class _Written:
    """What the neuron raises and lowers, on two lines."""

    neuron: "Neuron"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        """As many tokens as fit."""
        from rich.text import Text

        for name, listed in (("raises", self.neuron.raises), ("lowers", self.neuron.lowers)):
            line = Text(f"{name}  ", style="dim")
            yield line.append(
                fitting([token_text(each.token) for each in listed], options.max_width - 8), style="not dim"
            )


@dataclass(frozen=True)
class Coloured:
    """A passage with each token on the colour of the neuron's activation; without colour, with figures below.

    Attributes:
        passage: the passage.
        most: the activation at the end of the colour map; 0 and less is its beginning.
    """

    passage: "NeuronPassage"
    most: float

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Draw it as wide as the terminal."""
        from rich.cells import cell_len
        from rich.text import Text

        tokens = [(token_text(each.token), each.activation) for each in self.passage.tokens]
        if not has_colours(console):
            below = ((shown, f"{value:.1f}" if self._counts(value) else "") for shown, value in tokens)
            for number, row in enumerate(token_rows(below, options.max_width)):
                if number:
                    yield Text()
                yield row
            return
        line, used = Text(), 0
        for place, (shown, value) in enumerate(tokens):
            width = cell_len(shown)
            if used and used + width > options.max_width:
                yield line
                line, used = Text(), 0
            style = on_scale(value / self.most) if self._counts(value) else ""
            line.append(shown, style=f"{style} bold underline" if place == self.passage.peak else style)
            used += width
        yield line

    def _counts(self, value: float) -> bool:
        """Whether an activation is shown: at least a twentieth of the largest."""
        return abs(value) >= self.most / 20


def draw_passages_page(found: "NeuronPassages") -> Page:
    """The page: pointing at a token of a passage shows its activation."""
    neuron, most = found.neuron, max(found.largest, 0.0) or 1.0
    strips = [
        Strip(
            f"{passage.activation:.2f} at token {passage.position:,}",
            ("activation",),
            [
                Cell(
                    token_text(each.token),
                    each.activation / most if abs(each.activation) >= most / 20 else None,
                    (f"{each.activation:.3f}",),
                )
                for each in passage.tokens
            ],
            Legend("activation", _ticks(most)) if passage is found.passages[-1] else None,
        )
        for passage in found.passages
    ]
    lists: list[PagePart] = [
        Listing("It raises", ("token", ">logit"), token_bars(neuron.raises)),
        Listing("It lowers", ("token", ">logit"), token_bars(neuron.lowers)),
    ]
    title = f"Layer {neuron.layer}, neuron {neuron.neuron} of {found.model} in {found.source}"
    return Page(title, facts(found), [*strips, *lists])

"""The picture of ``gptcli softmax``: the numbers, and a bar for each at each temperature."""

import sys
from typing import TYPE_CHECKING

from gptcli.show.blocks.figures import choices, percent, percents
from gptcli.show.blocks.multiples import Column, Multiple, Multiples
from gptcli.show.logits import warmth
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.probability.own_numbers import Shares, Softmax
    from gptcli.show.html.page import Page


def draw(answer: "Softmax") -> "RenderableType":
    """All temperatures on one scale, and how undecided each leaves the choice."""
    from rich.console import Group
    from rich.text import Text

    largest = max(max(each.probabilities) for each in answer.distributions)
    columns = [Column(">number", [f"{each.logit:g}" for each in answer.numbers])]
    if any(each.label for each in answer.numbers):
        columns.insert(0, Column("label", [visible(each.label, keep="") for each in answer.numbers]))
    drawn = Multiples(columns, [_multiple(each, largest) for each in answer.distributions])
    told = [summary(each) for each in answer.distributions]
    if len(answer.distributions) > 1:
        told.insert(0, f"all bars on one scale: the longest is {percent(largest)}")
    return Group(drawn, *(Text(line, style="dim") for line in told))


def draw_page(answer: "Softmax") -> "Page":
    """The same, and the probabilities at any temperature."""
    from array import array

    from gptcli.show.html.page import Page
    from gptcli.show.html.parts import Drawn, Softmax

    logits = array("d", [each.logit for each in answer.numbers])
    if sys.byteorder == "big":
        logits.byteswap()
    named = [f"{each.label} = {each.logit:g}" if each.label else f"{each.logit:g}" for each in answer.numbers]
    slider = Softmax(
        title="At any temperature",
        labels=named,
        ids=range(len(named)),
        logits=logits.tobytes(),
        width=8,
        things="numbers",
    )
    return Page(f"Softmax of {', '.join(named)}", parts=[Drawn(lambda: draw(answer)), slider])


def _multiple(shares: "Shares", largest: float) -> Multiple:
    return Multiple(
        f"T = {shares.temperature:g}",
        percents(shares.probabilities),
        [each / largest for each in shares.probabilities],
        warmth(shares.temperature),
    )


def summary(shares: "Shares") -> str:
    """How undecided the shares leave the choice."""
    if shares.temperature == 0:
        return "T = 0: the first of the largest, always (argmax)"
    return f"T = {shares.temperature:g}: entropy {shares.entropy_bits:.3f} bits, {choices(shares.entropy_bits)}"

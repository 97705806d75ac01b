"""The picture of ``gptcli neurons``: the most active neurons at each token, and what they write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptcli.show.blocks.pictures import table
from gptcli.show.circuits import TOKENS_EDGES, TOKENS_GAP, fitting
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Choice, Legend, Listing, Strip
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from gptcli.inspection.neurons import ActiveNeuron, Neurons
    from gptcli.inspection.token_scores import TokenScore

_LONGEST_TOKEN = 16
_ROOMY = 60  # columns of a terminal that shows usual activations too
_MOST_ROWS, _FEW = 1000, 4  # of a page, and tokens of a list there
# The columns of lists that are shown, by the terminal's width: with what is left out first.
_LISTS = (("raises", 0), ("lowers", 90), ("excited by", 130))


def draw(answer: "Neurons") -> "RenderableType":
    """A table of all tokens, and what its figures are."""
    from rich.console import Group
    from rich.text import Text

    return Group(
        Text(_title(answer), style="bold"), NeuronTable(answer), *(Text(line, style="dim") for line in _said(answer))
    )


def _title(answer: "Neurons") -> str:
    where = f"layer {answer.layers[0]}" if len(answer.layers) == 1 else f"each of {len(answer.layers)} layers"
    return f"The most active neurons at each token, of {answer.width:,} in {where} of {answer.model}"


_ORDER = {
    "unusual": "first those that write most beyond what they usually write (at the other tokens, or on random ones)",
    "activation": "first the largest activations",
    "written": "first those that write the longest vectors",
}


def _said(answer: "Neurons") -> list[str]:
    return [
        f"{_ORDER[answer.measure]} · raises, lowers: what its vector does to the logits directly, through the norms "
        "behind it, held at their scale in this run, and the unembedding",
        f"excited by: of {answer.sampled:,} frequent tokens, each alone (where it is wide enough, and in --json)",
    ]


@dataclass(frozen=True)
class NeuronTable:
    """A row for each neuron, with as many lists of tokens as fit side by side."""

    answer: "Neurons"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it as wide as the terminal."""
        width = options.max_width
        lists = [name for name, least in _LISTS if width >= least]
        rows = [
            (token_text(each.token)[:_LONGEST_TOKEN] if not rank else "", one)
            for each in self.answer.tokens
            for rank, one in enumerate(each.neurons)
        ]
        fixed = [("token", *(token for token, _ in rows)), ("neuron", *(_place(one) for _, one in rows))]
        fixed.append(("activation", *(f"{one.activation:.2f}" for _, one in rows)))
        usual = width >= _ROOMY
        if usual:
            fixed.append(("usual", *(_usual(one) for _, one in rows)))
        taken = TOKENS_EDGES + sum(max(map(_cells, column)) + TOKENS_GAP for column in fixed)
        each = max((width - taken - TOKENS_GAP * (len(lists) - 1)) // len(lists), 1)
        made = table("token", ">neuron", ">activation", *([">usual"] if usual else []), *lists)
        for place, (token, one) in enumerate(rows):
            ends = place + 1 < len(rows) and bool(rows[place + 1][0]) and len(rows) > len(self.answer.tokens)
            cells = [fitting([token_text(listed.token) for listed in _LISTED[name](one)], each) for name in lists]
            figures = [f"{one.activation:.2f}", *([_usual(one)] if usual else [])]
            made.add_row(token, _place(one), *figures, *cells, end_section=ends)
        yield made


_LISTED: "dict[str, Callable[[ActiveNeuron], Sequence[TokenScore]]]" = {
    "raises": lambda neuron: neuron.raises,
    "lowers": lambda neuron: neuron.lowers,
    "excited by": lambda neuron: neuron.excited_by,
}


def _place(neuron: "ActiveNeuron") -> str:
    return f"{neuron.layer}.{neuron.neuron}"


def _usual(neuron: "ActiveNeuron") -> str:
    return f"{neuron.usual:.2f}"


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def draw_page(answer: "Neurons") -> Page:
    """The page: the text by the length of what the first neuron of each token writes; pointing lists its neurons."""
    most = max((one.written for each in answer.tokens for one in each.neurons), default=0.0) or 1.0
    cells = [
        Cell(
            token_text(each.token),
            max((one.written for one in each.neurons), default=0.0) / most,
            (f"{each.position:,}",),
            [
                Choice(f"{_place(one)} {_few(one.raises)}", f"{one.activation:.2f}", one.written / most)
                for one in each.neurons
            ],
        )
        for each in answer.tokens
    ]
    ticks = [(f"{most * step / 4:.2f}", step / 4) for step in range(5)]
    strip = Strip("", ("position",), cells, Legend("the longest vector written", ticks))
    columns = ("token", "neuron", ">activation", ">usual", "raises", "lowers", "excited by")
    rows = [
        (
            (
                token_text(each.token),
                _place(one),
                f"{one.activation:.2f}",
                _usual(one),
                *(_few(_LISTED[name](one)) for name, _ in _LISTS),
            ),
            one.written / most,
        )
        for each in answer.tokens
        for one in each.neurons
    ]
    return Page(_title(answer), _said(answer), [strip, Listing("", columns, rows[:_MOST_ROWS])])


def _few(scores: "Sequence[TokenScore]") -> str:
    return "  ".join(token_text(each.token) for each in scores[:_FEW])

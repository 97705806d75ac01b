"""The picture of ``gptcli ablate``: what each head and MLP does for a prediction, as a map and as a list."""

from typing import TYPE_CHECKING

from gptcli.show.attribution import bars_of
from gptcli.show.blocks.heat import TextLegend
from gptcli.show.blocks.pictures import table
from gptcli.show.blocks.signed_map import SignedMap, signed
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Grid, Legend, Listing
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.inspection.ablation import Ablation, Effect
    from gptcli.show.blocks.rows import Rows

_REPLACED = {"zero": "zero", "mean": "its mean", "resample": "what it is in another text"}


def draw(answer: "Ablation", strongest: "list[Effect]") -> "RenderableType":
    """The map, its legend, and the parts with the largest effects."""
    from rich.console import Group
    from rich.text import Text

    map_ = SignedMap(
        [str(layer.layer) for layer in answer.layers],
        ["MLP", *map(str, range(1, _heads(answer) + 1))],
        [[layer.mlp, *layer.heads] for layer in answer.layers],
    )
    return Group(
        Text(title(answer), style="bold"),
        Text(how(answer), style="dim"),
        Text(),
        Text("rows: layers; columns: the MLP, then the heads", style="dim"),
        map_,
        Text(),
        TextLegend(_legend(answer), f"each figure: how far {falls(answer).removesuffix(' by')}"),
        Text(),
        _list(strongest),
    )


def draw_page(answer: "Ablation", strongest: "list[Effect]") -> Page:
    """The page: pointing at a cell shows its effect."""
    limit = _limit(answer)
    names = ["MLP", *(f"head {head}" for head in range(1, _heads(answer) + 1))]
    grid = Grid(
        title="What each part does for it",
        names=(falls(answer),),
        rows=[f"layer {layer.layer}" for layer in answer.layers],
        columns=names,
        cells=[
            [Cell(signed(each), (each / limit + 1) / 2, (f"{each:+.4f}",)) for each in (layer.mlp, *layer.heads)]
            for layer in answer.layers
        ],
        large=True,
        legend=_legend(answer),
    )
    rows = [((part_name(each), f"{each.effect:+.3f}"), each.effect / limit) for each in strongest]
    listing = Listing("The largest effects", ("part", ">effect"), rows)
    text = "".join(token_text(each.token) for each in answer.tokens)
    return Page(title(answer), [how(answer), text], [grid, listing], thing="cell")


def title(answer: "Ablation") -> str:
    """What is measured, and its value in the whole model."""
    return f"{measured(answer)[0].upper()}{measured(answer)[1:]}: {answer.whole:.3f} in the whole model"


def measured(answer: "Ablation") -> str:
    """What is measured."""
    if answer.token is None:
        return "the loss of the text in nats a token"
    over = "" if answer.versus is None else f" over {token_text(answer.versus.token)}"
    return f"the {answer.measure} of {token_text(answer.token.token)}{over}"


def how(answer: "Ablation") -> str:
    """How parts are taken out."""
    looks = ", and attention looks where it does in the whole model" if answer.frozen else ""
    return f"Each part is taken out alone: its output becomes {_REPLACED[answer.by]}{looks}."


def falls(answer: "Ablation") -> str:
    """The name of an effect."""
    return "the loss rises by" if answer.measure == "loss" else f"the {answer.measure} falls by"


def part_name(effect: "Effect") -> str:
    """A part, as ``--without`` takes it."""
    return f"mlp:{effect.layer}" if effect.head is None else f"{effect.layer}.{effect.head}"


def _legend(answer: "Ablation") -> Legend:
    limit = _limit(answer)
    ticks = [(signed(limit * step), (step + 1) / 2) for step in (-1, -0.5, 0, 0.5, 1)]
    return Legend(falls(answer), ticks, signed=True)


def _list(strongest: "list[Effect]") -> "Rows":
    most = max((abs(each.effect) for each in strongest), default=0.0) or 1.0
    made = table("part", ">effect")
    made.add_column("")
    bars = bars_of([each.effect for each in strongest], most)
    for each, bar in zip(strongest, bars, strict=True):
        made.add_row(part_name(each), f"{each.effect:+.3f}", bar)
    return made


def _heads(answer: "Ablation") -> int:
    return len(answer.layers[0].heads) if answer.layers else 0


def _limit(answer: "Ablation") -> float:
    return max((abs(each) for layer in answer.layers for each in (*layer.heads, layer.mlp)), default=0.0) or 1.0

"""The picture of ``gptcli patch``: what copying each place of the clean run restores."""

import math
from typing import TYPE_CHECKING

from gptcli.show.blocks.heat import TextLegend, finite_bounds
from gptcli.show.blocks.signed_map import SignedMap
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Cell, Grid, Legend
from gptcli.text import token_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.inspection.patching import Patching, PatchMap

_TITLES = {
    "stream": "the residual stream after each layer",
    "attention": "what attention adds",
    "mlp": "what the MLP adds",
    "heads": "each head, at all positions",
}
_SHARE = "share of the difference restored"


def draw(answer: "Patching") -> "RenderableType":
    """A map for each kind of activation, from the first token that differs on."""
    from rich.console import Group
    from rich.text import Text

    first, limits = _first(answer), _bounds(answer)
    parts: list[RenderableType] = [Text(title(answer), style="bold"), Text(values(answer))]
    if first and answer.maps[0].part != "heads":
        parts.append(Text(same(first), style="dim"))
    for each in answer.maps:
        start = 0 if each.part == "heads" else first
        names = _columns(answer, each)[start:]
        parts += [Text(f"\n{_TITLES[each.part]}", style="bold")]
        parts += [SignedMap(_rows(each), names, [row[start:] for row in each.values], limits, plus=False)]
    return Group(*parts, Text(), TextLegend(_legend(limits), f"each figure: {_SHARE}"))


def draw_page(answer: "Patching") -> Page:
    """The page: pointing at a cell shows its share."""
    low, high = _bounds(answer)

    def cell(value: float | None) -> Cell | None:
        return (
            None
            if value is None
            else Cell(f"{round(value, 2) + 0.0:.2f}", (value - low) / (high - low), (f"{value:.4f}",))
        )

    grids = [
        Grid(
            title=_TITLES[each.part],
            names=(_SHARE,),
            rows=[f"layer {row}" if row.isdigit() else row for row in _rows(each)],
            columns=[f"head {name}" if each.part == "heads" else name for name in _columns(answer, each)],
            cells=[[cell(value) for value in row] for row in each.values],
            large=True,
            legend=_legend((low, high)),
        )
        for each in answer.maps
    ]
    return Page(title(answer), [values(answer)], grids, thing="cell")


def _legend(limits: tuple[float, float]) -> Legend:
    low, high = limits
    return Legend(
        _SHARE, [(f"{round(low + (high - low) * step, 2) + 0.0:.2f}", step) for step in (0.0, 0.25, 0.5, 0.75, 1.0)]
    )


def title(answer: "Patching") -> str:
    """What is measured."""
    over = "" if answer.versus is None else f" over {token_text(answer.versus.token)}"
    return f"What brings the {answer.measure} of {token_text(answer.token.token)}{over} back"


def values(answer: "Patching") -> str:
    """The measure in the two runs."""
    looks = ", looking where it looks there" if answer.frozen else ""
    return f"{answer.clean.value:.3f} in the clean run, {answer.corrupted.value:.3f} in the corrupted one{looks}"


def same(count: int) -> str:
    """About the tokens before the first difference."""
    which = "The first token is" if count == 1 else f"The first {count:,} tokens are"
    return f"{which} the same in both texts: there is nothing to restore."


def _first(answer: "Patching") -> int:
    """The first position at which the texts differ, from 0."""
    pairs = zip(answer.clean.tokens, answer.corrupted.tokens, strict=True)
    return next(index for index, (clean, corrupted) in enumerate(pairs) if clean.id != corrupted.id)


def _bounds(answer: "Patching") -> tuple[float, float]:
    found = [math.nan if value is None else value for each in answer.maps for row in each.values for value in row]
    low, high = finite_bounds([found])
    return min(low, 0.0), max(high, 1.0)


def _rows(each: "PatchMap") -> list[str]:
    return [str(layer) if layer else "embedding" for layer in each.layers]


def _columns(answer: "Patching", each: "PatchMap") -> list[str]:
    """The heads, or the tokens: where they differ, the corrupted one and the clean one."""
    if each.part == "heads":
        return [str(head) for head in range(1, len(each.values[0]) + 1)]
    pairs = zip(answer.clean.tokens, answer.corrupted.tokens, strict=True)
    return [
        token_text(clean.token)
        if clean.id == corrupted.id
        else f"{token_text(corrupted.token)}→{token_text(clean.token)}"
        for clean, corrupted in pairs
    ]

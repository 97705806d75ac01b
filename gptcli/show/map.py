"""The picture of ``gptcli map``: words on a plane, and what its axes are."""

from typing import TYPE_CHECKING

from gptcli.show.blocks.palette import series
from gptcli.show.blocks.pictures import table
from gptcli.show.blocks.plot import HOLLOW, MARKERS, Dot, Scatter
from gptcli.show.vectors import label
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.embedding.word_map import MapAxis, WordMap
    from gptcli.show.blocks.rows import Rows


def draw(answer: "WordMap") -> "RenderableType":
    """The map, the arrows in figures, and the shares of the axes."""
    from rich.console import Group
    from rich.text import Text

    positions = [point.coordinates[:2] for point in answer.points]
    dots = [Dot(x, y, *mark) for (x, y), mark in zip(positions, _marks(answer), strict=True)]
    arrows = [(arrow.start - 1, arrow.end - 1, series(index)) for index, arrow in enumerate(answer.arrows)]
    across, up = (axis_name(axis) for axis in answer.axes[:2])
    plot = Scatter(dots, arrows, across, up, hint="; --save map.html has them all")
    parts: list[RenderableType] = [plot]
    if answer.arrows:
        parts.append(_arrows(answer))
    return Group(*parts, Text(summary(answer), style="dim"))


def axis_name(axis: "MapAxis") -> str:
    """An axis with its share of the variance."""
    return f"{visible(axis.name, keep='')} {axis.share:.1%}"


def summary(answer: "WordMap") -> str:
    """The number of points and the share of their variance."""
    plane = sum(axis.share for axis in answer.axes[:2])
    seen = f"{answer.model} {answer.tensor}: {len(answer.points)} points of {answer.dimensions:,} dimensions"
    if answer.axes_cosine is None:
        return visible(f"{seen}; the plane holds {plane:.1%} of their variance", keep="")
    return visible(f"{seen}; the axes' cosine similarity is {answer.axes_cosine:.3f}", keep="")


def groups(answer: "WordMap") -> list[int]:
    """For each point the word that it belongs to, counted from 0; all 0 where there are no neighbours."""
    if all(point.neighbor_of is None for point in answer.points):
        return [0] * len(answer.points)
    words = {point.label: index for index, point in enumerate(answer.points) if point.neighbor_of is None}
    return [words[point.neighbor_of or point.label] for point in answer.points]


def _marks(answer: "WordMap") -> list[tuple[str, str, str]]:
    """Label, marker and style of each point: a word and its neighbours share a colour and a shape."""
    marks = []
    for point, group in zip(answer.points, groups(answer), strict=True):
        shapes, weight = (MARKERS, "bold ") if point.neighbor_of is None else (HOLLOW, "")
        marks.append((label(point.label), shapes[group % len(shapes)], weight + series(group)))
    return marks


def _arrows(answer: "WordMap") -> "Rows":
    """Each arrow in all dimensions: its length, and the cosine of its direction with the first one's."""
    names = [label(point.label) for point in answer.points]
    first = answer.arrows[0]
    alike = f"cosine with {names[first.start - 1]} → {names[first.end - 1]}"
    listed = table("arrow", ">length", *([f">{alike}"] if len(answer.arrows) > 1 else []))
    listed.columns[-1].no_wrap = False  # its heading is long
    for arrow in answer.arrows:
        cells = [f"{names[arrow.start - 1]} → {names[arrow.end - 1]}", f"{arrow.length:.3f}", f"{arrow.cosine:.3f}"]
        listed.add_row(*cells[: len(listed.columns)])
    return listed

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


# Lines of the summary, and of the prompt that comes after it.
_SUMMARY = 3


def draw(answer: "WordMap") -> "RenderableType":
    """The map, the arrows in figures, and the shares of the axes."""
    from rich.console import Group
    from rich.text import Text

    positions = [point.coordinates[:2] for point in answer.points]
    dots = [Dot(x, y, *mark) for (x, y), mark in zip(positions, _marks(answer), strict=True)]
    belongs = groups(answer)
    arrows = [(arrow.start - 1, arrow.end - 1, series(belongs[arrow.start - 1])) for arrow in answer.arrows]
    across, up = (axis_name(axis) for axis in answer.axes[:2])
    below = len(answer.arrows) + 4 if answer.arrows else 0
    plot = Scatter(dots, arrows, across, up, hint="; --save map.html has them all", below=below + _SUMMARY)
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
    """For each point the group that it belongs to, counted from 0.

    A word and its neighbours are one, else the words that arrows connect, else all.
    """
    if all(point.neighbor_of is None for point in answer.points):
        return _connected(answer)
    words = {point.label: index for index, point in enumerate(answer.points) if point.neighbor_of is None}
    return [words[point.neighbor_of or point.label] for point in answer.points]


def _connected(answer: "WordMap") -> list[int]:
    """For each point the first one that arrows lead to or from, as a number; those without an arrow are one group."""
    first = list(range(len(answer.points)))
    for arrow in answer.arrows * len(answer.arrows):  # so often that what is joined last reaches all
        first[arrow.start - 1] = first[arrow.end - 1] = min(first[arrow.start - 1], first[arrow.end - 1])
    joined = {end - 1 for arrow in answer.arrows for end in (arrow.start, arrow.end)}
    names = [first[index] if index in joined else -1 for index in range(len(first))]
    order = list(dict.fromkeys(names))
    return [order.index(name) for name in names]


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

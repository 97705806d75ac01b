"""``gptcli map --save map.html``: the map in three dimensions, in one file, turned by pointer or keys."""

from typing import TYPE_CHECKING, Any

from gptcli.show.html.document import text
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Globe
from gptcli.show.map import axis_name, groups, summary
from gptcli.show.vectors import label
from gptcli.text import visible

if TYPE_CHECKING:
    from gptcli.embedding.word_map import WordMap

_HOW = (
    "Drag to turn, scroll or pinch to come closer. With the keyboard: arrow keys, + and -, N and P for the next word "
    "and the one before, 0 for the view from the front, Home for the first view. Point at a word for its numbers."
)
_BUTTONS = (
    ("-", "−", "Away"),
    ("+", "+", "Closer"),
    ("0", "Front", "View from the front"),
    ("Home", "Start", "First view"),
)


def globe(answer: "WordMap") -> Page:
    """A page with the words along all three axes."""
    title = f"{', '.join(label(point.label) for point in answer.points if point.neighbor_of is None)}"
    buttons = "".join(
        f'<button type="button" data-key="{key}" aria-label="{name}">{sign}</button>' for key, sign, name in _BUTTONS
    )
    markup = (
        f'<svg id="globe" tabindex="0" role="application" aria-label="Map of {len(answer.points)} words" '
        f'aria-describedby="how"></svg>\n<div class="buttons">{buttons}<p id="told"></p></div>\n'
        f"<details><summary>All coordinates</summary>\n{_table(answer)}</details>"
    )
    return Page(title, [summary(answer)], [Globe(markup, _data(answer))], how=_HOW)


def _data(answer: "WordMap") -> dict[str, Any]:
    """The data for the script."""
    points = [
        {
            "label": label(point.label),
            "at": [round(place, 5) for place in point.coordinates],
            "group": group,
            "near": None if point.neighbor_of is None else visible(point.neighbor_of, keep=""),
            "similarity": point.similarity,
        }
        for point, group in zip(answer.points, groups(answer), strict=True)
    ]
    arrows = [(arrow.start - 1, arrow.end - 1, place) for place, arrow in enumerate(answer.arrows)]
    axes = [axis_name(axis) for axis in answer.axes]
    return {"points": points, "arrows": arrows, "axes": axes, "near": "cosine similarity with {word}"}


def _table(answer: "WordMap") -> str:
    """The coordinates as a table, also for readers who cannot see the map."""
    heads = "".join(f'<th scope="col" class="figure">{text(axis_name(axis))}</th>' for axis in answer.axes)
    rows = "".join(
        f'<tr><th scope="row">{text(label(point.label))}</th>'
        + "".join(f'<td class="figure">{place:.3f}</td>' for place in point.coordinates)
        + f"<td>{'' if point.neighbor_of is None else 'near ' + text(point.neighbor_of)}</td></tr>"
        for point in answer.points
    )
    head = f"<thead><tr><td></td>{heads}<td></td></tr></thead>"
    return f'<div class="scroll"><table class="list">{head}<tbody>{rows}</tbody></table></div>'

"""The pictures as a self-contained HTML file that shows the numbers of the token or cell under the pointer.

A page has a title, some facts and parts (see ``parts``), in the colours of ``pictures``. Text, colours and lists also
work without JavaScript.
"""

from collections.abc import Iterator, Sequence

from gptcli.show.blocks.palette import colour, text_colour
from gptcli.show.html.document import data_element, document, own_file, text
from gptcli.show.html.parts import Cell, Grid, Legend, Listing, PagePart, Strip
from gptcli.text import visible

# Steps of the colour map: each is a CSS class, which is shorter than a colour on each cell.
_STEPS = 48
_HOW = "Point at a {thing}, tap it, or move with Tab and the arrow keys. Enter keeps it, Escape lets go."


def page(title: str, facts: Sequence[str], parts: Sequence[PagePart], *, thing: str = "token") -> str:
    """One HTML file.

    Args:
        title: its heading.
        facts: a line of text each.
        parts: from top to bottom.
        thing: name of what to point at.
    """
    drawn = "\n".join(_figure(number, part) for number, part in enumerate(parts))
    told = "".join(f'<p class="facts">{text(fact)}</p>\n' for fact in facts)
    body = (
        f"<header><h1>{text(title)}</h1>\n{told}</header>\n"
        f'<main>\n<div class="parts">\n{drawn}\n</div>\n</main>\n'
        '<aside aria-label="The numbers"><div id="numbers" role="status" aria-live="polite" aria-atomic="true">'
        f'<p class="how" id="how">{text(_HOW.format(thing=thing))}</p></div></aside>\n'
    )
    return document(title, body, style=_colours() + own_file("page.css"), script=own_file("page.js"))


def _figure(number: int, part: PagePart) -> str:
    head = f"<h2>{text(part.title)}</h2>" if part.title else ""
    if isinstance(part, Listing):
        return f'<figure>{head}<div class="scroll">{_listing(part)}</div></figure>'
    name = f'data-part="{number}" aria-label="{text(part.title or "tokens")}" aria-describedby="how"'
    if isinstance(part, Strip):
        body, size = _strip(part, name), "strips"
    else:
        body, size = f'<div class="scroll">{_grid(part, name)}</div>', "large" if part.large else "small"
    return f'<figure class="{size}">{head}{body}{_legend(part.legend)}{_data(number, part)}</figure>'


def _strip(part: Strip, name: str) -> str:
    before = f'<span class="before">{text(part.before)}</span>' if part.before else ""
    return f'<div class="strip" dir="auto" role="group" {name}>{before}{"".join(_tokens(part.cells))}</div>'


def _tokens(cells: Sequence[Cell]) -> Iterator[str]:
    """Each token as a button; a line may break before the dot of a space, and breaks after a newline."""
    for place, cell in enumerate(cells):
        label = text(cell.label).replace("·", '<span class="space">·</span>')
        allowed = "<wbr>" if cell.label.startswith("·") else ""
        broken = "<br>" if cell.label.endswith("⏎") else ""
        yield f'{allowed}<span role="button" tabindex="-1" data-i="{place}"{_class(cell)}>{label}</span>{broken}'


def _grid(part: Grid, name: str) -> str:
    """A table; the labels of a small map appear only in the headings of its cells."""
    hidden = "" if part.large else " hidden"
    columns = "".join(f'<th scope="col"{hidden}>{text(label)}</th>' for label in part.columns)
    rows, place = [], 0
    for label, row in zip(part.rows, part.cells, strict=True):
        fields = []
        for cell in row:
            if cell is None:
                fields.append("<td></td>")
                continue
            fields.append(f'<td role="gridcell" tabindex="-1" data-i="{place}"{_class(cell)}>{text(cell.label)}</td>')
            place += 1
        rows.append(f'<tr role="row"><th scope="row"{hidden}>{text(label)}</th>{"".join(fields)}</tr>')
    head = f'<thead><tr role="row"><th{hidden}></th>{columns}</tr></thead>'
    return f'<table class="grid" role="grid" {name}>{head}<tbody>{"".join(rows)}</tbody></table>'


def _listing(part: Listing) -> str:
    kinds = [' class="figure"' if column.startswith(">") else "" for column in part.columns]
    names = (column.removeprefix(">") for column in part.columns)
    head = "".join(f'<th scope="col"{kind}>{text(name)}</th>' for kind, name in zip(kinds, names, strict=True))
    rows = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{text(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
        + f'<td class="bar"><meter value="{_clipped(fraction):.4f}" aria-hidden="true"></meter></td></tr>'
        for cells, fraction in part.rows
    )
    return f'<table class="list"><thead><tr>{head}<td></td></tr></thead><tbody>{rows}</tbody></table>'


def _legend(legend: Legend | None) -> str:
    if legend is None:
        return ""
    swatches = "".join(f'<i class="c{_step(fraction)}">{text(tick)}</i>' for tick, fraction in legend.ticks)
    return f'<p class="legend">{text(legend.name)} {swatches} {text(legend.unit)}</p>'


def _data(number: int, part: Strip | Grid) -> str:
    """The numbers of each cell, for the script."""
    cells = part.cells if isinstance(part, Strip) else [cell for row in part.cells for cell in row]
    heading = "{label}" if isinstance(part, Strip) else part.heading
    data = {
        "heading": visible(heading),
        "spread": None if isinstance(part, Strip) else part.spread,
        "names": [visible(name) for name in part.names],
        "cells": [[[visible(figure) for figure in cell.numbers], _choices(cell)] for cell in cells if cell is not None],
    }
    return data_element(f"data-{number}", data)


def _choices(cell: Cell) -> list[tuple[str, str, float, str]]:
    """Label, figure, length of the bar, and whether it was chosen or cut."""
    return [
        (
            visible(choice.label),
            visible(choice.value),
            round(_clipped(choice.fraction), 4),
            "chosen" if choice.chosen else "cut" if choice.cut else "",
        )
        for choice in cell.choices
    ]


def _class(cell: Cell) -> str:
    return f' class="{"none" if cell.fraction is None else f"c{_step(cell.fraction)}"}"'


def _clipped(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)


def _step(fraction: float) -> int:
    return round(_clipped(fraction) * (_STEPS - 1))


def _colours() -> str:
    """One CSS class for each step of the colour map."""
    places = [step / (_STEPS - 1) for step in range(_STEPS)]
    return "".join(
        f".c{step}{{background:{colour(place)};color:{text_colour(place)}}}\n" for step, place in enumerate(places)
    )

"""A self-contained HTML file: what a command shows, typeset, with the numbers of the token or cell under the pointer.

A page has a title, some facts and parts (see ``parts``), or sections of these. Colours follow the reader's light or
dark mode, and a button changes it. Text, colours and lists also work without JavaScript.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gptcli.show.blocks import palette
from gptcli.show.explore_page.files import explore_script, explore_style
from gptcli.show.html.document import data_element, document, own_file, text
from gptcli.show.html.parts import (
    Cell,
    Drawn,
    Explorer,
    Globe,
    Grid,
    Legend,
    Listing,
    PagePart,
    Row,
    Section,
    Sentence,
    Softmax,
    Strip,
)
from gptcli.show.html.sheet import Sheet, both
from gptcli.show.html.typeset import typeset
from gptcli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

# Steps of the colour map: each is a CSS class, which is shorter than a colour on each cell.
_STEPS = 48
_HOW = "Point at a {thing}, tap it, or move with Tab and the arrow keys. Enter keeps it, Escape lets go."
_COLOURS = ("ground", "raised", "ink", "quiet", "line", "bar", "negative", "accent")
_ROOMY = 48  # columns of a row of maps that have room for large fields
# The scripts of the views of ``explore``, and what other scripts read first.
_EXPLORE = "explore"
_BEFORE = {"softmax.js": "figures.js"}
_POINTED = (Strip, Grid, Row, Sentence, Globe)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: its heading.
        facts: a line of text each.
        parts: from top to bottom.
        thing: name of what to point at.
        sections: after the parts, each with its own; they are listed at the top.
        how: what to do with the page, where it is not pointing at a thing.
        theme: ``dark`` or ``light``; None: as the reader's system has it.
    """

    title: str
    facts: Sequence[str] = ()
    parts: Sequence[PagePart] = ()
    thing: str = "token"
    sections: Sequence[Section] = ()
    how: str | None = None
    theme: str | None = None

    def html(self) -> str:
        """The file."""
        return _Writer().page(self)


def page(title: str, facts: Sequence[str], parts: Sequence[PagePart], *, thing: str = "token") -> str:
    """One HTML file; see ``Page``."""
    return Page(title, facts, parts, thing).html()


def drawn_page(title: str, draw: "Callable[[], RenderableType]") -> Page:
    """A page of a picture as its command draws it."""
    return Page(title, parts=[Drawn(draw)])


def drawn_fragment(draw: "Callable[[], RenderableType]") -> str:
    """A picture typeset for another page, such as a notebook: its rules hold inside it alone."""
    sheet = Sheet()
    markup = typeset(draw, sheet)
    name = "gptcli-" + hashlib.sha256(markup.encode()).hexdigest()[:12]
    scope = f".{name}" * 3  # which outweighs the rules of notebooks for what is in their outputs
    own = "background:var(--ground);color:var(--ink);padding:0.75em 1em;font:14px/1.5 system-ui,sans-serif;"
    table = "table{margin:0;font-size:1em;table-layout:auto}tr,tr:hover{background:none}"
    dark = f'body[data-jp-theme-light="false"] {scope},.vscode-dark {scope}{{color-scheme:dark}}'
    light = f'body[data-jp-theme-light="true"] {scope},.vscode-light {scope}{{color-scheme:light}}'
    rules = f"{scope}{{{_variables()}{own}{table}\n{own_file('picture.css')}{sheet.css()}}}\n{dark}\n{light}"
    return f'<div class="{name}"><style>{rules}</style><div class="typeset">{markup}</div></div>'


@dataclass
class _Writer:
    """Writes one page: numbers its parts, and collects its classes and scripts."""

    sheet: Sheet = field(default_factory=Sheet)
    parts: int = 0
    scripts: dict[str, None] = field(default_factory=lambda: {"theme.js": None})

    def page(self, made: Page) -> str:
        every = [*made.parts, *(part for section in made.sections for part in section.parts)]
        pointed = any(isinstance(part, _POINTED) for part in every)
        sentence = "".join(_sentence(part) for part in made.parts if isinstance(part, Sentence))
        told = "".join(f'<p class="facts">{text(fact)}</p>\n' for fact in made.facts)
        body = (
            f"<header><h1>{text(made.title)}</h1>\n{told}{_contents(made.sections)}</header>\n"
            f"<main>\n{self._figures(made.parts)}"
            f"{''.join(self._section(number, made.sections) for number in range(len(made.sections)))}</main>\n"
        )
        if pointed:
            self.scripts["page.js"] = None
            self.scripts |= {"arcs.js": None} if any(isinstance(part, Sentence) for part in every) else {}
            how = made.how or _HOW.format(thing=made.thing)
            body += (
                f'<aside aria-label="The numbers">{sentence}<div id="numbers" role="status" aria-live="polite" '
                f'aria-atomic="true"><p class="how" id="how">{text(how)}</p></div></aside>\n'
            )
        kind = "foot" if sentence else "beside" if pointed else "plain"
        styles = [self.sheet.css(), _colours(), own_file("picture.css"), own_file("page.css")]
        styles += [own_file("globe.css")] if "globe.js" in self.scripts else []
        styles += [explore_style()] if _EXPLORE in self.scripts else []
        script = "\n".join(f"(() => {{\n{_script(name)}}})();" for name in self.scripts)
        live = [each for each in every if isinstance(each, Explorer) and each.script]
        if live:
            script = f"(() => {{\n{live[0].script}}})();\n{script}"
        return document(
            made.title, body, style="".join(styles), script=script, kind=kind, wasm=bool(live), theme=made.theme
        )

    def _section(self, place: int, sections: Sequence[Section]) -> str:
        section = sections[place]
        ways = [(sections[place - 1], "←", "prev")] * (place > 0)
        ways += [(other, "→", "next") for other in sections[place + 1 : place + 2]]
        links = "".join(_way(other, sign, name) for other, sign, name in ways)
        facts = "".join(f'<p class="facts">{text(fact)}</p>\n' for fact in section.facts)
        return (
            f'<section id="stop-{section.number}" class="stop"><h2><span class="number">{section.number}</span> '
            f"{text(section.title)}</h2>\n<p>{text(section.text)}</p>\n"
            f'<pre class="command"><code>{text(section.command)}</code></pre>\n{facts}'
            f"{self._figures(section.parts, here=True)}{_said(section)}"
            f'<nav class="ways">{links}'
            '<a href="#top">All stops ↑</a></nav></section>\n'
        )

    def _figures(self, parts: Sequence[PagePart], *, here: bool = False) -> str:
        """The parts; a sentence stands among them in a section, and else at the foot of the page."""
        shown = [part for part in parts if here or not isinstance(part, Sentence)]
        drawn = "\n".join(self._part(part) for part in shown)
        return f'<div class="parts">\n{drawn}\n</div>\n' if drawn else ""

    def _part(self, part: PagePart) -> str:
        match part:
            case Drawn():
                return f'<figure class="typeset">{typeset(part.draw, self.sheet)}</figure>'
            case Listing():
                return f'<figure>{_head(part.title)}<div class="scroll">{_listing(part)}</div></figure>'
            case Row():
                inside = "".join(self._part(grid) for grid in part.grids)
                roomy = " roomy" if sum(len(grid.columns) for grid in part.grids) <= _ROOMY else ""
                return f'<figure class="row{roomy}">{_head(part.title)}<div class="grids">{inside}</div></figure>'
            case Softmax():
                self.scripts["softmax.js"] = None
                return _softmax(self._number(), part)
            case Globe():
                self.scripts["globe.js"] = None
                return f'<figure class="globe">{part.markup}{data_element("data", part.data)}</figure>'
            case Explorer():
                self.scripts[_EXPLORE] = None
                return _explorer(self._number(), part)
            case Strip() | Grid():
                return self._pointed(part)
            case Sentence():
                return f'<figure class="here">{_sentence(part)}</figure>'

    def _pointed(self, part: Strip | Grid) -> str:
        number = self._number()
        name = f'data-part="{number}" aria-label="{text(part.title or "tokens")}" aria-describedby="how"'
        if isinstance(part, Strip):
            body, size = _strip(part, name), "strips"
        else:
            body, size = f'<div class="scroll">{_grid(part, name)}</div>', "large" if part.large else "small"
        head = _head(part.title)
        return f'<figure class="{size}">{head}{body}{_legend(part.legend)}{_data(number, part)}</figure>'

    def _number(self) -> int:
        self.parts += 1
        return self.parts - 1


def _script(name: str) -> str:
    """A script with what it reads first."""
    if name == _EXPLORE:
        return own_file("figures.js") + explore_script()
    return (own_file(_BEFORE[name]) if name in _BEFORE else "") + own_file(name)


def _explorer(number: int, part: Explorer) -> str:
    """The place of the views, which their script fills."""
    return (
        f'<figure class="explore" data-explore="{number}"><noscript><p>The views need JavaScript.</p></noscript>'
        f"{data_element(f'data-{number}', part.data)}{part.elements}</figure>"
    )


def _head(title: str) -> str:
    return f"<h3>{text(title)}</h3>" if title else ""


def _said(section: Section) -> str:
    said = f'<p class="said">{text(section.said)}</p>\n' if section.said else ""
    note = f'<p class="facts">{text(section.note)}</p>\n' if section.note else ""
    if not section.question:
        return said + note
    asked = f"<summary>{text(section.question)}</summary><p>{text(section.answer)}</p>"
    return f'{said}{note}<details class="ask">{asked}</details>\n'


def _way(to: Section, sign: str, name: str) -> str:
    shown = f"{sign} {text(to.title)}" if sign == "←" else f"{text(to.title)} {sign}"
    return f'<a href="#stop-{to.number}" rel="{name}">{shown}</a>'


def _contents(sections: Sequence[Section]) -> str:
    listed = "".join(
        f'<li value="{section.number}"><a href="#stop-{section.number}">{text(section.title)}</a></li>'
        for section in sections
    )
    return f'<nav class="contents" aria-label="Stops"><ol>{listed}</ol></nav>\n' if listed else ""


def _sentence(part: Sentence) -> str:
    """The tokens on one line, over which the script draws arcs."""
    tokens = "".join(
        f'<span role="button" tabindex="{-1 if place else 0}" data-token="{place}">{text(label)}</span>'
        for place, label in enumerate(part.tokens)
    )
    return (
        f'<div class="sentence" id="sentence" data-by="{"row" if part.by_row else "column"}" '
        f'data-first="{part.first[0]} {part.first[1]}" role="group" '
        'aria-label="The text"><div class="line" dir="ltr"><svg id="arcs" aria-hidden="true"></svg>'
        f"{tokens}</div></div>"
    )


def _softmax(number: int, part: Softmax) -> str:
    """Bars that sink and rise; without JavaScript, nothing but the note."""
    data = {
        "labels": [visible(label) for label in part.labels],
        "ids": list(part.ids),
        "logits": base64.b64encode(part.logits).decode(),
        "width": part.width,
        "things": visible(part.things),
    }
    return (
        f'<figure class="softmax" data-softmax="{number}">{_head(part.title)}<noscript><p>The slider needs JavaScript.'
        f'</p></noscript><div class="slider"><label for="temperature-{number}">Temperature</label>'
        f'<input type="range" id="temperature-{number}" min="0" max="5" step="0.05" value="{part.temperature:g}">'
        f'<output for="temperature-{number}"></output></div><table class="list"><tbody></tbody></table>'
        f'<p class="facts" role="status"></p>{data_element(f"data-{number}", data)}</figure>'
    )


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
    """A table."""
    columns = "".join(f'<th scope="col"><span>{text(label)}</span></th>' for label in part.columns)
    rows, place, kind = [], 0, _kind(part.legend)
    for label, row in zip(part.rows, part.cells, strict=True):
        fields = []
        for cell in row:
            if cell is None:
                fields.append("<td></td>")
                continue
            fields.append(
                f'<td role="gridcell" tabindex="-1" data-i="{place}"{_class(cell, kind)}>{text(cell.label)}</td>'
            )
            place += 1
        rows.append(f'<tr role="row"><th scope="row"><span>{text(label)}</span></th>{"".join(fields)}</tr>')
    head = f'<thead><tr role="row"><th></th>{columns}</tr></thead>'
    looks = " looks" if part.looks else ""
    return f'<table class="grid{looks}" role="grid" {name}>{head}<tbody>{"".join(rows)}</tbody></table>'


def _listing(part: Listing) -> str:
    kinds = [' class="figure"' if column.startswith(">") else "" for column in part.columns]
    names = (column.removeprefix(">") for column in part.columns)
    head = "".join(f'<th scope="col"{kind}>{text(name)}</th>' for kind, name in zip(kinds, names, strict=True))
    both_ways = any(fraction < 0 for _, fraction in part.rows)
    rows = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{text(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
        + f'<td class="bar">{_bar(fraction, both_ways=both_ways)}</td></tr>'
        for cells, fraction in part.rows
    )
    return f'<table class="list"><thead><tr>{head}<td></td></tr></thead><tbody>{rows}</tbody></table>'


def _bar(fraction: float, *, both_ways: bool = False) -> str:
    """A bar that fills a share of its cell, thick as all bars are; from the middle, if there are bars to both sides."""
    start, width, sign = (-1, 2, " below" * (fraction < 0)) if both_ways else (0, 1, "")
    length = _clipped(abs(fraction))
    place = f' x="{-length:.4f}"' if fraction < 0 else ""
    return (
        f'<svg class="bar{sign}" viewBox="{start} 0 {width} 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect{place} y="3.8" width="{length:.4f}" height="12.4" fill="currentColor"/></svg>'
    )


def _legend(legend: Legend | None) -> str:
    if legend is None:
        return ""
    kind = _kind(legend)
    swatches = "".join(f'<i class="{kind}{_step(fraction)}">{text(tick)}</i>' for tick, fraction in legend.ticks)
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


def _class(cell: Cell, kind: str = "c") -> str:
    return f' class="{"none" if cell.fraction is None else f"{kind}{_step(cell.fraction)}"}"'


def _kind(legend: Legend | None) -> str:
    """How the classes of a colour map begin: that of figures with signs is another one."""
    return "z" if legend is not None and legend.signed else "c"


def _clipped(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)


def _step(fraction: float) -> int:
    return round(_clipped(fraction) * (_STEPS - 1))


def _variables() -> str:
    """The colours of a page, which follow its theme."""
    light, dark = palette.LIGHT, palette.DARK
    own = ";".join(f"--{name}:{both(getattr(light, name), getattr(dark, name))}" for name in _COLOURS)
    groups = ";".join(
        f"--g{number}:{both(*pair)}" for number, pair in enumerate(zip(light.series, dark.series, strict=True))
    )
    return f"color-scheme:light dark;{own};{groups};"


def _colours() -> str:
    """The colours of the page, and one class for each step of the two colour maps, in both themes."""
    light, dark = palette.LIGHT, palette.DARK
    places = [step / (_STEPS - 1) for step in range(_STEPS)]
    old = ";".join(f"--{name}:{getattr(light, name)}" for name in _COLOURS)
    old += "".join(f";--g{number}:{each}" for number, each in enumerate(light.series))
    steps = "".join(
        f".{kind}{step}{{background:{both(*(palette.colour(place, theme, signed=signed) for theme in (light, dark)))};"
        f"color:{both(*(palette.text_colour(place, theme, signed=signed) for theme in (light, dark)))}}}\n"
        for kind, signed in (("c", False), ("z", True))
        for step, place in enumerate(places)
    )
    plain = "@supports not (color:light-dark(#000,#fff)){:root{" + old + "}}\n"  # browsers from before 2024
    return f":root{{{_variables()}}}\n{plain}{steps}"

"""A page is one file: nothing in it is obeyed, nothing reaches out of it, and its numbers are all there."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.show.html.page import page
from gptcli.show.html.parts import Cell, Choice, Grid, Legend, Listing, Strip
from gptcli.text import visible

EVIL = "</script><img src=x onerror=alert(1)>\"'&<!--\x1b[31m\u202e\u2066\x00]]>{row}{label}$&"


class Elements(HTMLParser):
    """What a browser's reader makes of a page: start tags in order, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.raw.append(data)


def everything(text: str) -> str:
    """A page with this text in every place that takes one."""
    cell = Cell(text, 0.5, (text,), (Choice(text, text, 0.3, chosen=True), Choice(text, text, 2.0, cut=True)))
    legend = Legend(text, [(text, 0.0), (text, 1.0)], text)
    strip = Strip(text, (text,), [cell, Cell(text, None)], legend, before=text)
    grid = Grid(text, (text,), [text], [text, text], [[cell, None]], heading=text, legend=legend)
    large = Grid(text, (text,), [text], [text], [[cell]], large=True)
    return page(text, [text], [strip, grid, large, Listing(text, (f"_{text}", f">{text}"), [((text, text), 0.5)])])


def data(text: str) -> list[Any]:
    """What the page's script reads, one entry a part that has cells."""
    return [json.loads(each) for each in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]


def shape(text: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in Elements(text).tags]


def test_no_text_changes_what_the_page_is_made_of() -> None:
    assert shape(everything(EVIL)) == shape(everything("x"))
    shown = everything(EVIL)
    for character in "\x1b\x00\u202e\u2066":
        assert character not in shown


# The dot and the arrow stand for a space and a newline: tokens with them are laid out in another way.
@pytest.mark.slow
@given(st.text(st.characters(exclude_characters="·⏎"), min_size=1))
@settings(max_examples=50)
def test_any_text_is_only_text(text: str) -> None:
    shown = everything(text)
    assert shape(shown) == shape(everything("x"))
    strip, grid, _ = data(shown)
    assert strip["cells"][0] == [
        [visible(text)],
        [[visible(text)] * 2 + [0.3, "chosen"], [visible(text)] * 2 + [1.0, "cut"]],
    ]
    assert grid["heading"] == visible(text)


def test_it_asks_for_nothing_and_may_not() -> None:
    shown = everything("x")
    elements = Elements(shown)
    for _, attributes in elements.tags:
        for name in ("src", "href", "action", "style"):
            assert attributes.get(name) in (None, "data:,")
    assert not re.search(r"https?:|url\(|@import", shown)
    policy = next(attributes["content"] for tag, attributes in elements.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    style, script = elements.raw[0], elements.raw[-1]
    for part in (style, script):  # what the policy lets run is what stands there
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_tokens_break_where_text_does() -> None:
    shown = page("x", [], [Strip("", (), [Cell("a", 0.0), Cell("·b", 0.5), Cell("⏎", 1.0), Cell("c", None)])])
    tokens = re.findall(
        r'(<wbr>)?<span role="button" tabindex="-1" data-i="(\d)" class="(\w+)">.*?(<br>|(?=<wbr>|<span role|</div>))',
        shown,
    )
    assert tokens == [("", "0", "c0", ""), ("<wbr>", "1", "c24", ""), ("", "2", "c47", "<br>"), ("", "3", "none", "")]


def test_a_grid_keeps_its_numbers_with_its_cells() -> None:
    cells: list[list[Cell | None]] = [[Cell("", 0.0, ("a",)), None], [Cell("", 0.5, ("b",)), Cell("", 1.0, ("c",))]]
    shown = page("x", [], [Grid("map", ("weight",), ["r1", "r2"], ["c1", "c2"], cells)])
    rows = re.findall(r"<tr role=\"row\"><th scope=\"row\"><span>(\w+)</span></th>(.*?)</tr>", shown)
    places = {name: re.findall(r"<td(?: [^>]*data-i=\"(\d)\"[^>]*)?>", row) for name, row in rows}
    assert places == {"r1": ["0", ""], "r2": ["1", "2"]}
    assert [numbers for numbers, _ in data(shown)[0]["cells"]] == [["a"], ["b"], ["c"]]


def test_bars_of_figures_with_signs_go_to_both_sides() -> None:
    rows = [(("a", "+1"), 1.0), (("b", "-0.25"), -0.25)]
    drawn = page("p", ["f"], [Listing("l", ("part", ">adds"), rows)])
    assert drawn.count('viewBox="-1 0 2 20"') == 2
    assert '<svg class="bar below" viewBox="-1 0 2 20"' in drawn
    assert '<rect x="-0.2500" y="3.8" width="0.2500"' in drawn
    one_sided = page("p", ["f"], [Listing("l", ("part", ">adds"), rows[:1])])
    assert 'viewBox="0 0 1 20"' in one_sided
    assert "--negative" in one_sided

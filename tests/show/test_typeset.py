"""Pictures of commands, typeset: their tables, headings, bars and plots as HTML, in both themes."""

import re

import pytest
from rich.console import Group
from rich.text import Text

from gptcli.show.blocks import palette
from gptcli.show.blocks.heat import heat_map
from gptcli.show.blocks.pictures import Bar, table
from gptcli.show.blocks.plot import Line, LinePlot
from gptcli.show.blocks.tokens import token_strip
from gptcli.show.html import typeset as typesetting
from gptcli.show.html.page import drawn_fragment, drawn_page
from gptcli.show.html.sheet import Sheet
from gptcli.show.html.typeset import typeset
from tests.show.test_page import EVIL, Elements, shape


def tags(markup: str) -> list[str]:
    return [tag for tag, _ in Elements(markup).tags]


def set_(picture: object) -> tuple[str, str]:
    """The markup and the rules of a picture."""
    sheet = Sheet()
    return typeset(lambda: picture, sheet), sheet.css()  # type: ignore[arg-type, return-value]


def test_a_table_is_a_table_with_a_vector_for_each_bar() -> None:
    made = table("word", ">share", "")
    for word, share in (("one", 1.0), ("two", 0.5), ("none", 0.0)):
        made.add_row(word, f"{share:.1f}", Bar(share), style="dim" if share == 0 else None)
    markup, _ = set_(made)
    assert tags(markup).count("tr") == 4
    assert tags(markup).count("svg") == 3
    assert re.findall(r'<rect x="0" y="3.8" width="([\d.]+)"', markup) == ["360", "180"]
    assert '<td class="figure">0.5</td>' in markup
    assert '<tr class="dim"><td>none</td>' in markup


def test_headings_remarks_and_paragraphs_are_what_they_look_like() -> None:
    markup, rules = set_(Group(Text("Head", style="bold"), Text("by the way", style="dim"), Text("one\ntwo")))
    assert markup.splitlines() == ["<h3>Head</h3>", '<p class="facts">by the way</p>', "<p>one<br>two</p>"]
    assert rules == ""
    markup, rules = set_(Text.assemble("plain ", ("red", "red")))
    assert re.fullmatch(r'<p>plain <span class="k0">red</span></p>', markup)
    assert rules.startswith(".k0{color:light-dark(#")


def test_colours_are_those_of_each_theme() -> None:
    sheet = Sheet()
    markup = typeset(lambda: heat_map(["a"], ["b", "c"], [[0.0, 1.0]]), sheet)
    assert tags(markup).count("td") == 3  # and the corner
    for fraction in (0.0, 1.0):
        both = [palette.colour(fraction, theme) for theme in (palette.LIGHT, palette.DARK)]
        assert f"background:light-dark({both[0]},{both[1]})" in sheet.css()


def test_plots_and_frames_are_vectors_and_other_columns_stay_in_columns() -> None:
    markup, _ = set_(LinePlot([Line("1-2", [1.0, 0.5])], ["a", "b"], "layer", "cosine"))
    assert tags(markup)[0] == "svg"
    assert "circle" in tags(markup)
    frame, _ = set_(Group(Text("┌─┐", no_wrap=True), Text("│x│", no_wrap=True), Text("└─┘", no_wrap=True)))
    assert tags(frame).count("svg") == 1
    assert not re.search("[─│┌┐└┘]", frame)
    lines, _ = set_(Group(Text("a   b", no_wrap=True), Text("aa  b", no_wrap=True)))
    assert lines == '<div class="scroll"><pre class="laid">a   b\naa  b</pre></div>'


def test_tokens_stand_over_their_numbers() -> None:
    markup, _ = set_(token_strip(["The", "·king"], ["464", "5822"], 40))
    assert re.findall(r"<b[^>]*>([^<]*)</b><i>(\d+)</i>", markup) == [("The", "464"), ("·king", "5822")]


def test_a_long_table_is_cut_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typesetting, "_MOST", 5)
    made = table("n")
    for number in range(9):
        made.add_row(f"row{number}")
    markup, _ = set_(made)
    assert "row4" in markup
    assert "row5" not in markup
    assert "The first 5 rows of a longer picture; --json has all." in markup


def test_nothing_in_a_picture_is_obeyed() -> None:
    def picture(text: str) -> Group:
        made = table(text, "")
        made.add_row(text, Bar(0.5))
        return Group(Text(text, style="bold"), made, token_strip([text], [text], 90), heat_map([text], [text], [[1.0]]))

    for write in (
        lambda text: drawn_page(text, lambda: picture(text)).html(),
        lambda t: drawn_fragment(lambda: picture(t)),
    ):
        assert shape(write(EVIL.replace("\n", " "))) == shape(write("x"))

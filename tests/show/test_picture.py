"""Saved pictures: valid XML that reaches for nothing, shapes where the console has characters, text that is text."""

import re
import struct
import sys
from html import escape
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.text import Text
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.errors import GptcliError
from gptcli.show.attribution import SignedBar
from gptcli.show.blocks.heat import heat_map
from gptcli.show.blocks.pictures import Bar, exact_bars, table
from gptcli.show.blocks.plot import Dot, Line, LinePlot, Scatter
from gptcli.show.picture.look import DARK, LIGHT, mixed
from gptcli.show.picture.png import SCALE, png
from gptcli.show.picture.svg import HIGH, MARGIN, WIDE, svg
from gptcli.show.picture.title import command_line
from tests.browser.test_pages import luminance
from tests.show.test_page import EVIL

NAME = "{http://www.w3.org/2000/svg}"
BLOCKS = re.compile("[\u2500-\u259f\u2800-\u28ff●▲■◆○△□◇]")


def drawn(picture: object, title: str = "", theme: str = "light") -> ElementTree.Element:
    console = Console(width=80, force_terminal=True, color_system="truecolor", no_color=False, _environ={})
    lines = Segment.split_lines(console.render(picture, console.options))  # type: ignore[arg-type]
    return ElementTree.fromstring(svg([list(line) for line in lines], title, theme))


def found(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return list(root.iter(NAME + name))


def rects(root: ElementTree.Element) -> list[ElementTree.Element]:
    """Those of the picture, without its ground."""
    return found(root, "rect")[1:]


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name])


def test_a_bar_is_one_rectangle_as_long_as_its_value() -> None:
    listed = table("word", "")
    fractions = (1.0, 0.5, 0.25, 0.013)
    for fraction in fractions:
        listed.add_row("x", Bar(fraction))
    root = drawn(listed)
    bars = rects(root)
    assert len(bars) == len(fractions)
    assert len({bar.attrib["x"] for bar in bars}) == 1
    longest = number(bars[0], "width")
    assert longest == 40 * WIDE
    for bar, fraction in zip(bars, fractions, strict=True):  # a character has eight steps
        assert number(bar, "width") == pytest.approx(fraction * longest, abs=WIDE / 16 + 0.01)
    assert all(below - above == HIGH for above, below in pairwise(number(bar, "y") for bar in bars))
    assert not BLOCKS.search("".join(root.itertext()))


def test_saved_bars_are_as_long_as_their_values_and_not_as_their_characters() -> None:
    fractions = (1.0, 0.5013, 0.2491, 0.0002)
    listed = table("word", "", "")
    for fraction in fractions:
        listed.add_row("x", Bar(fraction), SignedBar(fraction))
        listed.add_row("x", Bar(fraction), SignedBar(-fraction))
    with exact_bars():
        bars = rects(drawn(listed))
    left = min(number(bar, "x") for bar in bars)
    plain = [bar for bar in bars if number(bar, "x") == left]
    signed = [bar for bar in bars if number(bar, "x") != left]
    longest = number(plain[0], "width")
    for pair, fraction in zip(zip(plain[::2], plain[1::2], strict=True), fractions, strict=True):
        for bar in pair:
            assert number(bar, "width") == pytest.approx(max(fraction * longest, 0.08 * WIDE), abs=0.01)
    half = number(signed[0], "width")
    for right, leftward, fraction in zip(signed[::2], signed[1::2], fractions, strict=True):
        assert number(right, "width") == pytest.approx(max(fraction * half, 0.08 * WIDE), abs=0.01)
        assert number(leftward, "width") == pytest.approx(number(right, "width"), abs=0.011)
        assert number(right, "x") == number(signed[0], "x")
        end = number(signed[1], "x") + number(signed[1], "width")
        assert number(leftward, "x") + number(leftward, "width") == pytest.approx(end, abs=0.011)
    assert not BLOCKS.search("".join(drawn(listed).itertext()))


def test_a_map_has_a_rectangle_for_each_field_and_its_text_over_it() -> None:
    root = drawn(heat_map(["a", "b"], ["c", "d", "e"], [[0.0, 0.5, 1.0], [1.0, 0.25, 0.75]]))
    fields = rects(root)
    assert len(fields) == 6
    assert {number(field, "height") for field in fields} == {HIGH}
    assert all(field.attrib["shape-rendering"] == "crispEdges" for field in fields)
    assert {"0.000", "0.250", "1.000"} <= {text.text for text in found(root, "text")}


def test_arrows_and_lines_are_vectors_between_their_marks() -> None:
    dots = [Dot(0.0, 0.0, "near"), Dot(3.0, 0.0, "far", "◇")]
    root = drawn(Scatter(dots, [(0, 1, "#cc5aa8")], "across", "up"))
    (arrow,) = (line for line in found(root, "line") if line.attrib["stroke"] == "#cc5aa8")
    (circle,) = found(root, "circle")
    assert arrow.attrib["y1"] == arrow.attrib["y2"] == circle.attrib["cy"]
    heads = [each for each in found(root, "polygon") if each.attrib["fill"] == "#cc5aa8"]
    assert len(heads) == 1
    (mark,) = (each for each in found(root, "polygon") if each not in heads)
    tip = max(float(corner.split(",")[0]) for corner in heads[0].attrib["points"].split())
    left = min(float(corner.split(",")[0]) for corner in mark.attrib["points"].split())
    assert number(circle, "cx") < number(arrow, "x1") < number(arrow, "x2") < tip < left
    assert not BLOCKS.search("".join(root.itertext()))
    root = drawn(LinePlot([Line("1-2", [1.0, 0.5, 0.75])], ["a", "b", "c"], "layer", "cosine"))
    assert len([line for line in found(root, "line") if line.attrib["stroke-width"] == "2"]) == 2
    assert not BLOCKS.search("".join(root.itertext()))


def test_text_stays_in_its_columns_whatever_the_font() -> None:
    root = drawn(Text("one two   three 日本 é"), title="a title")
    runs = {text.text: text for text in found(root, "text")}
    assert number(runs["one two"], "x") == 0
    assert number(runs["three"], "x") == 10 * WIDE
    assert number(runs["日本"], "textLength") == 4 * WIDE
    assert number(runs["a title"], "x") == MARGIN
    for text in runs.values():
        assert "textLength" in text.attrib
    families = root.attrib["font-family"]
    assert families.endswith("monospace")
    assert "Fira" not in families


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_a_model_says_is_only_text(theme: str) -> None:
    root = drawn(Text(EVIL, style="bold red on blue"), title=EVIL, theme=theme)
    assert {element.tag.removeprefix(NAME) for element in root.iter()} <= {"svg", "title", "rect", "g", "text", "line"}
    for element in root.iter():
        assert not {name for name in element.attrib if name.startswith("on") or name.endswith("href")}
    written = ElementTree.tostring(root, encoding="unicode").replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|<style|<script", written)
    assert "</script><img src=x onerror=alert(1)>" in "".join(root.itertext()).replace("\n", "")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_both_themes_can_be_read(theme: tuple[str, str, tuple[str, ...]]) -> None:
    def shown(colour: str) -> float:
        return luminance(f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})")

    ground, ink, named = theme
    for colour, least in [(ink, 7.0), (mixed(ink, ground, 0.4), 4.5), *((each, 4.5) for each in named[1:7])]:
        low, high = sorted((shown(colour), shown(ground)))
        assert (high + 0.05) / (low + 0.05) >= least, colour


def test_a_png_has_the_size_of_the_vectors() -> None:
    pytest.importorskip("resvg_py")
    root = '<svg xmlns="http://www.w3.org/2000/svg" width="70" height="30"/>'
    data = png(root)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (70 * SCALE, 30 * SCALE)


def test_a_png_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(GptcliError, match="pip install resvg-py"):
        png("<svg/>")
    done = CliRunner().invoke(app, ["params", "gpt2", "--save", str(tmp_path / "x.png")])
    assert done.exit_code == 1
    assert "pip install resvg-py" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_title_is_the_command_or_what_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "p.svg"
    for asked, title in (([], "gptcli params gpt2"), (["--title", "GPT-2 <small>"], "GPT-2 <small>")):
        done = CliRunner().invoke(app, ["params", "gpt2", "--save", str(file), *asked])
        assert done.exit_code == 0, done.stderr
        root = ElementTree.parse(file).getroot()
        assert [each.text for each in found(root, "title")] == [title]
        assert next(each.text for each in found(root, "text")) == title
        page = tmp_path / "p.html"
        CliRunner().invoke(app, ["params", "gpt2", "--save", str(page), *asked])
        assert f"<h1>{escape(title)}</h1>" in page.read_text(encoding="utf-8")
    CliRunner().invoke(app, ["params", "gpt2", "--save", str(file), "--title", ""])
    assert not found(ElementTree.parse(file).getroot(), "title")


def test_a_command_is_written_as_one_types_it() -> None:
    words = ["logits", "The king", "--save", "x.svg", "-t", "0.5,1", "--title=a b", "--json", 'say "hi"']
    assert command_line(words) == 'gptcli logits "The king" -t 0.5,1 \'say "hi"\''

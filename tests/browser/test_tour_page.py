"""The page of the tour, of three stops, in a real browser: its links, its slider, and the pieces that answer."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import gptcli
from gptcli.cli.app import app
from gptcli.cli.tour import STOPS
from gptcli.show.blocks.figures import percent
from gptcli.show.html.page import Page
from gptcli.show.html.parts import Section, Softmax
from tests.browser.chromium import Chromium
from tests.browser.test_inside_pages import lines, quiet
from tests.show.test_page import EVIL, shape

pytestmark = pytest.mark.slow
MAP, TEMPERATURE, ATTENTION = 6, 9, 11
ROWS = "[...document.querySelectorAll('.softmax tr')].map(row => [...row.cells].map(cell => cell.textContent))"
WIDTHS = "[...document.querySelectorAll('.softmax rect')].map(each => +each.getAttribute('width'))"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A page for each of three stops."""
    folder = tmp_path_factory.mktemp("tour")
    files = {number: folder / f"{number}.html" for number in (MAP, TEMPERATURE, ATTENTION)}
    for number, file in files.items():
        done = CliRunner().invoke(app, ["tour", "--stop", str(number), "--save", str(file)])
        assert done.exit_code == 0, done.output
    return files


def slide(chromium: Chromium, temperature: float) -> None:
    chromium.ask(
        f"(slider => {{ slider.value = {temperature}; slider.dispatchEvent(new Event('input')); }})"
        "(document.querySelector('.softmax input'))"
    )


def test_the_slider_shows_what_the_command_says(chromium: Chromium, pages: dict[int, Path]) -> None:
    chromium.open(pages[TEMPERATURE])
    prompt = STOPS[TEMPERATURE - 1].arguments[1]
    logits = gptcli.load("tales", device="cpu").logits(prompt)[-1].astype(np.float64)
    for temperature in (1.0, 0.5, 2.0, 5.0, 0.0):
        slide(chromium, temperature)
        command = ["logits", prompt, "-t", f"{temperature}", "--top", "6", "--json"]
        (told,) = json.loads(CliRunner().invoke(app, command).stdout)["distributions"]
        rows = chromium.ask(ROWS)
        expected = [[each["token"].replace(" ", "·"), percent(each["probability"])] for each in told["candidates"]]
        if temperature:
            assert [row[:2] for row in rows[:-1]] == expected
            scaled = np.exp((logits - logits.max()) / temperature)
            by_hand = np.sort(scaled / scaled.sum())[::-1][:6]
            assert chromium.ask(WIDTHS) == pytest.approx(by_hand, rel=1e-4)
        else:
            assert rows[0][:2] == [expected[0][0], "100.00%"]
            assert chromium.ask(WIDTHS) == [1, 0, 0, 0, 0, 0]
        assert rows[-1][0] == f"{50257 - 6:,} more"
        assert f"entropy {told['entropy_bits']:.3f} bits" in chromium.ask(
            "document.querySelector('.softmax .facts').innerText"
        )
    quiet(chromium)


def test_own_numbers_have_a_slider_too(chromium: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "softmax.html"
    command = ["softmax", "cat=3", "dog=1", "fish=0.2", "owl=-inf"]
    assert CliRunner().invoke(app, [*command, "--save", str(file)]).exit_code == 0
    chromium.open(file)
    for temperature in (1.0, 0.25, 4.0):
        slide(chromium, temperature)
        by_hand = np.exp(np.array([3, 1, 0.2, -np.inf]) / temperature)
        assert chromium.ask(WIDTHS) == pytest.approx(by_hand / by_hand.sum(), rel=1e-12)
    assert [row[0] for row in chromium.ask(ROWS)[:4]] == ["cat = 3", "dog = 1", "fish = 0.2", "owl = -inf"]
    assert chromium.ask("document.querySelector('.softmax tr.dim').hidden")
    quiet(chromium)


@pytest.mark.parametrize("width", [375, 768, 1600])
def test_each_stop_fits_any_screen_and_has_its_parts(chromium: Chromium, pages: dict[int, Path], width: int) -> None:
    for number, file in pages.items():
        chromium.open(file, width=width, height=800, dark=number == MAP, touch=width < 400)
        stop = STOPS[number - 1]
        assert chromium.ask("document.querySelector('.contents a').textContent") == stop.title
        assert chromium.ask("document.querySelector('.contents a').getAttribute('href')") == f"#stop-{number}"
        assert chromium.ask("document.querySelector('section').id") == f"stop-{number}"
        assert chromium.ask("document.querySelector('.command').textContent") == stop.command
        assert chromium.ask("document.querySelector('.said').textContent")
        assert chromium.ask("document.querySelector('details.ask summary').textContent") == stop.question
        quiet(chromium)


def test_the_pieces_answer_to_the_pointer(chromium: Chromium, pages: dict[int, Path]) -> None:
    chromium.open(pages[ATTENTION])
    chromium.hover(".grid.looks [data-i]", 3)
    assert re.fullmatch(r"\S+ looks at \S+", lines(chromium)[0])
    chromium.hover("[data-token]", 1)
    assert lines(chromium)[0] == "·king looks at …"
    chromium.open(pages[MAP])
    chromium.hover('#globe [data-i="3"] path')
    assert lines(chromium)[0] == "queen"


def test_nothing_in_a_stop_or_a_token_is_obeyed() -> None:
    def page(text: str) -> str:
        slider = Softmax(text, [text], [0], np.ones(3, np.float32).tobytes())
        section = Section(1, text, text, text, [text], [slider], text, text, text, text)
        return Page(text, [text], sections=[section, section], how=text).html()

    assert shape(page(EVIL)) == shape(page("x"))

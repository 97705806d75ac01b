"""Saved pages in a real browser: point, type and tap, and read what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.show.blocks.figures import percent
from tests.browser.chromium import Chromium

TEXT = 'Once upon a time there was a king. </script><img src=x onerror="document.title=1"> Then\nthe \u202eend\x1b[31m'
NUMBERS = "document.getElementById('numbers').innerText"
FOCUSED = "+document.activeElement.dataset.i"
NAMES = ("probability", "rank", "surprisal")
TOKEN = ".strip [data-i]"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A page of ``gptcli score`` and the same numbers as JSON."""
    file = tmp_path_factory.mktemp("pages") / "score.html"
    done = CliRunner().invoke(app, ["score", TEXT, "--json", "--save", str(file)])
    assert done.exit_code == 0, done.output
    return file, json.loads(done.stdout)["tokens"]


def expected(token: dict[str, Any]) -> str:
    numbers = (percent(token["probability"]), f"{token['rank']:,}", f"{token['surprisal_bits']:.2f} bits")
    return "\n".join(f"{name}\n{number}" for name, number in zip(NAMES, numbers, strict=True))


def test_pointing_shows_each_tokens_numbers(chromium: Chromium, scored: tuple[Path, list[dict[str, Any]]]) -> None:
    file, tokens = scored
    chromium.open(file)
    assert "Point at a token" in chromium.ask(NUMBERS)
    assert chromium.ask(f"document.querySelectorAll('{TOKEN}').length") == len(tokens)
    for place, token in list(enumerate(tokens))[1:]:
        chromium.hover(TOKEN, place)
        assert chromium.ask(NUMBERS).endswith(expected(token))
        assert chromium.ask("document.querySelector('.shown').dataset.i") == str(place)
    chromium.hover(TOKEN, 0)  # nothing was read before the first token
    assert chromium.ask(NUMBERS) == "Once\nprobability\n–\nrank\n–\nsurprisal\n–"


def test_it_works_without_a_pointer(chromium: Chromium, scored: tuple[Path, list[dict[str, Any]]]) -> None:
    file, tokens = scored
    chromium.open(file, width=600)
    chromium.press("Tab")
    assert chromium.ask(FOCUSED) == 0
    for key, place in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", len(tokens) - 1), ("Home", 0)):
        chromium.press(key)
        assert chromium.ask(FOCUSED) == place
    chromium.press("ArrowDown")
    below = chromium.ask(FOCUSED)
    lines = chromium.ask(f"[...document.querySelectorAll('{TOKEN}')].map(each => each.getClientRects()[0].top)")
    assert lines[below] > lines[0]
    assert sorted(set(lines))[1] == pytest.approx(lines[below], abs=2)
    assert chromium.ask(NUMBERS).endswith(expected(tokens[below]))
    assert chromium.ask("getComputedStyle(document.activeElement).boxShadow") != "none"  # the focus is seen
    chromium.press("ArrowUp")
    assert chromium.ask(FOCUSED) == 0
    chromium.press("Tab")  # one stop for all tokens
    assert chromium.ask("document.activeElement.closest('.strip')") is None


def test_enter_keeps_the_numbers_and_escape_lets_go(
    chromium: Chromium, scored: tuple[Path, list[dict[str, Any]]]
) -> None:
    file, tokens = scored
    chromium.open(file)
    for key in ("Tab", "ArrowRight", "Enter"):
        chromium.press(key)
    chromium.hover(TOKEN, 4)
    assert chromium.ask(NUMBERS).endswith(expected(tokens[1]))
    assert chromium.ask("document.querySelectorAll('[aria-pressed=true]').length") == 1
    chromium.press("Escape")
    assert "Point at a token" in chromium.ask(NUMBERS)
    chromium.click(TOKEN, 5)
    chromium.hover(TOKEN, 2)
    assert chromium.ask(NUMBERS).endswith(expected(tokens[5]))
    chromium.click(TOKEN, 5)
    chromium.hover(TOKEN, 2)
    assert chromium.ask(NUMBERS).endswith(expected(tokens[2]))


def test_tapping_on_a_phone(chromium: Chromium, scored: tuple[Path, list[dict[str, Any]]]) -> None:
    file, tokens = scored
    chromium.open(file, width=360, height=740, touch=True)
    assert chromium.ask("document.documentElement.scrollWidth") == 360  # no sideways scrolling
    assert chromium.ask("parseFloat(getComputedStyle(document.querySelector('.strip')).fontSize)") >= 16
    for place in (3, 6):
        chromium.tap(TOKEN, place)
        assert chromium.ask(NUMBERS).endswith(expected(tokens[place]))
    box = chromium.ask("(b => [b.top, b.bottom])(document.querySelector('aside').getBoundingClientRect())")
    assert 0 < box[0] < box[1] <= 740  # the numbers are on the screen


def test_it_asks_for_nothing_and_obeys_nothing(chromium: Chromium, scored: tuple[Path, list[dict[str, Any]]]) -> None:
    file, _ = scored
    chromium.open(file)
    chromium.hover(TOKEN, 9)
    assert chromium.ask("document.images.length") == 0
    assert chromium.ask("document.title") == "How surprising a text is to tales · gptcli"
    assert chromium.ask("document.querySelector('.strip').innerText").count("</script><img") == 1
    assert [url for url in chromium.requested if not url.startswith(("file:", "data:"))] == []
    assert chromium.errors == []


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(chromium: Chromium, scored: tuple[Path, list[dict[str, Any]]], dark: bool) -> None:
    chromium.open(scored[0], dark=dark)
    for selector in ("h1", ".facts", ".how", ".list td", ".list th", ".strip .none", ".legend", TOKEN):
        assert contrast(chromium, selector) >= 4.5, selector
    ground = chromium.ask("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) < 0.1) == dark


def contrast(chromium: Chromium, selector: str) -> float:
    """The contrast ratio of an element's text with what is behind it (WCAG 2.2)."""
    front, back = chromium.ask(
        f"(() => {{ const node = document.querySelector({json.dumps(selector)}); let ground = node;"
        " while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;"
        " return [getComputedStyle(node).color, getComputedStyle(ground).backgroundColor]; })()"
    )
    high, low = sorted((luminance(front), luminance(back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)`` (WCAG 2.2)."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

"""What every page that hovers has to be: one file, for a phone as for a desk, by finger, pointer and keyboard."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.show.blocks.figures import percent
from tests.browser.chromium import Chromium
from tests.browser.test_inside_pages import CELL, lines, saved
from tests.browser.test_pages import luminance
from tests.tales import LAYERS

PROMPT = "The king took his crown and the queen took her"
COMMANDS: dict[str, tuple[str, ...]] = {
    "attention": ("attention", PROMPT, "--layer", "all"),
    "head": ("attention", PROMPT, "--layer", "4", "--head", "1"),
    "lens": ("lens", PROMPT, "--token", "queen", "--attribution"),
    "heads": ("head", "--all", "--tokens", "9", "--no-kind"),
    "neurons": ("neurons", PROMPT),
    "passages": ("neurons", PROMPT, "--neuron", "5.1015"),
    "score": ("score", PROMPT * 3),
    "ablate": ("ablate", PROMPT),
    "patch": ("patch", PROMPT, "The queen took his crown and the queen took her"),
    "explain": ("generate", "Once upon a time", "--explain", "-n", "30", "--seed", "3"),
}
# Elements that hold text of their own and are seen.
SEEN = (
    "[...document.querySelectorAll('body *')].filter(each => each.getClientRects().length && !each.closest('script')"
    " && [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()))"
)


@pytest.fixture(scope="module", params=COMMANDS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that was saved, and then moved to where nothing else is."""
    made, alone = (tmp_path_factory.mktemp(name) for name in ("made", "alone"))
    done = CliRunner().invoke(app, [*COMMANDS[request.param], "--json", "--save", str(made / "page.html")])
    assert done.exit_code == 0, done.output
    assert [file.name for file in made.iterdir()] == ["page.html"]
    return Path(shutil.move(made / "page.html", alone / "page.html"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1200])
def test_it_is_one_file_and_can_be_read(chromium: Chromium, page: Path, width: int, dark: bool) -> None:
    chromium.open(page, width=width, height=740, dark=dark, touch=width < 400)
    (chromium.tap if width < 400 else chromium.hover)(CELL, 2)
    assert len(lines(chromium)) > 2
    assert [url for url in chromium.requested if not url.startswith("data:")] == [page.as_uri()]
    assert chromium.errors == []
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    assert chromium.ask(f"Math.min(...{SEEN}.map(each => parseFloat(getComputedStyle(each).fontSize)))") >= 12
    pairs = chromium.ask(
        f"[...new Set({SEEN}.filter(each => !each.matches('.space')).map(each => {{ let ground = each;"
        " while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;"
        " return getComputedStyle(each).color + '|' + getComputedStyle(ground).backgroundColor; }))]"
    )
    for pair in pairs:
        low, high = sorted(luminance(colour) for colour in pair.split("|"))
        assert (high + 0.05) / (low + 0.05) >= 4.5, pair


def test_a_finger_finds_every_cell(chromium: Chromium, page: Path) -> None:
    """What is tapped shows its own numbers, above the fold, and the page does not move sideways."""
    chromium.open(page, width=375, height=740, touch=True)
    count = chromium.ask(f"document.querySelectorAll('{CELL}').length")
    for place in {1, count // 2, count - 1}:
        chromium.tap(CELL, place)
        cell = f"document.querySelectorAll('{CELL}')[{place}]"
        part, number = chromium.ask(f"[{cell}.closest('[data-part]').dataset.part, +{cell}.dataset.i]")
        data = json.loads(chromium.ask(f"document.getElementById('data-{part}').textContent"))
        assert all(figure in lines(chromium) for figure in data["cells"][number][0])
        top, bottom = chromium.ask("(b => [b.top, b.bottom])(document.querySelector('aside').getBoundingClientRect())")
        assert 0 < top < bottom <= 740
        assert chromium.ask("scrollX") == 0


def test_the_keyboard_reaches_every_part(chromium: Chromium, page: Path) -> None:
    chromium.open(page)
    reached: list[str] = []
    for _ in range(60):
        chromium.press("Tab")
        here = chromium.ask("document.activeElement.closest('[data-part]')?.dataset.part ?? null")
        if here is None and reached:
            break
        if here is not None:
            reached.append(here)
            assert len(lines(chromium)) > 2
    assert reached == chromium.ask("[...document.querySelectorAll('[data-part]')].map(each => each.dataset.part)")
    chromium.press("Escape")
    assert lines(chromium)[0].startswith("Point at a")
    names = chromium.ask(
        f"[...document.querySelectorAll('[data-part], {CELL}')]"
        ".filter(each => !(each.getAttribute('aria-label') || each.textContent) && !each.closest('.small')).length"
    )
    assert names == 0  # a reader for the blind has something to say


def test_the_lens_by_finger_and_by_keyboard(chromium: Chromium, tmp_path: Path) -> None:
    file, answer = saved(tmp_path, *COMMANDS["lens"])
    stages = answer["stages"]
    tokens = [each["token"].replace(" ", "·") for each in answer["tokens"]]

    def told(layer: int, position: int) -> list[Any]:
        guess = stages[layer]["guesses"][position]
        since = answer["decided"][position]
        named = "embed" if layer == 0 else f"layer {layer}"
        figures = ("best guess", guess["token"].replace(" ", "·"), "probability", percent(guess["probability"]))
        stays = "embed" if since == 0 else f"{since}"
        return [f"{named}, after {tokens[position]}", *figures, "the last guess stays from", stays]

    chromium.open(file, width=375, height=740, touch=True)
    for layer, position in ((0, 0), (4, 9), (LAYERS, 5)):  # the latter two have to be scrolled to
        chromium.tap(CELL, layer * len(tokens) + position)
        assert lines(chromium) == told(layer, position)
    chromium.open(file)
    steps = (("Tab", 0, 0), ("ArrowDown", 1, 0), ("ArrowRight", 1, 1), ("ArrowDown", 2, 1), ("ArrowUp", 1, 1))
    for key, layer, position in (*steps, ("End", LAYERS, 9), ("ArrowLeft", LAYERS, 8), ("Home", 0, 0)):
        chromium.press(key)
        assert lines(chromium) == told(layer, position)
    chromium.press("Enter")
    chromium.hover(CELL, 12)
    assert lines(chromium) == told(0, 0)  # kept
    chromium.press("Escape")
    chromium.hover(CELL, 13)
    assert lines(chromium) == told(1, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ("similarity", "--in-context", "a fashion [model]", "the [mole] dug a hole", "--neighbors", "3"),
        ("trace", "The king and the", "--layer", "1"),
        ("analogy", "king-man+woman"),
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_is_typeset_and_light_or_dark(
    chromium: Chromium, tmp_path: Path, arguments: tuple[str, ...], dark: bool
) -> None:
    file, _ = saved(tmp_path, *arguments)
    chromium.open(file, width=375, height=740, dark=dark, touch=True)
    assert [url for url in chromium.requested if not url.startswith("data:")] == [file.as_uri()]
    assert chromium.errors == []
    assert chromium.ask("document.documentElement.scrollWidth") <= 375
    assert chromium.ask("document.title").endswith("gptcli")
    assert chromium.ask(f"Math.min(...{SEEN}.map(each => parseFloat(getComputedStyle(each).fontSize)))") >= 12
    assert chromium.ask("document.querySelector('h1').textContent").startswith(f"gptcli {arguments[0]}")
    look = "(look => [look.color, look.backgroundColor])(getComputedStyle(document.querySelector('body')))"
    front, back = chromium.ask(look)
    assert (luminance(back) < luminance(front)) == dark
    chromium.click("#theme")  # the other way round
    front, back = chromium.ask(look)
    assert (luminance(back) < luminance(front)) != dark

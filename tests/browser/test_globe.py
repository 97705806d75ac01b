"""The map that turns: in a real browser, by mouse, finger and keyboard."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.browser.chromium import Chromium

PLACES = (
    "[...document.querySelectorAll('.point')].map(one => one.dataset.i + one.getAttribute('transform')).sort().join()"
)
NUMBERS = "document.getElementById('numbers').innerText"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("map") / "map.html"
    arguments = ["map", "man->woman", "king->queen", "--neighbors", "3", "--save", str(file)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return file


def drag(chromium: Chromium, dx: int, dy: int) -> None:
    x, y = chromium.place("#globe")
    for kind, step in (("mousePressed", 0), ("mouseMoved", 0.5), ("mouseMoved", 1), ("mouseReleased", 1)):
        at = {"x": x + dx * step, "y": y + dy * step}
        chromium.send("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **at)


def frame(chromium: Chromium) -> str:
    """Where the points are once the next frame is drawn."""
    chromium.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return str(chromium.ask(PLACES))


def test_dragging_turns_it(chromium: Chromium, page: Path) -> None:
    chromium.open(page)
    before = frame(chromium)
    drag(chromium, 120, 0)
    assert frame(chromium) != before
    drag(chromium, -120, 0)
    assert frame(chromium) == before
    assert chromium.errors == []
    assert chromium.requested == [page.as_uri()]


def test_keys_turn_it_and_walk_from_word_to_word(chromium: Chromium, page: Path) -> None:
    chromium.open(page)
    chromium.press("Tab")
    assert chromium.ask("document.activeElement.id") == "globe"
    before = frame(chromium)
    chromium.press("ArrowLeft")
    assert frame(chromium) != before
    chromium.press("ArrowRight")
    assert frame(chromium) == before
    chromium.press("ArrowUp")
    chromium.press("Home")
    assert frame(chromium) == before
    chromium.ask("document.getElementById('globe').dispatchEvent(new KeyboardEvent('keydown', {key: 'n'}))")
    assert chromium.ask(NUMBERS).startswith("man\n")
    chromium.press("Escape")
    assert "Drag to turn" in chromium.ask(NUMBERS)


def test_pointing_shows_the_numbers(chromium: Chromium, page: Path) -> None:
    chromium.open(page)
    frame(chromium)
    chromium.hover('[data-i="3"] path')
    assert re.match(r"queen\n+PC1 \d+\.\d%\n+-?\d+\.\d{3}", chromium.ask(NUMBERS))
    chromium.hover('[data-i="4"] path')
    assert "cosine similarity with man" in chromium.ask(NUMBERS)


def test_the_front_is_the_plane_of_the_terminal(chromium: Chromium, page: Path) -> None:
    """From the front PC1 is to the right, and PC2 upwards."""
    chromium.open(page)
    chromium.click('button[data-key="0"]')
    places = dict(re.findall(r"(\d+)(translate\([^)]*\))", frame(chromium)))
    x, y = ({int(key): float(re.findall(r"-?\d+\.\d", text)[axis]) for key, text in places.items()} for axis in (0, 1))
    points = chromium.ask("JSON.parse(document.getElementById('data').textContent).points.map(point => point.at)")
    far = [max((point[axis], index) for index, point in enumerate(points))[1] for axis in (0, 1)]
    assert x[far[0]] == max(x.values())
    assert y[far[1]] == min(y.values())


def test_a_finger_taps_and_labels_never_overlap_on_a_phone(chromium: Chromium, page: Path) -> None:
    chromium.open(page, width=390, height=780, touch=True)
    frame(chromium)
    chromium.tap('[data-i="2"] path')
    frame(chromium)
    assert chromium.ask(NUMBERS).startswith("king")
    assert chromium.ask("document.documentElement.scrollWidth") <= 390
    boxes = chromium.ask(
        "[...document.querySelectorAll('.point text:not(.hidden)')].map(one => one.getBoundingClientRect())"
        ".map(box => [box.left + 1, box.top + 2, box.right - 1, box.bottom - 2])"
    )
    for place, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[2] <= 390
        for b in boxes[place + 1 :]:
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]

"""Writing on a page that runs a model, here one of a few lines: what is typed, taken, chosen, drawn and undone."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gptcli.checkpoint.open import open_checkpoint
from gptcli.cli.app import app
from gptcli.inspection.explored import explored
from gptcli.show.explore_page.page import save_page
from tests.browser.chromium import Chromium
from tests.browser.firefox import Firefox
from tests.browser.test_explore_page import AT, ROWS, SETTLED
from tests.browser.test_inside_pages import quiet
from tests.made import made

pytestmark = pytest.mark.slow
FIELD = "document.querySelector('.field')"
WRITTEN = "document.querySelector('.text').textContent"
FIRST = "[...document.querySelectorAll('.next .take')].map(each => each.textContent)"
# All that was asked of the model has come, and lens and attention too.
DONE = (
    "new Promise(done => { const frame = next => requestAnimationFrame(() => setTimeout(next, 20));"
    " const look = () => document.querySelector('.explore.late') ? setTimeout(look, 10) : frame(() => frame(done));"
    " setTimeout(look, 60); })"
)


@dataclass(frozen=True)
class Fake:
    """A model for a page."""

    elements: str
    script: str


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("live") / "page.html"
    script = Path(__file__).with_name("fake_live.js").read_text()
    save_page(explored(open_checkpoint("tales", inside=False), "The king"), file, Fake("", script))
    return file


def typed(chromium: Chromium, text: str) -> None:
    """Replace the text by typing."""
    chromium.ask(f"{FIELD}.focus(); {FIELD}.select()")
    chromium.send("Input.insertText", text=text)
    chromium.ask(DONE)


def opened(chromium: Chromium, file: Path, text: str, width: int = 1200) -> None:
    chromium.open(file, width=width)
    chromium.ask(SETTLED)
    typed(chromium, text)


def test_what_is_typed_is_read_at_once(chromium: Chromium, page: Path) -> None:
    opened(chromium, page, "abc")
    assert chromium.ask(WRITTEN) == "abc"
    assert chromium.ask(AT) == [2]
    assert chromium.ask("document.querySelectorAll('.lens thead [data-at]').length") == 3
    assert chromium.ask("document.querySelectorAll('.map').length") == 4
    assert chromium.ask(
        "[...document.querySelectorAll('.text [data-at]')].map(each => each.className.split(' ')[0])"
    ) == [
        "none",
        *(f"c{round(ord(character) % 16 / 16 * 47)}" for character in "bc"),
    ]
    calls = len(chromium.ask("gptcliLive.calls"))
    for character in "defgh":
        chromium.send("Input.insertText", text=character)
    assert chromium.ask(WRITTEN) == "abcdefgh"  # before the model has read it
    chromium.ask(DONE)
    assert chromium.ask("document.querySelectorAll('.lens thead [data-at]').length") == 8
    asked = chromium.ask("gptcliLive.calls")[calls:]
    assert asked[-1] == 8
    chromium.ask(f"{FIELD}.setSelectionRange(3, 3)")
    chromium.ask(SETTLED)
    assert chromium.ask(AT) == [2]  # the cursor of the field is that of all views
    quiet(chromium)


def test_keys_take_choose_draw_and_undo(chromium: Chromium, page: Path) -> None:
    opened(chromium, page, "ab")
    first = chromium.ask(FIRST)
    chromium.press("Tab")
    chromium.ask(DONE)
    assert chromium.ask(f"{FIELD}.value") == chromium.ask(WRITTEN) == f"ab{first[0]}"
    assert chromium.ask("document.activeElement === document.querySelector('.field')")
    chromium.press("Escape")
    assert chromium.ask("document.activeElement.dataset.at") == "2"
    for key, rank in ((" ", 1), ("3", 3)):
        candidates, before = chromium.ask(FIRST), chromium.ask(WRITTEN)
        chromium.press(key)
        chromium.ask(DONE)
        assert chromium.ask(WRITTEN) == before + candidates[rank - 1]
    for expected in (4, 3, 2):
        chromium.press("u")
        chromium.ask(DONE)
        assert len(chromium.ask(WRITTEN)) == expected
    chromium.ask("Math.random = () => 0.999999")
    chromium.ask(
        "(slider => { slider.value = 4; slider.dispatchEvent(new Event('input')); })"
        "(document.querySelectorAll('.sliders input')[1])"
    )
    fifth = chromium.ask(FIRST)[4]  # top-k 5: the last one that can be drawn
    chromium.ask("document.querySelector('.text [tabindex=\"0\"]').focus()")
    chromium.press("d")
    chromium.ask(DONE)
    assert chromium.ask(WRITTEN) == f"ab{fifth}"
    quiet(chromium)


def test_firefox_writes_too(firefox: Firefox, page: Path) -> None:
    firefox.open(page)
    firefox.ask(SETTLED)
    firefox.ask(f"({FIELD}.focus(), {FIELD}.select())")
    firefox.type("xyz")
    firefox.ask(DONE)
    first = firefox.ask(FIRST)
    firefox.type("Tab")
    firefox.ask(DONE)
    assert firefox.ask(WRITTEN) == f"xyz{first[0]}"
    firefox.type("Escape")
    firefox.type("2")
    firefox.ask(DONE)
    assert len(firefox.ask(WRITTEN)) == 5
    assert firefox.ask(AT) == [4]
    assert firefox.ask("document.querySelectorAll('.arcs .looks').length") == 5


def test_another_road_from_any_token(chromium: Chromium, page: Path) -> None:
    """A candidate after an earlier token takes the place of all that stood behind it; undo brings that back."""
    opened(chromium, page, "abcdef")
    chromium.ask("document.querySelectorAll('.lens thead [data-at]')[1].click()")
    chromium.ask(SETTLED)
    second = chromium.ask(FIRST)[1]
    chromium.click(".next .take", 1)
    chromium.ask(DONE)
    assert chromium.ask(WRITTEN) == f"ab{second}"
    chromium.click(".write button", 3)
    chromium.ask(DONE)
    assert chromium.ask(WRITTEN) == "abcdef"


def test_it_writes_on_until_it_is_stopped_or_full(chromium: Chromium, page: Path) -> None:
    opened(chromium, page, "x" * 55)
    chromium.click(".write button", 2)
    end = (
        "new Promise(done => { const look = () => document.querySelector('.write button').disabled ? done() :"
        " setTimeout(look, 20); look(); })"
    )
    chromium.ask(end)
    chromium.ask(DONE)
    assert len(re.sub(r"\\x[0-9a-f]{2}", "?", chromium.ask(WRITTEN))) == 60  # a control character is drawn as four
    typed(chromium, "x" * 61)
    assert chromium.ask("document.querySelector('.write [role=status]').textContent") == (
        "60 tokens are the most: <b>shorten</b> the text"
    )
    assert chromium.ask("document.querySelectorAll('.write b').length") == 0
    typed(chromium, "xy")
    assert chromium.ask("document.querySelector('.write [role=status]').textContent") == ""
    quiet(chromium)


def test_what_is_typed_is_not_obeyed(chromium: Chromium, page: Path) -> None:
    opened(chromium, page, "<img src=x onerror=document.title=1></script>")
    assert "<img src=x" in chromium.ask(WRITTEN)
    assert chromium.ask("document.images.length") == 0
    assert chromium.ask("document.title") == "Inside tales · gptcli"
    typed(chromium, "a\u202eb\x1b\u2028")
    assert chromium.ask(WRITTEN).isascii()
    quiet(chromium)


@pytest.mark.parametrize("width", [375, 1600])
def test_the_field_lies_over_its_tokens(chromium: Chromium, page: Path, width: int) -> None:
    """What is seen is where it is typed: both break their lines alike."""
    opened(chromium, page, "once upon a time the " * 2 + "end", width=width)
    boxes = chromium.ask(
        "['.field', '.text'].map(name => document.querySelector(name).getBoundingClientRect())"
        ".map(box => [box.left, box.top, box.width, box.height])"
    )
    assert boxes[0] == pytest.approx(boxes[1], abs=1)
    assert chromium.ask(f"{FIELD}.scrollHeight - {FIELD}.clientHeight") <= 1
    quiet(chromium)


def test_a_real_model_in_the_page_says_what_the_command_says(chromium: Chromium, tmp_path: Path) -> None:
    """One of two layers, with random weights: typed text, its logits, and a token that is taken."""
    model = made(tmp_path / "model", vocab_size=50257, n_embd=16, n_layer=2, n_inner=32)
    file = tmp_path / "live.html"
    words = ["explore", "the king", "-m", str(model), "--quantize", "int8", "--save", str(file), "--live"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    chromium.open(file)
    chromium.ask("gptcliLive.ready")
    typed(chromium, "the queen and")
    words = ["logits", "the queen and", "-m", str(model), "--quantize", "int8", "--json", "--top", "9"]
    (told,) = json.loads(CliRunner().invoke(app, words).stdout)["distributions"]
    rows = chromium.ask(ROWS)[:9]
    for candidate, (_, figure, probability) in zip(told["candidates"], rows, strict=True):
        assert probability == pytest.approx(candidate["probability"], abs=1e-3)
        assert figure.endswith("%")
    before = chromium.ask(WRITTEN)
    first = chromium.ask(FIRST)[0]
    chromium.press("Tab")
    chromium.ask(DONE)
    assert chromium.ask(WRITTEN).replace(" ", "·") == before.replace(" ", "·") + first
    assert chromium.errors == []
    assert [url for url in chromium.requested if not url.startswith(("file:", "data:", "blob:"))] == []

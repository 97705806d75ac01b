"""The page of ``gptcli explore`` in a real browser: one cursor, and the numbers that the commands print."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gptcli.checkpoint.open import OpenCheckpoint, open_checkpoint
from gptcli.cli.app import app
from gptcli.inspection.attention import attention
from gptcli.inspection.explored import explored
from gptcli.inspection.lens import lens
from gptcli.probability.next_token import next_token
from gptcli.probability.scoring import score
from gptcli.sampling.settings import Sampling
from gptcli.show.blocks.figures import percent
from gptcli.show.explore_page.page import save_page
from gptcli.text import token_text
from tests.browser.chromium import Chromium
from tests.browser.test_every_page import SEEN
from tests.browser.test_inside_pages import quiet
from tests.browser.test_pages import luminance
from tests.tales import HEADS, LAYERS

pytestmark = pytest.mark.slow
TEXT = "The king took his crown and the queen"
TOKENS = ["The", "·king", "·took", "·his", "·crown", "·and", "·the", "·queen"]
ATTACK = (
    "king </script><script>document.title=1</script><img src=x onerror=\"document.title='2'\">'\"`${1}&amp;"
    "\u2028\u202e\x1b[31m\n<!--"
)
ROWS = (
    "[...document.querySelectorAll('.next tr')].filter(row => !row.hidden)"
    ".map(row => [row.cells[0].textContent, row.cells[1].textContent, +row.cells[1].dataset.probability])"
)
# Two frames: one draws what has changed, and by the next one it is drawn.
SETTLED = (
    "new Promise(done => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => setTimeout(done)))))"
)
AT = "[...new Set([...document.querySelectorAll('.explore .at')].map(each => +each.dataset.at))]"
TEXTS = "[...document.querySelectorAll('{}')].map(each => each.textContent)"
SETTINGS = [
    *((1.0, 0, 1.0), (0.25, 0, 1.0), (2.0, 0, 1.0), (5.0, 0, 1.0), (0.0, 0, 1.0)),
    *((1.0, 5, 1.0), (1.5, 2000, 1.0), (3.0, 10000, 1.0), (1.0, 0, 0.5), (0.8, 40, 0.95)),
    *((1.0, 0, 0.99), (2.0, 0, 0.9), (5.0, 0, 0.95), (3.0, 20000, 0.9), (1.0, 0, 0.01), (0.0, 40, 0.5)),
]


@pytest.fixture(scope="module")
def tales() -> OpenCheckpoint:
    """The bundled model, as the commands open it that need its fastest engine."""
    return open_checkpoint("tales", inside=False)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a text, by the command."""
    file = tmp_path_factory.mktemp("explore") / "page.html"
    done = CliRunner().invoke(app, ["explore", TEXT, "--save", str(file)])
    assert done.exit_code == 0, done.output
    return file


def opened(chromium: Chromium, file: Path, **screen: Any) -> None:
    chromium.open(file, **screen)
    chromium.ask(SETTLED)


def turn(chromium: Chromium, temperature: float, top_k: int, top_p: float) -> None:
    """Set the sliders."""
    stops = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10000]
    stops += [20000, 0]
    values = [temperature, stops.index(top_k), top_p]
    chromium.ask(
        f"{values}.forEach((value, place) => {{ const slider = document.querySelectorAll('.sliders input')[place];"
        " slider.value = value; slider.dispatchEvent(new Event('input')); })"
    )
    chromium.ask(SETTLED)


def test_the_sliders_say_what_the_command_says(chromium: Chromium, page: Path, tales: OpenCheckpoint) -> None:
    """After two tokens of the text; settings that reach among the tokens that are only in bins too."""
    opened(chromium, page)
    for position in (4, 7):
        chromium.click(".text [data-at]", position)
        prompt = " ".join(TEXT.split()[: position + 1])
        for temperature, top_k, top_p in SETTINGS:
            turn(chromium, temperature, top_k, top_p)
            sampling = Sampling(top_k=top_k, top_p=top_p)
            (told,) = next_token(tales, prompt, sampling, temperatures=[temperature], top=12).distributions
            for candidate, (label, figure, probability) in zip(told.candidates, chromium.ask(ROWS), strict=False):
                assert label == token_text(candidate.token)
                assert probability == pytest.approx(candidate.probability, rel=3e-5)
                cut = candidate.cut_by and candidate.cut_by.replace("greedy", "top-k")
                assert figure == (cut or percent(candidate.probability)), (temperature, top_k, top_p)
            facts = chromium.ask("document.querySelector('.expects [role=status]').textContent")
            about = facts.startswith("about ")
            kept = int(facts.removeprefix("about ").split(" of ")[0].replace(",", ""))
            assert kept == pytest.approx(told.kept, rel=0.01 if about else 0)
            entropy = float(facts.split("entropy ")[1].split()[0])
            assert entropy == pytest.approx(told.entropy_bits, abs=2e-3 if about else 6e-4)
    quiet(chromium)


def test_the_command_that_is_named_prints_the_same(chromium: Chromium, page: Path) -> None:
    opened(chromium, page)
    chromium.click(".text [data-at]", 2)
    turn(chromium, 0.8, 40, 0.95)
    typed = chromium.ask("document.querySelector('.same').textContent")
    assert typed == "gptcli logits 'The king took' -t 0.8 -k 40 -p 0.95"
    words = ["logits", "The king took", "-t", "0.8", "-k", "40", "-p", "0.95", "--json", "--top", "12"]
    (told,) = json.loads(CliRunner().invoke(app, words).stdout)["distributions"]
    expected = [each["token"].replace(" ", "·") for each in told["candidates"]]
    rows = chromium.ask(ROWS)
    assert [label for label, _, _ in rows[:12]] == expected
    assert rows[0][2] == pytest.approx(told["candidates"][0]["probability"], rel=1e-5)


def test_the_views_show_what_the_commands_compute(chromium: Chromium, page: Path, tales: OpenCheckpoint) -> None:
    opened(chromium, page, width=1600)
    surprisal = [token.surprisal_bits for token in score(tales, TEXT).tokens]
    labels = chromium.ask(
        "[...document.querySelectorAll('.text [data-at]')].map(each => each.getAttribute('aria-label'))"
    )
    told = [name if bits is None else f"{name}, {bits:.1f} bits" for name, bits in zip(TOKENS, surprisal, strict=True)]
    assert labels == told
    seen, _ = lens(tales, TEXT)
    guesses = [[token_text(guess.token) for guess in stage.guesses] for stage in seen.stages]
    shown = chromium.ask(TEXTS.format(".lens td[data-layer]"))
    assert shown == [guess for row in guesses for guess in row]
    weights = attention(tales, TEXT, layers="all")
    for layer, head in ((1, 1), (4, 3), (LAYERS, HEADS)):
        chromium.click(".maps .map", (layer - 1) * HEADS + head - 1)
        chromium.hover(".text [data-at]", 6)
        chromium.ask(SETTLED)
        assert chromium.ask("document.querySelector('.stepper h3').textContent") == f"Layer {layer}, head {head}"
        pattern = weights[layer - 1, head - 1]
        looks = [*pattern[6, :7], *pattern[7:, 6]]
        figures = chromium.ask(TEXTS.format(".lens thead small"))[1:]
        assert figures == [f"{weight:.2f}" if weight >= 0.01 else "" for weight in looks]
        drawn = "document.querySelectorAll('.arcs .{}').length"
        assert chromium.ask(drawn.format("looks")) == sum(weight >= 0.01 for weight in pattern[6, :7])
        assert chromium.ask(drawn.format("seen")) == int(pattern[7, 6] >= 0.01)
        assert chromium.ask("document.querySelector('.large-map figcaption').textContent") == (
            f"·the looks at {TOKENS[int(pattern[6].argmax())]}: {pattern[6].max():.3f}"
        )
    quiet(chromium)


def test_one_cursor_moves_everything(chromium: Chromium, page: Path) -> None:
    opened(chromium, page)
    for selector in (".text [data-at]", ".lens thead [data-at]"):
        for place in (2, 5):
            chromium.hover(selector, place)
            chromium.ask(SETTLED)
            assert chromium.ask(AT) == [place]
            context = chromium.ask("document.querySelector('.context').textContent").replace("\u00a0", " ")
            assert context == f"{' '.join(TEXT.split()[: place + 1])} {TOKENS[place + 1]}"
            assert TOKENS[place] in chromium.ask("document.querySelector('.told').textContent")
            assert chromium.ask("document.querySelector('.large-map .rows .on').textContent") == TOKENS[place]
            chosen = chromium.ask("document.querySelector('.next .chosen th').textContent")
            assert chosen.endswith(TOKENS[place + 1])
    chromium.hover('.lens [data-layer="2"][data-at="3"]')
    chromium.ask(SETTLED)
    assert chromium.ask(AT) == [3]
    assert chromium.ask("document.querySelector('.told').textContent").startswith("After layer 2, at ·his: ")
    chromium.hover("h1")
    chromium.ask(SETTLED)
    assert chromium.ask(AT) == [7]  # where it was before


def test_all_of_it_by_keyboard(chromium: Chromium, page: Path) -> None:
    opened(chromium, page)
    chromium.press("Tab")
    for key, place in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 7)):
        chromium.press(key)
        chromium.ask(SETTLED)
        assert chromium.ask(AT) == [place]
        assert chromium.ask("document.activeElement.dataset.at") == str(place)
    chromium.press("Tab")  # the head before
    assert chromium.ask("document.activeElement.getAttribute('aria-label')") == "The head before"
    chromium.press("Enter")
    chromium.press("Tab")
    chromium.press("Tab")  # the lens
    for key, layer, place in (
        *(("ArrowUp", LAYERS - 1, 7), ("ArrowLeft", LAYERS - 1, 6)),
        *(("ArrowDown", LAYERS, 6), ("Home", LAYERS, 0)),
    ):
        chromium.press(key)
        chromium.ask(SETTLED)
        assert chromium.ask("[document.activeElement.dataset.layer, document.activeElement.dataset.at]") == [
            str(layer),
            str(place),
        ]
        assert chromium.ask(AT) == [place]
    reached = []
    for _ in range(6):
        chromium.press("Tab")
        reached.append(chromium.ask("document.activeElement.id || document.activeElement.className"))
    assert reached[:4] == ["temperature-0", "top-k-0", "top-p-0", "reset"]
    assert reached[4] == "map"
    chromium.press("Tab")
    chromium.ask("document.querySelector('.map[tabindex=\"0\"]').focus()")
    chromium.press("Home")
    for key, head in (("ArrowRight", 2), ("ArrowDown", 2 + HEADS), ("ArrowLeft", 1 + HEADS), ("End", LAYERS * HEADS)):
        chromium.press(key)
        chromium.ask(SETTLED)
        number = f"Layer {(head - 1) // HEADS + 1}, head {(head - 1) % HEADS + 1}"
        assert chromium.ask("document.querySelector('.stepper h3').textContent") == number
        assert chromium.ask("document.querySelectorAll('.map[aria-checked=true]').length") == 1


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 800, 1600])
def test_any_screen_light_and_dark(chromium: Chromium, page: Path, width: int, dark: bool) -> None:
    opened(chromium, page, width=width, height=800, dark=dark, touch=width < 400)
    (chromium.tap if width < 400 else chromium.click)(".text [data-at]", 3)
    chromium.ask(SETTLED)
    assert chromium.ask(AT) == [3]
    quiet(chromium)
    assert [url for url in chromium.requested if not url.startswith("data:")] == [page.as_uri()]
    own = f"{SEEN}.filter(each => !each.matches('.space, .unseen'))"
    assert chromium.ask(f"Math.min(...{own}.map(each => parseFloat(getComputedStyle(each).fontSize)))") >= 12
    pairs = chromium.ask(
        f"[...new Set({own}.map(each => {{ let ground = each;"
        " while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;"
        " return getComputedStyle(each).color + '|' + getComputedStyle(ground).backgroundColor; }))]"
    )
    for pair in pairs:
        low, high = sorted(luminance(colour) for colour in pair.split("|"))
        assert (high + 0.05) / (low + 0.05) >= 4.5, pair
    unnamed = "button, input, [role=option], [role=gridcell], [role=radiogroup], [role=grid], section"
    assert (
        chromium.ask(
            f"[...document.querySelectorAll('{unnamed}')].filter(each => !each.textContent.trim()"
            " && !each.getAttribute('aria-label') && !each.labels?.length).length"
        )
        == 0
    )


def test_nothing_in_a_text_is_obeyed(chromium: Chromium, tales: OpenCheckpoint, tmp_path: Path) -> None:
    save_page(explored(tales, ATTACK), tmp_path / "attack.html")
    opened(chromium, tmp_path / "attack.html")
    chromium.hover(".text [data-at]", 3)
    chromium.ask(SETTLED)
    assert chromium.ask("document.title") == "Inside tales · gptcli"
    assert chromium.ask("document.images.length") == 0
    assert chromium.ask("document.querySelectorAll('script').length") == 2
    text = chromium.ask("document.querySelector('.text').textContent")
    assert "</script><script>document.title=1</script>" in text
    assert "\\x1b[31m" in text
    assert not any(each in text for each in "\u2028\u202e\x1b\n")
    quiet(chromium)


def test_one_token_alone_and_no_motion(chromium: Chromium, tales: OpenCheckpoint, tmp_path: Path) -> None:
    save_page(explored(tales, ""), tmp_path / "one.html")
    opened(chromium, tmp_path / "one.html")
    assert chromium.ask(AT) == [0]
    assert chromium.ask("document.querySelector('.text').textContent") == "<|endoftext|>"
    assert chromium.ask("document.querySelectorAll('.arcs path').length") == 1  # it looks at itself
    moves = "getComputedStyle(document.querySelector('.next svg')).transitionDuration"
    assert chromium.ask(moves) == "0.16s"
    chromium.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert chromium.ask(moves) == "0s"
    quiet(chromium)


def test_many_heads_scroll_inside(chromium: Chromium, tales: OpenCheckpoint, tmp_path: Path) -> None:
    seen = explored(tales, TEXT)
    save_page(replace(seen, pattern=np.tile(seen.pattern, (2, 4, 1, 1))), tmp_path / "many.html")
    opened(chromium, tmp_path / "many.html", width=375, height=740, touch=True)
    assert chromium.ask("document.querySelectorAll('.map').length") == 2 * LAYERS * 4 * HEADS
    quiet(chromium)
    chromium.click(".map", 20)
    chromium.ask(SETTLED)
    assert chromium.ask("document.querySelector('.stepper h3').textContent") == "Layer 2, head 5"


def test_a_long_text_scrolls_inside(chromium: Chromium, tales: OpenCheckpoint, tmp_path: Path) -> None:
    file = tmp_path / "long.html"
    save_page(explored(tales, "the cat sat on a mat and " * 20), file)
    assert file.stat().st_size < 8_000_000
    opened(chromium, file, width=375, height=740, touch=True)
    quiet(chromium)
    chromium.tap(".text [data-at]", 70)
    chromium.ask(SETTLED)
    assert chromium.ask(AT) == [70]
    head = "document.querySelectorAll('.lens thead [data-at]')[70].getBoundingClientRect()"
    assert chromium.ask(f"{head}.left > 0 && {head}.right < 375")  # its column is in sight

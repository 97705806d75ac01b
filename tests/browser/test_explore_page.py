"""The page of ``gptcli explore`` in a real browser: one cursor, and the numbers that the commands print."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import gptcli
from gptcli.cli.app import app
from gptcli.inspection.explored import binned
from gptcli.show.blocks.figures import percent
from tests.browser.chromium import Chromium
from tests.browser.test_inside_pages import quiet

pytestmark = pytest.mark.slow
TEXT = "The king took his crown and the queen"
TOKENS = ["The", "·king", "·took", "·his", "·crown", "·and", "·the", "·queen"]
ROWS = (
    "[...document.querySelectorAll('.next tr')].filter(row => !row.hidden)"
    ".map(row => [row.cells[0].textContent, row.cells[1].textContent, +row.cells[1].dataset.probability])"
)
SETTLED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
AT = "[...new Set([...document.querySelectorAll('.explore .at')].map(each => +each.dataset.at))]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a text."""
    file = tmp_path_factory.mktemp("explore") / "page.html"
    done = CliRunner().invoke(app, ["explore", TEXT, "--save", str(file)])
    assert done.exit_code == 0, done.output
    return file


def opened(chromium: Chromium, file: Path, **screen: Any) -> None:
    chromium.open(file, **screen)
    chromium.ask(SETTLED)


def turn(chromium: Chromium, temperature: float, top_k: int, top_p: float) -> None:
    """Set the sliders, the second one to the place of this k."""
    place = f"TOP_K.indexOf({top_k})" if False else None
    assert place is None
    stops = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10000]
    stops += [20000, 0]
    values = [temperature, stops.index(top_k), top_p]
    chromium.ask(
        f"{json.dumps(values)}.forEach((value, place) => {{ const slider = document.querySelectorAll('.sliders input')[place];"
        " slider.value = value; slider.dispatchEvent(new Event('input')); })"
    )
    chromium.ask(SETTLED)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        *((1.0, 0, 1.0), (0.25, 0, 1.0), (2.0, 0, 1.0), (5.0, 0, 1.0), (0.0, 0, 1.0)),
        *((1.0, 5, 1.0), (1.5, 2000, 1.0), (3.0, 10000, 1.0), (1.0, 0, 0.5), (0.8, 40, 0.95)),
        *((1.0, 0, 0.99), (2.0, 0, 0.9), (5.0, 0, 0.95), (3.0, 20000, 0.9), (1.0, 0, 0.01), (0.0, 40, 0.5)),
    ],
)
def test_the_sliders_say_what_the_command_says(
    chromium: Chromium, page: Path, temperature: float, top_k: int, top_p: float
) -> None:
    """After two tokens of the text; settings that reach among the tokens that are only in bins too."""
    opened(chromium, page)
    for position in (4, 7):
        chromium.click(".text [data-at]", position)
        turn(chromium, temperature, top_k, top_p)
        prompt = " ".join(TEXT.split()[: position + 1])
        command = ["logits", prompt, f"-t{temperature}", f"-k{top_k}", f"-p{top_p}", "--top", "12", "--json"]
        (told,) = json.loads(CliRunner().invoke(app, command).stdout)["distributions"]
        rows = chromium.ask(ROWS)
        for candidate, (label, figure, probability) in zip(told["candidates"], rows, strict=False):
            assert label == candidate["token"].replace(" ", "·")
            assert probability == pytest.approx(candidate["probability"], rel=3e-5)
            cut = candidate["cut_by"]
            expected = cut.replace("greedy", "top-k") if cut else percent(candidate["probability"])
            assert figure == expected
        facts = chromium.ask("document.querySelector('.expects [role=status]').textContent")
        kept = int(facts.removeprefix("about ").split(" of ")[0].replace(",", ""))
        assert kept == pytest.approx(told["kept"], rel=0.01 if facts.startswith("about") else 0)
        entropy = float(facts.split("entropy ")[1].split()[0])
        assert entropy == pytest.approx(told["entropy_bits"], abs=2e-3 if facts.startswith("about") else 6e-4)
    quiet(chromium)

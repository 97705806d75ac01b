"""The saved pages of attention, lens and generate --explain in a real browser, held to what --json says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.show.blocks.figures import percent
from tests.browser.chromium import Chromium
from tests.tales import HEADS, LAYERS

PROMPT = "The king took his crown and the queen"
TOKENS = ["The", "·king", "·took", "·his", "·crown", "·and", "·the", "·queen"]
CELL = "[data-i]"


def saved(folder: Path, *arguments: str) -> tuple[Path, Any]:
    """Run a command; the page that it saves, and what it prints as JSON."""
    file = folder / "page.html"
    done = CliRunner().invoke(app, [*arguments, "--json", "--save", str(file)])
    assert done.exit_code == 0, done.output
    return file, json.loads(done.stdout)


def lines(chromium: Chromium) -> list[str]:
    """What is told, a line each."""
    told: str = chromium.ask("document.getElementById('numbers').innerText")
    return [line for line in told.splitlines() if line]


def quiet(chromium: Chromium) -> None:
    """Nothing was asked for, nothing went wrong, and nothing hangs over the side."""
    assert chromium.errors == []
    assert [url for url in chromium.requested if not url.startswith(("file:", "data:"))] == []
    assert chromium.ask("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("turned", [False, True])
def test_a_head_shows_where_each_token_looks(chromium: Chromium, tmp_path: Path, turned: bool) -> None:
    options = ["--columns"] if turned else []
    file, answer = saved(tmp_path, "attention", PROMPT, "--layer", "4", "--head", "1", *options)
    chromium.open(file)
    values = answer["heads"][0]["values"]
    seen = [(row, column) for row in range(8) for column in range(8) if (column >= row if turned else column <= row)]
    assert chromium.ask(f"document.querySelectorAll('{CELL}').length") == len(seen)
    for place in range(0, len(seen), 5):
        row, column = seen[place]
        query, key = (column, row) if turned else (row, column)
        chromium.hover(CELL, place)
        told = lines(chromium)
        assert told[:3] == [f"{TOKENS[query]} looks at {TOKENS[key]}", "weight", f"{values[row][column]:.3g}"]
        words = chromium.ask(
            "[...document.querySelectorAll('[data-token]')].map(each => [each.textContent, each.className])"
        )
        assert [word for word, _ in words] == TOKENS
        assert [bool(re.search(r"\bc\d+\b", look)) for _, look in words] == [place <= query for place in range(8)]
        assert "looks" in words[query][1]
        drawn = [values[place][query] if turned else values[query][place] for place in range(query + 1)]
        assert chromium.ask("document.querySelectorAll('#arcs path').length") == sum(value >= 0.01 for value in drawn)
    marked = "[...document.querySelectorAll('th.here')].map(each => each.textContent)"
    assert chromium.ask(marked) == [TOKENS[row], TOKENS[column]]
    quiet(chromium)


def test_keys_move_over_a_map_as_it_lies(chromium: Chromium, tmp_path: Path) -> None:
    file, _ = saved(tmp_path, "attention", PROMPT, "--layer", "4", "--head", "1")
    chromium.open(file)
    told = []
    for key in ("Tab", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "End"):
        chromium.press(key)
        told.append(lines(chromium)[0])
    assert told == [
        *("The looks at The", "·king looks at The", "·took looks at The", "·took looks at ·king"),
        *("·took looks at ·took", "·king looks at ·king", "·queen looks at ·queen"),  # ·king cannot look at ·took
    ]
    assert chromium.ask("document.activeElement.getAttribute('role')") == "gridcell"
    chromium.press("Enter")
    assert chromium.ask("document.activeElement.getAttribute('aria-selected')") == "true"
    # In the other model of borders a browser draws no ring around a cell.
    assert chromium.ask("getComputedStyle(document.querySelector('.grid')).borderCollapse") == "separate"


def test_many_heads_are_small_maps(chromium: Chromium, tmp_path: Path) -> None:
    file, answer = saved(tmp_path, "attention", PROMPT, "--layer", "all")
    chromium.open(file, width=360, height=740, touch=True)
    assert chromium.ask("document.querySelectorAll('[role=grid]').length") == len(answer["heads"]) == LAYERS * HEADS
    assert (
        chromium.ask("[...document.querySelectorAll('.row')].map(each => each.querySelectorAll('.grid').length)")
        == [HEADS] * LAYERS
    )
    chromium.tap("[role=grid]:last-of-type [data-i='35']", LAYERS * HEADS - 1)
    assert lines(chromium)[:3] == ["·queen looks at ·queen", "weight", f"{answer['heads'][-1]['values'][7][7]:.3g}"]
    assert chromium.ask("document.querySelector('.grid td').getBoundingClientRect().width") >= 24  # a fingertip
    quiet(chromium)


def test_a_long_text_is_cut_with_a_count(chromium: Chromium, tmp_path: Path) -> None:
    file, answer = saved(tmp_path, "attention", "the cat sat on a mat and " * 20, "--layer", "all")
    chromium.open(file)
    assert chromium.ask(f"document.querySelectorAll('{CELL}').length") <= 45_000
    assert f"of {len(answer['tokens'])} tokens" in chromium.ask("document.querySelector('header').innerText")
    chromium.ask("document.querySelector('.grid [data-i]').focus()")
    chromium.press("End")
    assert lines(chromium)[-3:] == [f"{len(answer['tokens'])}", "to position", f"{len(answer['tokens'])}"]


def test_a_word_shows_where_it_looks_in_the_chosen_head(chromium: Chromium, tmp_path: Path) -> None:
    file, answer = saved(tmp_path, "attention", PROMPT, "--layer", "all")
    chromium.open(file, height=4000)  # all of it: where the page scrolls, another head may come under the mouse
    link = answer["striking"]
    assert chromium.ask("document.querySelector('.sentence .looks').textContent") == TOKENS[link["query"] - 1]
    chromium.hover(".grid", HEADS + 1)  # layer 2, head 2
    chromium.hover(f"[data-part='{HEADS + 1}'] [data-i]", 0)
    chromium.hover("[data-token]", 6)
    told = lines(chromium)
    assert told[0] == "·the looks at …"
    assert told[2].startswith("Layer 2, Head 2")
    weights = answer["heads"][HEADS + 1]["values"][6][:7]
    best = sorted(zip(weights, TOKENS, strict=False), reverse=True)[:5]
    assert told[1] == " · ".join(f"{token} {weight:.2f}" for weight, token in best)
    assert chromium.ask("document.querySelectorAll('#arcs path').length") == sum(weight >= 0.01 for weight in weights)
    chromium.press("Escape")
    chromium.ask("document.querySelector('[data-token]').focus()")
    for key, word in (("ArrowRight", "·king"), ("End", "·queen"), ("ArrowLeft", "·the"), ("Home", "The")):
        chromium.press(key)
        assert lines(chromium)[0] == f"{word} looks at …"
    quiet(chromium)


def test_the_lens_shows_each_guess(chromium: Chromium, tmp_path: Path) -> None:
    file, answer = saved(tmp_path, "lens", PROMPT, "--attribution")
    chromium.open(file, dark=True)
    for layer, position in ((0, 0), (3, 2), (LAYERS, 7)):
        chromium.hover(CELL, layer * 8 + position)
        guess = answer["stages"][layer]["guesses"][position]
        told = lines(chromium)
        assert told[0].endswith(f"after {TOKENS[position]}")
        assert percent(guess["probability"]) in told
        assert guess["token"].replace(" ", "·") in told
    quiet(chromium)


def test_explain_shows_what_each_token_was_chosen_from(chromium: Chromium, tmp_path: Path) -> None:
    arguments = ("generate", "--explain", "Once upon a time", "-n", "8", "--seed", "5", "-k", "5", "--explain-top", "7")
    file, answer = saved(tmp_path, *arguments)
    chromium.open(file, width=390, height=800, touch=True)
    steps = (answer[0] if isinstance(answer, list) else answer)["steps"]
    assert chromium.ask("document.querySelector('.before').textContent") == "Once upon a time"
    for place, step in enumerate(steps):
        chromium.tap(CELL, place)
        assert percent(step["chosen"]["model_probability"]) in lines(chromium)
        rows = chromium.ask(
            "[...document.querySelectorAll('.choices tr')].map(row => [...row.cells].map(c => c.innerText))"
        )
        expected = [
            [each["token"].replace(" ", "·"), each["cut_by"] or percent(each["probability"]), ""]
            for each in step["distribution"]["candidates"] + step["distribution"]["watched"]
        ]
        assert rows == expected
        chosen = chromium.ask("document.querySelector('.choices .chosen').cells[0].innerText")
        assert chosen == step["chosen"]["token"].replace(" ", "·")
    quiet(chromium)

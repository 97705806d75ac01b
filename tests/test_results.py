"""Results in Python and in notebooks: what they become is what the command prints, and nothing in them is obeyed."""

import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import gptcli
from gptcli.cli.app import app
from gptcli.show.blocks.figures import percent
from gptcli.system.named_options import told
from gptcli.system.result import Result
from tests.show.test_page import EVIL, Elements
from tests.tales import HEADS, LAYERS

TEXT = "The king and the"


@pytest.fixture(scope="module")
def gpt() -> gptcli.LoadedGPT:
    return gptcli.load("tales", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def words() -> gptcli.LoadedWords:
    return gptcli.load_words()


Make = Callable[[gptcli.LoadedGPT, gptcli.LoadedWords], Any]
# Each result of the API, and the command that prints the same; None where none does.
RESULTS: dict[str, tuple[Make, list[str] | None]] = {
    "next_token": (lambda g, w: g.next_token(TEXT, top=4), ["logits", TEXT, "--top", "4"]),
    "score": (lambda g, w: g.score(TEXT), ["score", TEXT]),
    "attention": (lambda g, w: g.attention(TEXT, layers="2-3"), ["attention", TEXT, "--layer", "2-3"]),
    "lens": (lambda g, w: g.lens(TEXT), ["lens", TEXT]),
    "attribution": (lambda g, w: g.attribution(TEXT, word=" queen"), None),
    "trace": (lambda g, w: g.trace(TEXT, layer=1), ["trace", TEXT, "--layer", "1"]),
    "params": (lambda g, w: g.params(), ["params", "tales"]),
    "contexts": (
        lambda g, w: g.similarity("the month of [May]", "his aunt [May]"),
        ["similarity", "--in-context", "the month of [May]", "his aunt [May]"],
    ),
    "neighbors": (lambda g, w: w.neighbors("king", top=3), ["neighbors", "king", "--top", "3"]),
    "analogy": (lambda g, w: w.analogy("king-man+woman"), ["analogy", "king-man+woman"]),
    "similarity": (lambda g, w: w.similarity("king", "queen", "apple"), ["similarity", "king", "queen", "apple"]),
    "direction": (lambda g, w: w.direction("cats-cat", "cat", "cats"), ["direction", "cats-cat", "cat", "cats"]),
    "map": (lambda g, w: w.map("man->woman", "king->queen"), ["map", "man->woman", "king->queen"]),
}


def alike(one: Any, other: Any) -> None:
    """The same, up to the rounding of another thread count or engine."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            alike(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            alike(first, second)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4)
    else:
        assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_what_its_command_prints(gpt: gptcli.LoadedGPT, words: gptcli.LoadedWords, name: str) -> None:
    make, command = RESULTS[name]
    result = make(gpt, words)
    assert isinstance(result, Result)
    assert json.loads(result.to_json()) == result.to_dict()
    assert "\n" not in result.to_json(indent=None)
    if command is not None:
        done = CliRunner().invoke(app, [*command, "--json"])
        assert done.exit_code == 0, done.output
        alike(json.loads(done.stdout), result.to_dict())
    shown = str(result)
    assert len(shown.splitlines()) > 1
    assert "\x1b" not in shown
    assert not shown.startswith(type(result).__name__)


@pytest.mark.parametrize("name", RESULTS)
def test_a_notebook_shows_a_picture(gpt: gptcli.LoadedGPT, words: gptcli.LoadedWords, name: str) -> None:
    markup = RESULTS[name][0](gpt, words)._repr_html_()
    elements = [tag for tag, _ in Elements(markup).tags]
    assert elements[0] in ("div", "iframe")
    assert ("script" in elements) is False  # an interactive page has its own frame
    if elements[0] == "iframe":
        frame = dict(Elements(markup).tags[0][1])
        assert frame["sandbox"] == "allow-scripts"
        inside = frame["srcdoc"] or ""
        assert inside.startswith("<!DOCTYPE html>")
        assert "default-src 'none'" in inside
    else:
        assert {"table", "svg", "pre"} & set(elements)


@pytest.mark.slow
def test_tables_become_data_frames(gpt: gptcli.LoadedGPT, words: gptcli.LoadedWords) -> None:
    pytest.importorskip("pandas")
    frame = words.neighbors("king", top=3).to_pandas()
    told = words.neighbors("king", top=3).to_dict()["neighbors"]
    assert frame.drop(columns="bytes").to_dict("records") == told
    frame = gpt.score(TEXT).to_pandas()
    told = gpt.score(TEXT).to_dict()
    assert list(frame["token"]) == [each["token"] for each in told["tokens"]]
    assert frame["surprisal_bits"].sum() / 3 == pytest.approx(told["bits_per_token"], rel=1e-6)


def test_without_pandas_one_line_says_what_to_install(
    words: gptcli.LoadedWords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(gptcli.GptcliError, match="pip install pandas"):
        words.neighbors("king", top=1).to_pandas()


def test_attention_is_also_an_array(gpt: gptcli.LoadedGPT) -> None:
    answer = gpt.attention(TEXT)
    whole = np.asarray(answer)
    assert whole.shape == (LAYERS, HEADS, 4, 4)
    np.testing.assert_allclose(whole.sum(-1), 1, atol=1e-5)
    for head in answer.heads:
        np.testing.assert_array_equal(answer[head.layer - 1, head.head - 1], np.array(head.values, np.float32))
    assert np.asarray(gpt.attention(TEXT, layers="2,4", heads="1")).shape == (2, 1, 4, 4)


def test_what_a_model_says_is_only_text_in_a_notebook(gpt: gptcli.LoadedGPT) -> None:
    text = f"king {EVIL}"
    for result, same in ((gpt.next_token(text), gpt.next_token(TEXT)), (gpt.score(text), gpt.score(TEXT))):
        tags = {tag for tag, _ in Elements(result._repr_html_() or "").tags}
        assert tags == {tag for tag, _ in Elements(same._repr_html_() or "").tags}
        for _, attributes in Elements(result._repr_html_() or "").tags:
            assert not {name for name in attributes if name.startswith("on") or name == "src"}


@pytest.mark.slow
def test_importing_the_api_and_asking_it_brings_neither_typer_nor_rich(child_environment: dict[str, str]) -> None:
    script = (
        "import sys, gptcli\n"
        "found = gptcli.load_words().neighbors('king')\n"
        "found.to_dict(), found.to_json()\n"
        "print({'typer', 'rich', 'torch', 'pandas'} & {name.partition('.')[0] for name in sys.modules})\n"
        "assert 'king' in found._repr_html_()\n"
        "print('rich' in sys.modules, 'typer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.decode().splitlines() == ["set()", "True False"], done.stderr


def test_a_misspelt_option_names_the_nearest() -> None:
    @told
    def draw(*, colour: str = "red", width: int = 3) -> str:
        return colour * width

    assert draw(width=1) == "red"
    with pytest.raises(TypeError, match="did you mean 'colour'"):
        draw(color="blue")


def test_probabilities_are_those_of_the_table(gpt: gptcli.LoadedGPT) -> None:
    answer = gpt.next_token(TEXT, top=3)
    markup = answer._repr_html_() or ""

    class Text(HTMLParser):
        seen = ""

        def handle_data(self, data: str) -> None:
            Text.seen += data

    Text().feed(markup)
    for candidate in answer.distributions[0].candidates:
        assert percent(candidate.probability) in Text.seen

"""``gptcli lens`` as it is typed: what each layer says, a token on its way, and what makes a logit."""

import json
import re
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.tokenizer import gpt2_tokenizer
from tests.tales import HEADS, LAYERS

GPT2 = gpt2_tokenizer()
PROMPT = "Once upon a time there was a little"


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["lens", *arguments], input=text)


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_the_last_layer_says_what_the_model_says(tales_reference: Any) -> None:
    lens = answer(PROMPT)
    with torch.inference_mode():
        logprobs = (
            tales_reference(torch.tensor([[each["id"] for each in lens["tokens"]]])).logits[0].double().log_softmax(-1)
        )
    assert [guess["id"] for guess in lens["stages"][-1]["guesses"]] == logprobs.argmax(-1).tolist()
    assert [stage["layer"] for stage in lens["stages"]] == list(range(LAYERS + 1))
    for place, since in enumerate(lens["decided"]):
        best = [stage["guesses"][place]["id"] for stage in lens["stages"]]
        assert set(best[since:]) == {best[-1]}
        assert since == 0 or best[since - 1] != best[-1]


@pytest.mark.slow
def test_attribution_adds_up_to_the_logit(tales_reference: Any) -> None:
    got = answer(PROMPT, "--attribution", "--token", "girl", "--token", "dragon")
    with torch.inference_mode():
        logits = tales_reference(torch.tensor([[each["id"] for each in got["tokens"]]])).logits[0, -1]
    assert [each["token"] for each in got["attribution"]] == [" girl", " dragon"]
    for each in got["attribution"]:
        assert sum(part["logit"] for part in each["contributions"]) == pytest.approx(
            float(logits[each["id"]]), abs=1e-3
        )
    assert answer(PROMPT)["attribution"] == []


@pytest.mark.slow
@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("arguments", [(), ("--sublayers",)])
def test_no_width_breaks_the_grid(monkeypatch: pytest.MonkeyPatch, columns: int, arguments: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run(PROMPT, *arguments).stdout
    lines = shown.splitlines()
    assert all(cell_len(line) <= columns for line in lines)
    rows = [line for line in shown.split("\nsince")[0].splitlines() if line.lstrip()[:1].isdigit()]
    assert len(rows) == (2 * LAYERS if arguments else LAYERS)
    if columns < 100:
        assert "earlier of 8 tokens" in " ".join(map(str.strip, lines[:3]))
    girl = answer(PROMPT)["stages"][-1]["guesses"][-1]["probability"]
    assert f"{100 * girl:.0f}" in rows[-1]  # the percentage stays, whatever the token's column comes to


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_words_through_the_layers_fit_any_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ("--token", "queen", "--token", "boy", "--token", "dragon")
    shown = run(PROMPT, *words).stdout.partition("next:")[2]
    assert "…" not in shown
    for track in answer(PROMPT, *words)["tracks"]:
        assert all(re.search(rf"(?<![\d,]){rank:,}\b", shown) for rank in track["ranks"])


@pytest.mark.slow
def test_the_picture_says_when_it_was_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown, got = run(PROMPT).stdout, answer(PROMPT)
    assert f"decided at layer {got['decided'][-1]} of {LAYERS}" in shown
    assert "next: ·girl" in shown
    assert "rank of" not in shown


@pytest.mark.slow
def test_bars_and_heads_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (40, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = run(PROMPT, "--attribution", "--token", "girl", "--top", "5").stdout
        assert all(cell_len(line) <= columns for line in shown.splitlines())
        assert "rank of ·girl" in shown
        assert "all together" in shown
        assert "smaller" in shown
        heads = shown.split("What each head adds")[1].splitlines()
        assert len([line for line in heads if line[:1].isdigit()]) == LAYERS


@pytest.mark.slow
def test_reads_a_pipe() -> None:
    piped = run("--json", text=PROMPT + "\n")
    assert json.loads(piped.stdout)["prompt"] == PROMPT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((PROMPT, "--token", ""), "--token"), ((PROMPT, "--save", "x.pdf"), ".svg"), (("word " * 600,), "512")],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


@pytest.mark.slow
def test_the_page_holds_every_cell(tmp_path: Any, tales_reference: Any) -> None:
    file = tmp_path / "lens.html"
    assert run(PROMPT, "--attribution", "--token", "girl", "--save", str(file)).exit_code == 0
    saved = file.read_text(encoding="utf-8")
    data = [
        json.loads(found)
        for found in re.findall(r'<script type="application/json" id="data-\d+">(.*?)</script>', saved)
    ]
    lens, heads = data
    assert (len(lens["cells"]), len(heads["cells"])) == ((LAYERS + 1) * 8, LAYERS * HEADS)
    with torch.inference_mode():
        last = tales_reference(torch.tensor([GPT2.encode(PROMPT)])).logits[0, -1].softmax(-1)
    word, percentage, rank = lens["cells"][-1][0]
    assert (word, rank) == ("·girl", "1")
    assert float(percentage.removesuffix("%")) == pytest.approx(100 * float(last.max()), abs=0.01)
    assert heads["names"] == ["adds"]
    assert "·girl through the layers" in saved
    assert "all together" in saved


@pytest.mark.slow
def test_saves_a_picture(tmp_path: Any) -> None:
    file = tmp_path / "lens.svg"
    assert run(PROMPT, "--attribution", "--save", str(file)).exit_code == 0
    assert "girl" in file.read_text(encoding="utf-8")

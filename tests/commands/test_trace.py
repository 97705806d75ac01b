"""``gptcli trace`` as it is typed: a run, shapes alone, widths, mistakes, and what it costs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.inspection.record import record
from gptcli.inspection.trace import trace
from gptcli.show.blocks.figures import number_text
from gptcli.show.blocks.palette import LIGHT
from gptcli.show.trace import draw
from gptcli.system.bundled import bundled_folder
from gptcli.tokenizer import gpt2_tokenizer
from tests.show.test_pictures import drawn
from tests.tales import LAYERS, PARAMETERS

PROMPT = "Once upon a time there was a little"


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["trace", *arguments], input=text)


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def girl(tales_reference: Any) -> float:
    """Probability of the token that is most likely after ``PROMPT``, by transformers from the same file."""
    with torch.inference_mode():
        logits = tales_reference(torch.tensor([gpt2_tokenizer().encode(PROMPT)])).logits
    return float(logits[0, -1].softmax(-1).max())


def test_a_run_in_json(tales: Any, girl: float) -> None:
    got = answer(PROMPT, "--layer", "2", "--head", "3")
    assert got["parameters"] == sum(step["parameters"] for step in got["steps"]) == PARAMETERS
    assert got["n_tokens"] == len(got["tokens"]) == 8
    assert (got["next"]["token"], got["next"]["probability"]) == (" girl", pytest.approx(girl, abs=1e-4))
    opened = {step["name"]: step for step in got["steps"] if step["layer"] == 2}
    assert (opened["query"]["shape"], opened["query"]["head"]) == ([8, 64], 3)
    assert opened["scores"]["shape"] == [8, 8]
    first = tales.model.wte.weight[got["tokens"][-1]["id"], :4].tolist()
    assert got["steps"][1]["numbers"] == pytest.approx(first)


def test_gpt3_from_its_configuration_alone() -> None:
    got = answer("--config", "gpt3", "--layer", "1", "--tokens", "10")
    assert got["parameters"] == sum(step["parameters"] for step in got["steps"]) == 174_604_259_328
    opened = {step["name"]: step for step in got["steps"] if step["layer"] == 1}
    assert opened["scores"]["shape"] == [96, 10, 10]
    assert opened["up"]["weights"][0]["shape"] == [49_152, 12_288]
    assert got["tokens"] is None
    assert all(step["numbers"] == [] for step in got["steps"])


def test_a_config_json_by_folder_or_file(tmp_path: Path) -> None:
    config = (bundled_folder() / "tales" / "config.json").read_bytes()
    (tmp_path / "config.json").write_bytes(config)
    for name in (str(tmp_path), str(tmp_path / "config.json"), "tales"):
        assert answer("--config", name)["parameters"] == PARAMETERS


@pytest.mark.slow
@pytest.mark.parametrize("columns", [50, 80, 200])
@pytest.mark.parametrize(
    "arguments",
    [(PROMPT,), (PROMPT, "--layer", "1"), (PROMPT, "--layer", f"{LAYERS}", "--head", "4"), ("--config", "gpt3")],
)
def test_no_width_cuts_a_count(monkeypatch: pytest.MonkeyPatch, columns: int, arguments: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run(*arguments).stdout
    assert all(cell_len(line) <= columns for line in shown.splitlines())
    figures = ("12,865,792", f"{PARAMETERS:,}") if arguments[0] == PROMPT else ("617,558,016", "174,604,259,328")
    assert all(figure in shown for figure in figures)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 50, 80])
def test_no_width_cuts_a_shape(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in ((PROMPT, "--layer", "1", "--full"), ("--config", "gpt3", "--layer", "1", "--full")):
        shown = run(*arguments).stdout
        shapes = {"[" + " × ".join(f"{n:,}" for n in step["shape"]) + "]" for step in answer(*arguments)["steps"]}
        assert len(shapes) > 4
        assert all(shape in shown for shape in shapes)
        assert all(cell_len(line) <= columns for line in shown.splitlines())


def test_no_number_is_minus_nothing() -> None:
    """What gelu makes of a large negative number is -0.0, and reads like a small one."""
    assert [number_text(number) for number in (-0.0, 0.0, -0.0004, -0.001, 5)] == [
        "0.000",
        "0.000",
        "-4e-4",
        "-0.001",
        "5",
    ]


def test_weights_and_data_are_told_apart_without_colour() -> None:
    shown = run(PROMPT, "--layer", "1").stdout
    assert "⟨50,257 × 256⟩" in shown
    assert "[8 × 256]" in shown
    assert f"most probable next: ·girl {answer(PROMPT)['next']['probability']:.2%}" in shown


def test_and_with_colour(tmp_path: Path) -> None:
    file = tmp_path / "trace.html"
    assert run(PROMPT, "--layer", "1", "--save", str(file)).exit_code == 0
    saved = file.read_text(encoding="utf-8").lower()
    assert all(colour in saved for colour in LIGHT.series[:2])


@pytest.mark.slow
def test_blocks_that_are_alike_are_counted_together() -> None:
    shown = run("--config", "gpt3").stdout
    assert "⋮ 94 more, alike" in shown
    assert f"{94 * 1_812_099_072:,}" in shown
    assert [f"layer {number} " in shown for number in (1, 2, 96)] == [True, False, True]
    assert all(f"layer {number} " in run(PROMPT).stdout for number in range(1, LAYERS + 1))


def test_reads_a_pipe() -> None:
    assert "·girl" in run(text=PROMPT + "\n").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((PROMPT, "--layer", f"{LAYERS + 1}"), f"--layer {LAYERS + 1}"),
        ((PROMPT, "--head", "1"), "--layer"),
        ((PROMPT, "--layer", "1", "--head", "5"), "--head 5"),
        ((PROMPT, "--tokens", "3"), "--config"),
        ((PROMPT, "--config", "gpt3"), "PROMPT"),
        (("--config", "gpt3", "--tokens", "3000"), "2,048"),
        (("--config", "glove-50d"), "no GPT"),
        (("--config", "gpt3", "-m", "tales"), "--config and --model"),
        (("--config", "gpt33"), "gpt3"),
        (("word " * 600,), "512"),
        ((PROMPT, "--save", "x.pdf"), ".svg"),
    ],
)
def test_mistakes_are_told_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_shapes_alone_import_no_torch(child_environment: dict[str, str]) -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from gptcli.cli.app import app\n"
        "for name in ('gpt3', 'tales'):\n"
        "    done = CliRunner().invoke(app, ['trace', '--config', name])\n"
        "    assert done.exit_code == 0 and done.stdout, done.output\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"False", done.stderr


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_an_opened_layer_is_a_diagram(monkeypatch: pytest.MonkeyPatch, columns: int, tales: Any) -> None:
    """Five boxes with the attention of the last token, whose figures are those of PyTorch's own softmax."""
    answer = trace(tales, "The king and the", layer=LAYERS, head=4)
    lines = drawn(draw(answer), columns).splitlines()
    assert max(map(cell_len, lines)) <= columns
    shown = "\n".join(lines)
    assert all(f"│ {title} " in shown for title in ("Q · K", "softmax", "· V", "output", "MLP"))
    assert f"layers 1 to {LAYERS - 1}" in shown
    assert len(lines) <= (45 if columns < 60 else 35 if columns < 80 else 27)
    pattern = record(tales.model, tales.encode_prompt("The king and the")).layers[-1].pattern[3, -1]
    for word, weight in zip(("The", "·king", "·and", "·the"), pattern.tolist(), strict=True):
        assert f"{word:<5} {weight:.3f}" in shown
    full = drawn(draw(answer, full=True), columns)
    assert "│" not in full
    assert "weighted values" in full

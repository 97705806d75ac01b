"""``gptcli params`` as it is typed: the picture, JSON, saving, mistakes, and what it costs."""

import json
import os
import struct
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes

run = CliRunner()


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GPTCLI_MODEL", raising=False)


def output(*arguments: str) -> str:
    result = run.invoke(app, ["params", *arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_gpt3_in_eighty_columns_holds_every_figure() -> None:
    shown = output("gpt3")
    assert all(cell_len(line) <= 80 for line in shown.splitlines())
    assert "…" not in shown
    for figure in (
        "617,558,016",
        "14,495,514,624",
        "57,982,058,496",
        "175,181,291,520",
        "27,938 matrices",
        "6,291,456",
        "603,979,776",
        "174,604,259,328",
        "128 × 12,288 × 96 × 96",
        "−617,558,016",
    ):
        assert figure in shown
    # Four bytes a parameter; for every token in the cache 2 x 96 x 12,288 numbers.
    assert "698 GB        9.44 MB          19.3 GB" in shown


def test_counts_stand_below_each_other() -> None:
    shown = output("gpt3").split("Scoreboard")[1]
    figures = ("175,181,291,520", "6,291,456", "115,964,116,992", "+25,165,824", "−617,558,016", "174,604,259,328")
    lines = [next(line for line in shown.splitlines() if figure in line) for figure in figures]
    assert {line.index(figure) + len(figure) for line, figure in zip(lines, figures, strict=True)} == {62}


@pytest.mark.parametrize("columns", [40, 60, 72, 73, 200])
def test_no_width_cuts_a_count(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = output("gpt3")
    assert all(cell_len(line) <= columns for line in shown.splitlines())
    for figure in ("617,558,016", "175,181,291,520", "6,291,456", "115,964,116,992", "+25,165,824", "174,604,259,328"):
        assert figure in shown


@pytest.mark.parametrize(
    ("columns", "missing"), [(30, "cache a token, at 512 tokens"), (40, "cache a token"), (60, "")]
)
def test_no_width_cuts_the_memory(monkeypatch: pytest.MonkeyPatch, columns: int, missing: str) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = output("tales").split("Memory")[1].split()
    # 20,894,976 x 4 bytes; keys and values: 2 x 10 layers x 256 x 512 tokens x 4 bytes.
    assert words[words.index("float32") + 1 :][:2] == ["83.6", "MB"]
    assert ("10.5" in words) == ("512" not in missing)
    assert " ".join(words).endswith(f"not shown: {missing}") == bool(missing)


def test_bars_are_as_long_as_the_shares_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    bars = {line.split()[0]: line.count("█") for line in output("gpt3").splitlines() if "█" in line}
    # An attention matrix kind is a quarter of an MLP's.
    assert bars == {"Key": 10, "Query": 10, "Value": 10, "Output": 10, "Up-projection": 40, "Down-projection": 40}


@pytest.mark.parametrize("name", ["gpt2", "gpt3-13b", "tales", "glove-50d"])
def test_everything_fits_eighty_columns(name: str) -> None:
    shown = output(name)
    assert all(cell_len(line) <= 80 for line in shown.splitlines())
    assert "…" not in shown


def test_json_holds_the_figures_of_the_table() -> None:
    answer = json.loads(output("gpt2", "--json"))
    assert answer["parameters"] == answer["tally"]["parameters"] == 124_439_808
    assert answer["tally"]["scoreboard"][1] == {
        "name": "Key",
        "n_rows": 64,
        "n_columns": 768,
        "n_heads": 12,
        "n_layers": 12,
        "n_matrices": 144,
        "count": 7_077_888,
        "share": pytest.approx(7_077_888 / 162_129_408),
    }
    total = answer["tally"]["scoreboard_total"] + sum(term["count"] for term in answer["tally"]["corrections"])
    assert total == 124_439_808
    assert answer["memory"][0] == {
        "dtype": "float32",
        "weights": 497_759_232,
        "cache_per_token": 73_728,
        "cache_at_full_context": 75_497_472,
    }


def test_the_model_comes_from_the_argument_else_the_option_else_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert json.loads(output("--json"))["model"] == "tales"
    assert json.loads(output("-m", "gpt2-xl", "--json"))["model"] == "gpt2-xl"
    monkeypatch.setenv("GPTCLI_MODEL", "glove-50d")
    assert json.loads(output("--json"))["model"] == "glove-50d"
    assert json.loads(output("gpt3", "--json"))["model"] == "gpt3"


def test_the_longer_name_works_and_is_hidden() -> None:
    assert run.invoke(app, ["count-params", "gpt3"]).stdout == output("gpt3")
    assert "count-params" not in run.invoke(app, ["--help"]).stdout


@pytest.mark.parametrize("suffix", [".svg", ".html", ".txt"])
def test_the_picture_can_be_saved(tmp_path: Path, suffix: str) -> None:
    saved = tmp_path / f"gpt3{suffix}"
    output("gpt3", "--save", str(saved))
    assert "175,181,291,520" in saved.read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt2-xll", "did you mean gpt2-xl or "),
        ("llama-3.1-405", "did you mean llama-3.1-405b"),
        ("gpt4", "neither its weights nor its size are public"),
        ("gpt3-tiny", "'gptcli params gpt3' counts them"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_way_out(name: str, said: str) -> None:
    result = run.invoke(app, ["params", name])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: no model '{name}'")
    assert said in result.stderr.splitlines()[0]
    assert "published sizes: gpt2, " in result.stderr


@pytest.mark.parametrize(("typed", "meant"), [("gpt-3", "gpt3"), ("GPT3", "gpt3"), ("gpt-2-xl", "gpt2-xl")])
def test_other_spellings_of_published_sizes(typed: str, meant: str) -> None:
    assert output(typed) == output(meant)


def test_two_models_at_once_are_refused() -> None:
    result = run.invoke(app, ["params", "gpt2", "-m", "gpt3"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: two models, gpt2 and gpt3" in result.stderr


def test_names_in_a_file_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    name = "[red]\x1b[31mx\u202e"
    header = json.dumps({name: {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"abc")
    result = run.invoke(app, ["params", str(path)])
    assert result.exit_code == 0
    assert "[red]\\x1b[31mx\\u202e" in result.stdout
    assert not set("\x1b\u202e") & set(result.output)


def sparse(folder: Path, config: GPTConfig) -> int:
    """A GPT-2 folder in float32 whose weights are a hole in the file; returns its size."""
    end, header = 0, {}
    for name, shape in parameter_shapes(config).items():
        start, end = end, end + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + end)
    values = {"n_embd": config.n_embd, "n_layer": config.n_layer, "n_head": config.n_head}
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"} | values))
    return path.stat().st_size


@pytest.mark.slow
def test_a_hundred_gigabytes_are_counted_without_torch_or_numpy(tmp_path: Path) -> None:
    size = sparse(tmp_path, GPTConfig(n_embd=8192, n_layer=32, n_head=64))
    assert size > 100e9
    script = (
        "import sys; from gptcli.cli.app import app\n"
        "try: app(['params', sys.argv[1], '--json'])\n"
        "finally: print(sorted({'torch', 'numpy', 'safetensors', 'tiktoken'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "[]\n"
    answer = json.loads(result.stdout)
    assert answer["parameters"] * 4 == answer["stored"]["nbytes"]
    assert answer["stored"]["difference"] == 0

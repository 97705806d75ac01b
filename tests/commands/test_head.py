"""``gptcli head``: one head's circuits, the scan of all heads, pages, and mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.tales import HEADS, LAYERS, NAME_HEAD

LAYER, HEAD = map(int, NAME_HEAD.split("."))
FEW = ("--tokens", "60")


def run(*arguments: str, width: int = 80) -> Any:
    return CliRunner().invoke(app, ["head", *arguments], env={"COLUMNS": str(width)})


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_picture_fits_and_says_what_it_is_of(width: int) -> None:
    done = run(NAME_HEAD, *FEW, "--token", "Tom", "--no-kind", width=width)
    assert done.exit_code == 0, done.output
    assert max(map(cell_len, done.stdout.splitlines())) <= width
    words = " ".join(done.stdout.split())
    assert f"Left out: layers 2 to {LAYER - 1}, positions, other tokens." in words
    assert "·Tom 1 ·Tom" in words
    assert "Its kind" not in words


@pytest.mark.slow
def test_json_has_its_schema_and_every_figure() -> None:
    got = json.loads(run(NAME_HEAD, *FEW, "--token", "Tom", "--top", "3", "--no-kind", "--json").stdout)
    assert (got["schema"], got["model"], got["layer"], got["head"]) == ("gptcli.head/1", "tales", LAYER, HEAD)
    assert (got["sampled"], got["n_vocab"], got["through"], got["label"]) == (61, 50257, 1, None)
    (seen,) = got["moves"]["seen"]
    assert (seen["token"], seen["rank"], len(seen["raises"]), len(seen["lowers"])) == (" Tom", 1, 3, 3)
    assert seen["raises"][0]["token"] == " Tom"
    assert got["looks"]["distance"] is None


@pytest.mark.slow
def test_the_kind_is_that_of_attention(tales: Any) -> None:
    from gptcli.inspection.heads import label_heads

    named = label_heads(tales)
    assert named is not None
    got = json.loads(run("2.1", *FEW, "--json").stdout)
    assert got["label"]["previous_token"] == pytest.approx(named[1][0].previous_token, abs=1e-6)
    assert f"previous token {named[1][0].previous_token:.2f}" in " ".join(run("2.1", *FEW).stdout.split())


@pytest.mark.slow
def test_the_scan_is_a_table_or_json(tmp_path: Path) -> None:
    file = tmp_path / "heads.html"
    done = run("--all", "--tokens", "2", "--no-kind", "--save", str(file))
    assert done.exit_code == 0, done.output
    assert (
        sum(line.strip().startswith(f"{layer}.") for line in done.stdout.splitlines() for layer in range(1, LAYERS + 1))
        == LAYERS * HEADS
    )
    assert max(map(cell_len, done.stdout.splitlines())) <= 80
    assert f"layer {LAYERS}" in file.read_text()
    got = json.loads(run("--all", "--tokens", "2", "--no-kind", "--json").stdout)
    assert (got["schema"], got["complete"], len(got["heads"])) == ("gptcli.head.all/1", True, LAYERS * HEADS)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["html", "svg", "txt"])
def test_it_can_be_saved(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"head.{suffix}"
    assert run("1.1", *FEW, "--no-kind", "--save", str(file)).exit_code == 0
    assert "Layer 1, head 1" in file.read_text().replace("\u00a0", " ").replace("&#160;", " ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--all"),
        ((NAME_HEAD, "--all"), "--all"),
        (("--all", "--token", "x"), "--token"),
        ((f"{LAYERS + 1}.1",), f"layers 1 to {LAYERS}"),
        (("5",), "expected '.'"),
        (("neuron:3.1",), "one head"),
        ((NAME_HEAD, "--through", f"{LAYER}"), f"--through {LAYER}"),
        ((NAME_HEAD, "--distance", "-1"), "--distance -1"),
        ((NAME_HEAD, "--token", "overgrown"), "give a word that is one"),
    ],
)
def test_mistakes_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments, "--no-kind")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.slow
def test_the_weights_alone_need_no_torch(child_environment: dict[str, str]) -> None:
    import subprocess
    import sys

    script = (
        "import sys; from typer.testing import CliRunner; from gptcli.cli.app import app\n"
        "done = CliRunner().invoke(app, ['head', '2.1', '--tokens', '20', '--no-kind'])\n"
        "assert done.exit_code == 0, done.output\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"False", done.stderr


@pytest.mark.slow
def test_the_table_as_csv() -> None:
    import csv
    import io

    done = run(NAME_HEAD, *FEW, "--no-kind", "--token", "Tom", "--top", "2", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["what"] for row in rows] == ["raises"] * 2 + ["lowers"] * 2 + ["matches"] * 2
    assert {row["for.token"] for row in rows} == {" Tom"}
    assert rows[0]["token"] == " Tom"

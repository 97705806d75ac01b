"""``gptcli attention``: the grid, one head, and what is said when not all fits."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.show.blocks import palette
from tests.tales import HEADS, LAYERS

TEXT = "The king and the queen lived in a castle by the sea."
TOKENS = 13
LONG = "Once upon a time there was a little girl named Lily. " * 9


def run(*arguments: str, width: int = 80) -> Any:
    return CliRunner().invoke(app, ["attention", *arguments], env={"COLUMNS": str(width)})


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_json_holds_every_figure() -> None:
    got = answer(TEXT, "--layer", "3", "--head", "2,4")
    assert (got["quantity"], got["rows"], got["n_layer"], got["n_head"]) == ("weights", "queries", LAYERS, HEADS)
    assert "".join(each["token"] for each in got["tokens"]) == TEXT
    assert [(head["layer"], head["head"]) for head in got["heads"]] == [(3, 2), (3, 4)]
    for head in got["heads"]:
        np.testing.assert_allclose(np.array(head["values"]).sum(1), np.ones(TOKENS), atol=1e-6)
        assert set(head["label"]) >= {"kind", "score", "previous_token", "first_token", "same_token", "induction"}


def test_the_mask_is_null_in_json() -> None:
    values = answer("The king", "--layer", "1", "--head", "1", "--scores", "--columns")["heads"][0]["values"]
    assert [[figure is None for figure in row] for row in values] == [[False, False], [True, False]]


@pytest.mark.slow
@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("options", [(), ("--columns",), ("--scores",), ("--head", "2"), ("--head", "2", "--columns")])
@pytest.mark.parametrize("text", [TEXT, LONG, "日本語 \x1b[31m [bold]red"])
def test_nothing_is_wider_than_the_terminal(width: int, options: tuple[str, ...], text: str) -> None:
    done = run(text, "--layer", "2", *options, width=width)
    assert done.exit_code == 0, done.output
    assert max(map(cell_len, done.stdout.splitlines())) <= width
    assert "\x1b" not in done.stdout


def maps_across(width: int) -> int:
    done = run("one two three", "--layer", "2", width=width)
    return max(len(re.findall(r"head \d", line)) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_narrow_terminals_get_fewer_maps_a_row() -> None:
    assert [maps_across(width) for width in (20, 40, 60, 80)] == [1, 2, 2, 4]  # rows of one length


def test_wide_terminals_get_layers_side_by_side() -> None:
    lines = run("one two three", width=200).stdout.splitlines()
    assert any("Layer 1" in line and "Layer 2" in line for line in lines)
    titles = " ".join(lines)
    assert re.findall(r"Layer (\d+)", titles) == [str(layer) for layer in range(1, LAYERS + 1)]


def weights_of(arguments: list[str], width: int = 80) -> list[list[str]]:
    """The figures of one head's picture, row by row."""
    lines = run(*arguments, width=width).stdout.splitlines()
    rows = [re.fullmatch(r"(\d+) \S+ +(.*)", line) for line in lines]
    return [re.findall(r"-?\d*\.\d+|-inf|-?\d+", row[2]) for row in rows if row]


@pytest.mark.slow
def test_one_head_has_its_figures() -> None:
    pattern = np.array(answer(TEXT, "--layer", "4", "--head", "3")["heads"][0]["values"])
    drawn = weights_of([TEXT, "--layer", "4", "--head", "3"], 200)
    assert [len(row) for row in drawn] == list(range(1, TOKENS + 1))
    for query, row in enumerate(drawn):
        np.testing.assert_allclose([float(figure) for figure in row], pattern[query, : query + 1], atol=5.1e-3)


def test_columns_turns_the_picture() -> None:
    drawn = weights_of([TEXT, "--layer", "4", "--head", "3", "--columns"], 200)
    assert [len(row) for row in drawn] == list(range(TOKENS, 0, -1))
    sums = [sum(float(drawn[key][query - key]) for key in range(query + 1)) for query in range(TOKENS)]
    np.testing.assert_allclose(sums, 1, atol=5e-3 * TOKENS)


def test_scores_show_the_mask() -> None:
    drawn = weights_of(["The king and the queen", "--layer", "4", "--head", "3", "--scores"], 120)
    assert [[figure == "-inf" for figure in row] for row in drawn] == np.triu(np.ones((5, 5)), 1).astype(bool).tolist()


@pytest.mark.slow
def test_cut_columns_are_counted_and_rows_still_add_up() -> None:
    arguments = [LONG, "--layer", "5", "--head", "1"]
    done, drawn = run(*arguments), weights_of(arguments)
    tokens = len(answer(*arguments)["tokens"])
    assert f"the first and the latest {len(drawn) - 1} of {tokens} tokens" in done.stdout
    for row in drawn[1:]:
        assert sum(map(float, row)) == pytest.approx(1, abs=5.1e-3 * len(row) + 0.05)  # 1.0 has one decimal
    turned = run(*arguments, "--columns").stdout
    assert re.search(rf"Columns: the latest \d+ of {tokens} tokens", turned)
    assert f"Rows: the first and the latest 63 of {tokens} tokens" in turned


@pytest.mark.slow
def test_a_long_text_is_cut_in_the_grid_and_said() -> None:
    done = run(LONG, "--layer", "1")
    assert "Drawn: the first and the latest 59 of" in done.stdout
    assert len(done.stdout.splitlines()) < 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "--layer", f"{LAYERS + 1}"), f"layers 1 to {LAYERS}"),
        (("x", "--head", "0"), "heads 1 to 4"),
        (("x", "--head", "two"), "--head 'two'"),
        (("x" * 3000 + " y" * 600,), "512"),
        ((LONG * 4, "--layer", "all"), "--layer"),
        (("x", "--save", "x.pdf"), ".svg"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_a_saved_text_is_the_picture_in_characters(tmp_path: Path) -> None:
    file = tmp_path / "maps.txt"
    done = run(TEXT, "--layer", "2", "--save", str(file))
    assert done.exit_code == 0
    assert [line.rstrip() for line in file.read_text().splitlines()] == [
        line.rstrip() for line in done.stdout.splitlines()
    ]
    assert "▀" not in file.read_text()


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_saved_picture_is_in_colour(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"maps.{suffix}"
    assert run(TEXT, "--layer", "2", "--save", str(file)).exit_code == 0
    assert palette.colour(1.0, palette.LIGHT) in file.read_text()

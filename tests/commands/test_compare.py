"""``gptcli compare``."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.made import made
from tests.measuring.test_compare import saved, tokenizer

run = CliRunner()
TEXT = "The king and the queen"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("compared")
    larger = {"h.0.mlp.c_fc.weight": 2.0}
    return str(made(folder / "one")), str(made(folder / "two", larger=larger))


def output(*arguments: str, columns: int = 100, given: str | None = None) -> str:
    done = run.invoke(app, ["compare", *arguments], input=given, env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_json(pair: tuple[str, str]) -> None:
    found = json.loads(output(*pair, TEXT, "--json"))
    assert next(iter(found.items())) == ("schema", "gptcli.compare/1")
    assert (found["a"]["model"], found["b"]["model"]) == pair
    assert [tensor["name"] for tensor in found["weights"]["tensors"] if tensor["differing"]] == ["h.0.mlp.c_fc.weight"]
    assert [token["token"] for token in found["text"]["tokens"]] == [" king", " and", " the", " queen"]
    assert {"mean_kl", "kl_percentiles", "same_best"} <= found["text"]["divergence"].keys()


def test_picture(pair: tuple[str, str]) -> None:
    shown = output(*pair, TEXT)
    assert "Weights: 1 of 16 tensors differ" in shown
    assert "h.0.mlp.c_fc.weight" in shown
    assert "KL divergence of B from A in nats: mean " in shown
    assert shown.count("·queen") >= 2


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_picture_fits(columns: int, pair: tuple[str, str]) -> None:
    assert max(map(len, output(*pair, TEXT, columns=columns).splitlines())) <= columns


def test_without_a_text_none_is_read(pair: tuple[str, str]) -> None:
    found = json.loads(output(*pair, "--json", given="not read"))
    assert found["text"] is None
    assert found["weights"]["equal"] == 15


def test_text_of_a_file_and_of_a_pipe(pair: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(f"{TEXT}\n")
    expected = output(*pair, TEXT, "--json", "--no-weights")
    assert output(*pair, "-f", str(file), "--json", "--no-weights") == expected
    assert output(*pair, "-", "--json", "--no-weights", given=f"{TEXT}\n") == expected
    assert json.loads(expected)["weights"] is None


def test_tables(pair: tuple[str, str]) -> None:
    tokens = list(csv.DictReader(output(*pair, TEXT, "--csv").splitlines()))
    assert [row["token"] for row in tokens] == [" king", " and", " the", " queen"]
    assert all(float(row["kl"]) > 0 and 0 < float(row["b.probability"]) < 1 for row in tokens)
    tensors = list(csv.DictReader(output(*pair, "--csv").splitlines()))
    assert [row["name"] for row in tensors if float(row["differing"])] == ["h.0.mlp.c_fc.weight"]
    assert output(*pair, "--md").startswith("| name | ")


def test_one_model_in_two_precisions(pair: tuple[str, str]) -> None:
    found = json.loads(output(pair[0], ":int8", "--json"))
    assert (found["a"]["precision"], found["b"]["precision"]) == ("as stored", "int8")
    assert found["a"]["model"] == found["b"]["model"] == pair[0]
    assert "as stored" in output(pair[0], f"{pair[0]}:int8")


def test_a_fine_tune_with_tokens_of_its_own_is_told_in_a_line(tmp_path: Path) -> None:
    for name, size in (("base", 280), ("tuned", 282)):
        saved(tmp_path / name, 1, vocab_size=size)
        tokenizer().save(str(tmp_path / name / "tokenizer.json"))
    (tmp_path / "tuned" / "added_tokens.json").write_text('{"<|im_start|>": 280, "<|im_end|>": 281}')
    names = [str(tmp_path / name) for name in ("base", "tuned")]
    shown = " ".join(output(*names, TEXT, "--no-weights").split())
    assert "That is over the 280 tokens that both have: A gives the others 0.00% of the probability on average" in shown
    found = json.loads(output(*names, TEXT, "--no-weights", "--json"))["text"]["divergence"]
    assert (found["shared_vocabulary"], found["unshared_a"]) == (280, 0)
    assert 0 < found["unshared_b"] < 1


@pytest.mark.parametrize("suffix", [".html", ".svg", ".txt"])
def test_the_picture_can_be_saved(suffix: str, pair: tuple[str, str], tmp_path: Path) -> None:
    saved = tmp_path / f"compared{suffix}"
    output(*pair, TEXT, "--save", str(saved))
    assert "KL" in saved.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tales", "tales"], "A and B are both tales"),
        (["tales", ":int8", "x", "-f", "y"], "-f reads a file, so there is no TEXT to give"),
        (["tales", "glove-50d"], "glove-50d holds word vectors"),
        (["tales", ":int8", "x"], "it takes two tokens"),
        (["tales", ":int8", "--stride", "8"], "--stride goes with TEXT or -f, which is not there"),
        (["tales", ":int8", "--bos"], "--bos goes with TEXT or -f, which is not there"),
        (["tales", ":int8", "a text", "--stride", "0"], "--stride 0: it must be from 1 to 511"),
        (["tales", ":int8", "a text", "--stride", "512"], "--stride 512: it must be from 1 to 511"),
    ],
)
def test_mistakes(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "--stride" in arguments:  # told before anything is opened
        monkeypatch.setattr("gptcli.measuring.compare.open_checkpoint", lambda *_: pytest.fail("opened"))
        monkeypatch.setattr("gptcli.measuring.compare.compare_weights", lambda *_: pytest.fail("compared"))
    done = run.invoke(app, ["compare", *arguments, *([] if "--stride" in arguments else ["--no-weights"])])
    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert not done.stdout

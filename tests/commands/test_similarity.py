"""``gptcli similarity`` as a user runs it."""

import json
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from gptcli.system.bundled import bundled_folder
from tests import glove
from tests.tales import LAYERS


def run(*arguments: str, stdin: str | None = None, width: int = 80) -> Result:
    return CliRunner().invoke(app, ["similarity", *arguments], input=stdin, env={"COLUMNS": str(width)})


def test_two_words_are_one_line_that_starts_with_the_figure() -> None:
    result = run("king", "queen")
    assert result.stdout == "0.784  king and queen  glove-50d embedding.weight, cosine similarity\n"


def test_more_words_are_a_heat_map() -> None:
    lines = [line.split() for line in run("king", "queen", "tower").stdout.splitlines() if line.strip()]
    assert ["king", "1.000", "0.784", "0.359"] in lines
    assert ["tower", "0.359", "0.405", "1.000"] in lines


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_wide_heat_map_is_cut_into_pieces_and_loses_nothing(width: int) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    shown = run(*words, width=width).stdout
    values = json.loads(run(*words, "--json").stdout)["values"]
    assert max(map(len, shown.splitlines())) <= width
    assert sorted(shown.split()).count("1.000") == 10
    assert all(f"{value:.3f}" in shown for row in values for value in row)
    assert "…" not in shown


def test_words_may_be_piped() -> None:
    expected = run("king", "queen", "tower").stdout
    assert run(stdin="king queen\ntower\n").stdout == expected
    assert run("-", stdin="king\nqueen\ntower").stdout == expected


def test_the_longer_name() -> None:
    result = CliRunner().invoke(app, ["embed-similarity", "king", "queen"])
    assert result.stdout.startswith("0.784")
    assert "embed-similarity" not in CliRunner().invoke(app, ["--help"]).stdout


def test_expressions() -> None:
    figure = float(run("woman-man", "queen-king").stdout.split()[0])
    # Worked out with numpy, in float64, from the vectors as they are.
    assert figure == pytest.approx(0.59695, abs=0.0006)


@pytest.mark.parametrize(("metric", "figure"), [("dot", 21.8769), ("euclidean", 3.4775)])
def test_metrics(metric: str, figure: float) -> None:
    # Worked out with numpy in float64.
    assert float(run("king", "queen", "--metric", metric).stdout.split()[0]) == pytest.approx(figure, abs=0.0006)


def test_evaluate_equals_gensims_spearman() -> None:
    shown = run("--evaluate", str(glove.published("wordsim353.tsv")))
    assert "0.503" in shown.stdout
    score = json.loads(run("--evaluate", str(glove.published("simlex999.txt")), "--json").stdout)
    assert score["spearman"] == pytest.approx(0.263031, abs=1e-5)
    assert (score["pairs"], score["unknown"]) == (998, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["king"], "two words or more"),
        (["king", "quene"], "did you mean queen"),
        (["king", "--evaluate", "x"], "x asks"),
    ],
)
def test_mistakes_end_with_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_several_tokens_are_said(tmp_path: Path) -> None:
    result = run("king", "rumpelstiltskin", "-m", "tales")
    assert result.exit_code == 0
    assert "'rumpelstiltskin' is " in result.stderr
    assert "their mean stands for it" in result.stderr


CONTEXTS = ["a machine learning [model]", "a fashion [model]", "the [mole] dug a hole"]


@pytest.mark.slow
def test_in_context_runs_tales_and_shows_every_figure() -> None:
    answer = json.loads(run("--in-context", *CONTEXTS, "--neighbors", "2", "--json").stdout)
    assert answer["model"] == "tales"
    assert [len(context) for context in answer["nearest"]] == [LAYERS + 1] * 3
    done = run("--in-context", *CONTEXTS, "--neighbors", "2")
    assert "2  a fashion [model]  ·model at position 3" in done.stdout
    for pair in answer["pairs"]:
        assert f"{pair['first']}–{pair['second']}" in done.stdout
        assert all(f"{value:.3f}" in done.stdout for value in pair["values"])
    for context in answer["nearest"]:
        assert all(item["token"].strip() in done.stdout for layer in context for item in layer)
    assert "cosine similarity with the token embedding" in done.stdout
    by_logit = run("--in-context", *CONTEXTS, "--neighbors", "2", "--unembedding").stdout
    assert "by logit" in by_logit


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 200])
def test_in_context_fits_the_terminal(width: int) -> None:
    texts = [f"{'very ' * place}big [dog\x1b[2J]".replace("[2J", "\\[2J") for place in range(5)]
    done = run("--in-context", *texts, "--neighbors", "3", width=width)
    assert done.exit_code == 0, done.stderr
    assert max(map(cell_len, done.stdout.splitlines())) <= width
    assert "\x1b" not in done.stdout
    assert "8 of 10 pairs" in " ".join(done.stdout.split())


def test_in_context_takes_the_model_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPTCLI_MODEL", str(tmp_path / "none"))
    assert str(tmp_path / "none") in run("--in-context", *CONTEXTS).stderr
    named = run("--in-context", *CONTEXTS, "-m", "tales", "--json")
    assert json.loads(named.stdout)["model"] == "tales"
    assert run("king", "queen").stdout.startswith("0.784")  # which runs no model


def test_contexts_may_be_piped_a_line_each() -> None:
    assert run("--in-context", stdin="\n".join(CONTEXTS) + "\n").stdout == run("--in-context", *CONTEXTS).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--in-context", "the [king]"], "two texts"),
        (["--in-context", "the king", "the [king]"], "brackets"),
        (["--in-context", *CONTEXTS, "--restrict", "9"], "--restrict does not go with --in-context"),
        (["--in-context", *CONTEXTS, "--evaluate", "x"], "--evaluate does not go with --in-context"),
        (["king", "queen", "--neighbors", "3"], "--neighbors goes with --in-context only"),
        (["king", "queen", "--device", "cpu"], "--device goes with --in-context only"),
        (["--in-context", *CONTEXTS, "-m", "glove-50d"], "holds word vectors"),
    ],
)
def test_mistakes_in_context(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_so_many_words_that_their_pairs_are_too_many_are_refused() -> None:
    words = bundled_folder().joinpath("glove-50d", "vocab.txt").read_text().split("\n")
    done = CliRunner().invoke(app, ["similarity", "-", "--json"], input="\n".join(words[:20_000]))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "error: 20,000 words are 400,000,000 similarities: give 2,000 words at most (the words nearest to one: gptcli "
        "neighbors; many along one direction: gptcli direction)\n"
    )


@pytest.mark.slow
def test_the_blocks_of_a_wide_map_hold_each_word_once() -> None:
    """Whatever their number: how wide a column gets is told without writing all of its figures."""
    words = bundled_folder().joinpath("glove-50d", "vocab.txt").read_text().split("\n")[100:400]
    done = CliRunner().invoke(app, ["similarity", *words], env={"COLUMNS": "80"})
    heads = [line.split() for line in done.stdout.split("\n") if line.startswith("  ")]
    assert [word for head in heads for word in head] == words
    assert max(map(len, done.stdout.split("\n"))) <= 80
    assert done.stdout.count("\n") == 1 + len(heads) * (1 + len(words))

"""``gptcli analogy`` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from tests.tales import cosine_of_analogy


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["analogy", *arguments], input=stdin, env={"COLUMNS": "80", "TERM": "dumb"})


def test_king_man_woman() -> None:
    result = run("king-man+woman")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "king-man+woman"
    assert lines[1] == "glove-50d embedding.weight, cosine similarity, 100,000 searched"
    assert next(line for line in lines if "queen" in line).split()[:3] == ["1", "queen", "0.852"]
    assert not result.stderr


@pytest.fixture(scope="module")
def queen() -> float:
    """How near " queen" is to king - man + woman in the bundled GPT's embedding, by numpy in float64."""
    return cosine_of_analogy("king", "man", "woman", "queen")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int, queen: float) -> None:
    result = CliRunner().invoke(app, ["analogy", "king-man+woman", "-m", "tales"], env={"COLUMNS": str(width)})
    assert max(map(len, result.stdout.splitlines())) <= width
    assert f"{queen:.3f}" in result.stdout


def test_the_gpts_tokens_show_their_space(queen: float) -> None:
    best = json.loads(run("king-man+woman", "-m", "tales", "--json").stdout)["neighbors"][0]
    assert best == {
        "rank": 1,
        "id": 16599,
        "token": " queen",
        "similarity": pytest.approx(queen, abs=1e-5),
        "in_query": False,
    }
    assert "·queen" in run("king-man+woman", "-m", "tales").stdout


def test_json_says_what_the_table_says() -> None:
    answer = json.loads(run("king-man+woman", "--top", "3", "--json").stdout)
    assert answer["query"] == "king-man+woman"
    assert [word["weight"] for word in answer["words"]] == [1.0, -1.0, 1.0]
    assert [item["token"] for item in answer["neighbors"]] == ["queen", "throne", "prince"]
    shown = run("king-man+woman", "--top", "3").stdout
    assert all(f"{item['similarity']:.3f}" in shown for item in answer["neighbors"])


@pytest.mark.slow
def test_the_expression_may_be_piped_or_in_several_arguments() -> None:
    expected = run("king - man + woman").stdout
    assert run(stdin="king - man + woman\n").stdout == expected
    assert run("-", stdin="king - man + woman\n").stdout == expected
    assert run("king", "-", "man", "+", "woman").stdout == expected


def test_keep_query_shows_their_ranks() -> None:
    kept = run("king-man+woman", "--keep-query", "--top", "2").stdout
    assert [line.split()[:2] for line in kept.splitlines() if "0." in line][:2] == [["1", "king"], ["2", "queen"]]
    assert kept.count("in the query") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["king-quene"], "error: 'quene' is not among the 100,000 words of glove-50d: did you mean queen"),
        (["king woman"], "\n  king woman\n       ^\n"),
        (["king-king"], "cancel out"),
        (["0*king"], "cancel out"),
        (["king-man", "--method", "mul", "--metric", "dot"], "does not go with"),
        (["king-man", "--evaluate", "x"], "asks its own questions"),
        (["--evaluate", "no such file"], "cannot read no such file"),
        (["king-man", "--unembedding"], "only a GPT has an unembedding"),
        (["king-man", "--restrict", "0"], "--restrict"),
    ],
)
def test_mistakes_end_with_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_word_with_a_hyphen_inside_is_pointed_out() -> None:
    result = run("spider-man")
    assert result.exit_code == 0
    assert "spider-man is read as arithmetic" in result.stderr
    assert "spider-man is read" not in run('"spider-man" - spider').stderr


@pytest.mark.slow
def test_evaluate(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text(": royal\nman woman king queen\nman woman king throne\nman woman king xyzzy\n", encoding="utf-8")
    shown = run("--evaluate", str(path))
    assert "royal" in shown.stdout
    assert "50.0%" in shown.stdout
    assert not shown.stderr
    score = json.loads(run("--evaluate", str(path), "--count-unknown", "--json").stdout)
    assert score["sections"] == [{"name": "royal", "correct": 1, "total": 3, "accuracy": 1 / 3, "unknown": 1}]


def test_save(tmp_path: Path) -> None:
    assert run("king-man+woman", "--save", str(tmp_path / "queen.svg")).exit_code == 0
    assert "queen" in (tmp_path / "queen.svg").read_text(encoding="utf-8")


def test_gptcli_model_does_not_change_the_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTCLI_MODEL", "tales")
    assert "glove-50d" in run("king-man+woman").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("analogy", "king-man+woman"),
        ("analogy", "king-man+woman", "-m", "tales"),
        ("similarity", "king", "queen"),
        ("neighbors", "tower"),
        ("direction", "cats-cat", "puppies"),
        ("analogy", "--help"),
    ],
)
def test_no_torch(arguments: tuple[str, ...], child_environment: dict[str, str]) -> None:

    code = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr));"
        f"sys.argv = ['gptcli', *{arguments!r}]; from gptcli.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_environment, capture_output=True, check=True)
    assert done.stderr == b"False\n"


def test_the_words_left_out_are_named_with_how_near_they_are() -> None:
    done = CliRunner().invoke(app, ["analogy", "king-man+woman", "--top", "2"], env={"COLUMNS": "80"})
    assert done.stdout.rstrip().endswith("king (0.885), woman (0.528), man (0.419): left out, as in the query")
    kept = CliRunner().invoke(app, ["analogy", "king-man+woman", "--top", "2", "--keep-query"])
    assert "left out" not in kept.stdout
    got = json.loads(CliRunner().invoke(app, ["analogy", "king-man+woman", "--top", "2", "--json"]).stdout)
    assert [item["token"] for item in got["left_out"]] == ["king", "woman", "man"]
    assert got["left_out"][0]["rank"] == 1  # where it would be
    assert [item["rank"] for item in got["neighbors"]] == [1, 2]

"""``gptcli direction`` as a user runs it."""

import json

import pytest
from typer.testing import CliRunner, Result

from gptcli.cli.app import app

VIDEO = ["cat", "cats", "puppy", "puppies", "one", "two", "three", "four"]


def run(*arguments: str, stdin: str | None = None, width: int = 80) -> Result:
    return CliRunner().invoke(app, ["direction", *arguments], input=stdin, env={"COLUMNS": str(width)})


def products(*arguments: str) -> dict[str, float]:
    return {item["label"]: item["dot"] for item in json.loads(run(*arguments, "--json").stdout)["products"]}


def test_the_videos_plural() -> None:
    dots = products("cats-cat", *VIDEO)
    assert dots["cat"] < 0 < dots["cats"]
    assert dots["puppy"] < dots["puppies"]
    assert dots["one"] < dots["two"] < dots["three"] < dots["four"]
    assert list(dots.values()) == sorted(dots.values(), reverse=True)


def test_in_the_order_given() -> None:
    assert list(products("cats-cat", *VIDEO, "--no-sort")) == VIDEO


@pytest.mark.parametrize("width", [40, 80, 200])
def test_bars_stand_on_either_side_of_zero(width: int) -> None:
    shown = run("cats-cat", *VIDEO, width=width).stdout
    lines = [line for line in shown.splitlines() if "│" in line]
    assert len(lines) == len(VIDEO)
    assert len({line.index("│") for line in lines}) == 1
    for line in lines:
        left, right = line.split("│")
        negative = left.split()[1].startswith("-")
        assert (("█" in left) or ("▐" in left)) == negative
        assert bool(right.strip()) != negative
    assert max(map(len, shown.splitlines())) <= width


def test_without_negatives_there_is_no_axis() -> None:
    assert "│" not in run("cats-cat", "cats", "puppies").stdout


def test_words_may_be_piped() -> None:
    assert run("cats-cat", stdin="\n".join(VIDEO)).stdout == run("cats-cat", *VIDEO).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["cats-", "cat"], "found nothing"), (["cats-cat", "quene"], "did you mean queen"), (["cats-cat"], "no words")],
)
def test_mistakes_end_with_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr

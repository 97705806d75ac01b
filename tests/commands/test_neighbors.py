"""``gptcli neighbors`` as a user runs it."""

import json

import pytest
from typer.testing import CliRunner, Result

from gptcli.cli.app import app


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["neighbors", *arguments], input=stdin, env={"COLUMNS": "80"})


def words(*arguments: str) -> list[str]:
    return [item["token"] for item in json.loads(run(*arguments, "--json").stdout)["neighbors"]]


def test_tower() -> None:
    # gensim's similar_by_word on the same vectors.
    assert words("tower", "--top", "3") == ["towers", "gate", "building"]
    assert "towers" in run("tower").stdout


def test_a_word_is_taken_as_it_stands() -> None:
    assert "batman" in words("Spider-Man", "--top", "5")
    assert run("spider-man").stderr == ""


def test_restrict_searches_frequent_words_only() -> None:
    answer = json.loads(run("tower", "--restrict", "1000", "--json").stdout)
    assert answer["searched"] == 1000
    assert all(item["id"] < 1000 for item in answer["neighbors"])


def test_the_word_may_be_piped() -> None:
    assert run(stdin=" tower\n").stdout == run("tower").stdout


@pytest.mark.slow
def test_spaces_before_tokens() -> None:
    assert "·king" in run("queen", "-m", "tales", "--top", "40").stdout
    # GPT-2's ids: " king" is 5822, "king" 3364.
    for option, token, number in (([], " king", 5822), (["--no-space"], "king", 3364)):
        answer = json.loads(run("king", "-m", "tales", "--json", *option).stdout)
        assert answer["words"][0]["tokens"] == [{"id": number, "token": token}]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["new york"], "try new+york"), (["king-man+woman"], "king-man+woman"), ([""], "''")]
)
def test_mistakes_end_with_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr

"""What is asked for has bounds, and what is beyond them is refused at once, in a line that says what to do."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.system.text_file import MOST_LINE, MOST_TEXT, MOST_WORDS, read_text_file
from tests.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "king", *["--stop", "a"] * 1001], "--stop is given 1,001 times: 1,000 are the most"),
        (["generate", "king", *["--logit-bias", " a=1"] * 1001], "--logit-bias is given 1,001 times"),
        (["chat", *["--logit-bias", " a=1"] * 1001], "--logit-bias is given 1,001 times"),
        (["logits", "king", *["--watch", "a"] * 1001], "--watch is given 1,001 times"),
        (["logits", "king", "-t", ",".join("1" * 21)], "20 numbers are the most"),
        (["bench", "--contexts", ",".join("5" * 21)], "20 numbers are the most"),
        (["lens", "king", *["--token", "a"] * 51], "--token is given 51 times"),
        (["generate", "king", "--explain", "--explain-top", "1001"], "1001"),
        (["generate", "king", "--explain", "--save", "a.svg", "-N", "1001"], "1,000 are the most"),
        (["map", "king", "queen", "--neighbors", "99999999999"], "200,002 points are too many to be told apart"),
        (["similarity", "--in-context", *["the [dog]"] * 201], "201 are more than 200"),
        # 200,000 tokens for 100 texts, each at the embedding and after 10 layers.
        (["similarity", "--in-context", *["the [dog]"] * 100, "--neighbors", "500"], "give 181 at most"),
        (["similarity", *["king"] * 2001], "give 2,000 words at most"),
        (["analogy", "king" + "+king" * 2000], "10,000 characters at most"),
        (["neighbors", "q" * 10_001], "10,000 characters at most"),
        (["direction", "king", "q" * 10_001], "10,000 characters at most"),
        (["map", "king", "q->" * 4000], "10,000 characters at most"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_beyond_a_bound_is_refused(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr) < 400


@pytest.mark.parametrize("command", ["generate", "logits", "score", "attention", "lens", "trace"])
def test_a_text_has_ten_million_bytes_at_most(command: str) -> None:
    done = CliRunner().invoke(app, [command], input="a" * (MOST_TEXT + 1))
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        done.stderr == "error: stdin holds more than 10.0 MB, the most that is read at once: cut it first (head -c)\n"
    )


@pytest.mark.parametrize("words", [["analogy"], ["neighbors"], ["similarity"], ["direction", "king"], ["map"]])
def test_a_list_of_words_has_a_million(words: list[str]) -> None:
    done = CliRunner().invoke(app, words, input="king " * (MOST_WORDS // 5 + 1))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "stdin holds more than 1.00 MB" in done.stderr


def test_a_line_of_a_chat_has_a_million() -> None:
    done = CliRunner().invoke(app, ["chat", "-n", "2", "--seed", "4"], input="Hello\n" + "a" * (MOST_LINE + 1))
    assert done.exit_code == 2
    assert done.stdout.count("\n") == 1  # the answer to the first line, which is empty
    assert "line 2 of stdin has more than 1.00 MB" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        # Read line by line, so that a file of many prompts may be of any length: the bound is that of a line.
        ("generate --prompts-file /dev/zero", "line 1 of /dev/zero has more than 1.00 MB"),
        ("generate --lines --file /dev/zero", "line 1 of /dev/zero has more than 1.00 MB"),
        ("generate --replay /dev/zero", "/dev/zero holds more than 10.0 MB"),
        ("analogy --evaluate /dev/zero", "/dev/zero holds more than 10.0 MB"),
        ("similarity --evaluate /dev/zero", "/dev/zero holds more than 10.0 MB"),
    ],
    ids=lambda value: value if "--" in value else "",
)
def test_a_device_is_no_file_to_be_read_to_its_end(run_gptcli: Run, words: str, said: str) -> None:
    done = run_gptcli(*words.split())
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"error: {said}" in done.stderr.decode()


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(b"abc")
    assert read_text_file(file, 3) == "abc"
    with pytest.raises(Exception, match="holds more than 2 bytes"):
        read_text_file(file, 2)
    with pytest.raises(Exception, match="cannot read a"):
        read_text_file(Path("a\0b"))


def test_remarks_beside_an_answer_are_a_few() -> None:
    words = [f"refrigerat{letter}x" for letter in "abcdefghijklmnopqrstuvwxyz"]
    done = CliRunner().invoke(app, ["similarity", "-m", "tales", "--json", *words])
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)["notes"]) == 26
    assert done.stderr.count("\n") == 21
    assert done.stderr.endswith("... and 6 more notes like these\n")


@pytest.mark.parametrize("name", ["a.pdf", "/nowhere/at/all.svg"])
@pytest.mark.parametrize("command", [["bench"], ["models", "list"], ["logits", "king"], ["tour"]], ids=" ".join)
def test_a_file_that_cannot_be_saved_is_refused_before_the_work(
    command: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gptcli.checkpoint.source.find", lambda *_, **__: pytest.fail("no work is to be done"))
    done = CliRunner().invoke(app, [*command, "--save", name])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: --save {name}: ")

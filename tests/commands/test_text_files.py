"""Texts from files and lines: -f and --lines of tokenize, logits and generate (test_score has score's)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.tokenizer import gpt2_tokenizer
from tests.show.test_pick import on_terminal

GPT2 = gpt2_tokenizer()
LINES = ["Once upon a time", "The king and the", "x", "Not all heroes wear capes: café 😀"]


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text)


def objects(*arguments: str, text: str | None = None) -> list[dict[str, Any]]:
    done = run(*arguments, "--json", text=text)
    assert (done.exit_code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Each line in a file of its own, and all of them in one with Windows' line ends and an empty line."""
    for number, line in enumerate(LINES):
        (tmp_path / f"{number}.txt").write_text(f"{line}\n", encoding="utf-8")
    (tmp_path / "all.txt").write_bytes("\r\n".join(["\ufeff" + LINES[0], "", *LINES[1:], ""]).encode())
    return [str(path) for path in sorted(tmp_path.glob("*.txt"))]


def given(names: list[str]) -> list[str]:
    return [argument for name in names for argument in ("-f", name)]


def test_counts_are_printed_as_wc_does(files: list[str]) -> None:
    counts = [len(GPT2.encode(f"{line}\n")) for line in LINES]
    done = run("tokenize", "--count", *given(files[:-1]))
    expected = [f"{count:>8} {name}" for count, name in zip(counts, files, strict=False)]
    assert done.stdout.splitlines() == [*expected, f"{sum(counts):>8} total"]
    assert run("tokenize", "--count", "-f", files[0]).stdout == f"{expected[0]}\n"
    assert [each["n_tokens"] for each in objects("tokenize", "--count", *given(files[:-1]))] == counts
    assert run("tokenize", "--count", "-f", "-", text=LINES[0]).stdout.split() == ["4", "-"]


def test_lines_are_tokenized_one_by_one(files: list[str]) -> None:
    got = objects("tokenize", "--lines", "-f", files[-1])
    assert [each["line"] for each in got] == [1, 3, 4, 5]
    assert {each["file"] for each in got} == {files[-1]}
    assert [[token["id"] for token in each["tokens"]] for each in got] == [GPT2.encode(line) for line in LINES]
    ids = run("tokenize", "--lines", "--ids", "-f", files[-1]).stdout
    assert [list(map(int, line.split())) for line in ids.splitlines()] == [GPT2.encode(line) for line in LINES]
    assert run("tokenize", "--lines", "--decode", text=ids).stdout == "".join(f"{line}\n" for line in LINES)
    assert run("tokenize", "--lines", "--count", "-f", files[-1]).stdout.split() == [
        str(len(GPT2.encode(line))) for line in LINES
    ]
    starts = run("tokenize", "--lines", "--truncate", "2", text="\n".join(LINES[:3])).stdout
    assert starts.splitlines() == ["Once upon", "The king", "x"]
    table = run("tokenize", "--lines", text="\n".join(LINES)).stdout.splitlines()
    assert table[:3] == ["tokens  text", "     4  Once|·upon|·a|·time", "     4  The|·king|·and|·the"]


def test_pictures_of_several_files_stand_below_their_names(files: list[str]) -> None:
    shown = run("tokenize", "--merges", *given(files[:2])).stdout
    assert [line for line in shown.splitlines() if line.startswith("==>")] == [f"==> {name} <==" for name in files[:2]]


def test_a_file_is_taken_as_it_is_by_tokenize(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\r\nb\n")
    assert run("tokenize", "--ids", "-f", str(tmp_path / "a")).stdout.split() == [
        str(id) for id in GPT2.encode("a\r\nb\n")
    ]


@pytest.mark.slow
def test_a_neuron_reads_a_file_without_its_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfThe king\r\n")
    assert json.loads(run("neurons", "--neuron", "3.117", "-f", str(tmp_path / "a"), "--json").stdout)["read"] == 2


@pytest.mark.slow
def test_next_tokens_of_lines_are_transformers(files: list[str], tales_reference: Any) -> None:
    got = objects("logits", "--lines", "-f", files[-1], "--top", "3", "--watch", "dragon")
    assert [(each["prompt"], each["line"]) for each in got] == list(zip(LINES, (1, 3, 4, 5), strict=True))
    for each, line in zip(got, LINES, strict=True):
        with torch.inference_mode():
            expected = tales_reference(torch.tensor([GPT2.encode(line)])).logits[0, -1].softmax(-1)
        (shown,) = each["distributions"]
        top = expected.topk(3)
        assert [candidate["id"] for candidate in shown["candidates"]] == top.indices.tolist()
        assert [candidate["probability"] for candidate in shown["candidates"]] == pytest.approx(
            top.values.tolist(), abs=1e-5
        )
        assert shown["watched"][0]["id"] == GPT2.encode(" dragon")[0]


@pytest.mark.slow
def test_rows_of_next_tokens(files: list[str]) -> None:
    table = run("logits", *given(files[:2])).stdout.splitlines()
    assert table[0].split() == ["entropy", "first", "second", "third", "text"]
    assert [line.split()[-1] for line in table[1:]] == files[:2]
    (said,) = json.loads(run("logits", LINES[0], "--watch", "there", "--json").stdout)["distributions"]
    assert table[1].split()[1:3] == [",", f"{said['candidates'][0]['probability']:.2%}"]
    table = run("logits", "--lines", "--watch", "dragon", "--watch", "there", text="\n".join(LINES)).stdout.splitlines()
    assert table[0].split() == ["entropy", "dragon", "there", "first", "text"]
    there = said["watched"][0]["model_probability"]
    assert re.split("  +", table[1].strip())[2] == f"{there:.2%}"  # after "1 in 13 million"
    assert run("logits", "--lines", "-t", "1,2", text="a").exit_code == 2
    assert run("logits", "--lines", "--all-positions", text="a").exit_code == 2


def test_a_line_that_does_not_fit_is_named() -> None:
    done = run("logits", "--lines", text="a\n" + "word " * 600)
    assert done.exit_code == 2
    assert "line 2: the text has 6" in done.stderr
    assert "gptcli tokenize --truncate 512" in done.stderr


@pytest.mark.slow
def test_prompts_come_from_files_and_lines(files: list[str]) -> None:
    settings = ["-n", "2", "-t", "0"]
    wanted = [record["completion"] for line in LINES for record in objects("generate", line, *settings)]
    for sources, text in (
        (["--lines", "-f", files[-1]], None),
        (["--prompts-file", files[-1]], None),
        (given(files[:-1]), None),
        (["--lines"], "\n".join(LINES)),
    ):
        got = objects("generate", *sources, *settings, text=text)
        assert [each["prompt"] for each in got] == LINES
        assert [each["completion"] for each in got] == wanted
    assert [each["prompt"] for each in objects("generate", "Lily", "-f", files[2], *settings)] == ["Lily", "x"]


def test_words_without_quotes_are_told() -> None:
    done = run("generate", "The", "king", "-n", "1")
    assert done.exit_code == 0
    assert done.stderr == "2 prompts of one word: put a text in quotes to have it as one\n"
    assert run("generate", "The", "Kings of old", "-n", "1").stderr == ""


@pytest.mark.slow
def test_a_bar_on_a_terminal_leaves_the_rows_of_a_pipe_alone(child_environment: dict[str, str], tmp_path: Path) -> None:
    """stdout is a file while stderr is a terminal: Rich would take over stdout."""
    rows, lines = tmp_path / "rows", tmp_path / "lines"
    lines.write_text("\n".join(LINES))
    arguments = ("--lines", "-f", str(lines))
    with rows.open("wb") as out, on_terminal(child_environment, *arguments, name="score", stdout=out) as terminal:
        assert terminal.end() == 0
    assert len(rows.read_text(encoding="utf-8").splitlines()) == len(LINES) + 2

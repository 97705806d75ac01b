"""Where stdout's encoding lacks characters, ASCII stands in for them, and every picture keeps its columns."""

import ast
import json
import os
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

import gptcli
from gptcli.cli.app import app
from gptcli.show.terminal.encoding import STAND_INS, stand_in
from tests.conftest import Run

PICTURES = {
    "tokenize": "tokenize Not_all 日本 x",
    "merges": "tokenize --merges heroes",
    "logits": "logits The_king -t 0.5,1,2 --top 5",
    "positions": "logits The_king_and --all-positions",
    "score": "score The_king_and_the_queen",
    "neighbors": "neighbors tower --top 5",
    "tokens": "neighbors king -m tales --top 5",
    "analogy": "analogy king-man+woman --top 5",
    "direction": "direction cats-cat dog dogs one",
    "heat map": "similarity king queen apple",
    "map": "map man->woman king->queen --neighbors 2",
    "params": "params gpt2",
    "scoreboard": "params gpt3",
    "list": "models list",
    "show": "models show tales",
    "explain": "generate The_king -n 3 --seed 1 --explain",
    "tour": "tour --list",
    "help": "logits --help",
}
SLOW = {
    "attention": "attention The_king_and",
    "head": "attention The_king_and --layer 2 --head 1",
    "lens": "lens The_king --token queen --attribution",
    "trace": "trace The_king --layer 2 --head 1",
    "contexts": "similarity --in-context the_[king] a_[king]_said --neighbors 2",
}
QUICK = ("tokenize", "logits", "neighbors", "map", "params", "help")
ALL = [
    *QUICK,
    *(pytest.param(name, marks=pytest.mark.slow) for name in (*PICTURES, *SLOW) if name not in QUICK),
]


def run(command: str, charset: str, *more: str) -> Any:
    arguments = [word.replace("_", " ") for word in command.split()]
    done = CliRunner(charset=charset).invoke(app, [*arguments, *more], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done


@cache
def said(command: str, charset: str) -> str:
    return str(run(command, charset).stdout_bytes.decode(charset))


@pytest.mark.parametrize(
    "charset", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cp1252", "cp437"))]
)
@pytest.mark.parametrize("name", ALL)
def test_every_picture_holds_together(name: str, charset: str) -> None:
    """The same lines, as wide as with UTF-8, and no escape of a character that we draw with."""
    command = (PICTURES | SLOW)[name]
    whole, replaced = said(command, "utf-8").splitlines(), said(command, charset).splitlines()
    assert not re.search(r"\\u2[0-9a-f]{3}|\\xb[7]", "".join(replaced))
    if "日" not in command:  # which becomes an escape, longer than two columns
        assert [cell_len(line) for line in replaced] == [cell_len(line) for line in whole]


def test_what_stands_in_for_what() -> None:
    assert "#" in said("neighbors tower --top 3", "ascii")
    assert "_king" in said("tokenize The_king", "ascii")
    assert "2 tokens . 8 characters (4.00 a token) . 8 bytes" in said("tokenize The_king", "ascii")
    assert "2 tokens · 8 characters" in said("tokenize The_king", "cp437")
    assert "█" in said("neighbors tower --top 3", "cp437")
    assert "king -> queen" in said("map man->woman king->queen", "cp1252").replace(">", "->").replace("-->", "->")
    for character, plain in STAND_INS.items():
        assert plain.isascii()
        assert cell_len(plain) == cell_len(character) == 1
    assert [stand_in(chr(0x2800 + dots)) for dots in (0, 1, 0xFF)] == [" ", ".", "#"]
    assert stand_in("日") == "\\u65e5"


def test_a_foreign_character_is_an_escape_that_the_layout_knows_of() -> None:
    """A token in a table: the columns after it are where those of the other rows are."""
    rows = said("neighbors é -m tales --top 20 --no-space", "ascii").splitlines()[2:]
    figures = [re.match(r" *\d+  .* \d\.\d{3}(?= |$)", row) for row in rows]
    assert len({found.end() for found in figures if found}) == 1
    assert sum(found is not None for found in figures) == 20
    assert any("\\x" in row or "\\u" in row for row in rows)


@pytest.mark.parametrize("charset", ["ascii", "cp1252", "cp437", "utf-8"])
def test_json_is_valid_in_every_encoding(charset: str) -> None:
    done = run("generate café😀—日 -n 1 --seed 1 --json", charset)
    assert json.loads(done.stdout_bytes)["prompt"] == "café😀—日"
    assert done.stdout_bytes.isascii() == (charset != "utf-8")
    assert json.loads(run("tokenize 日 --json", charset).stdout_bytes)["counts"]["n_bytes"] == 3


@pytest.mark.parametrize(("charset", "text"), [("ascii", b"caf\\xe9 \\u2026"), ("cp1252", b"caf\xe9 \x85")])
def test_streamed_text_is_exact(charset: str, text: bytes) -> None:
    assert run("generate café_… -n 1 --seed 1", charset).stdout_bytes.startswith(text)


def test_saved_files_have_everything(tmp_path: Any) -> None:
    file = tmp_path / "x.txt"
    run("neighbors café --top 3", "ascii", "--save", str(file))
    saved = file.read_text(encoding="utf-8")
    assert "café" in saved
    assert "█" in saved


def drawn_with() -> set[str]:
    """The signs beyond ASCII in the texts of what draws on a terminal."""
    show = Path(gptcli.__file__).parent / "show"
    found: set[str] = set()
    for file in show.rglob("*.py"):
        if {"html", "picture", "live"} & set(file.parts) or file.stem.endswith("page") or file.stem == "encoding":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                found |= {each for each in node.value if not each.isascii() and unicodedata.category(each)[0] in "PS"}
    return found


@pytest.mark.slow
def test_every_character_that_is_drawn_with_has_a_stand_in() -> None:
    assert {each for each in drawn_with() if len(stand_in(each)) > 1} == set()


@pytest.mark.parametrize("name", [name for name in ALL if name != "help"])
def test_no_line_of_a_pipe_ends_with_blanks(name: str) -> None:
    assert [line for line in said((PICTURES | SLOW)[name], "utf-8").splitlines() if line != line.rstrip()] == []


def columns(command: str, heading: str) -> list[int]:
    """Where each heading of a table ends."""
    line = next(line for line in said(command, "utf-8").splitlines() if heading in line)
    return [found.end() for found in re.finditer(r"\S+", line)]


@pytest.mark.slow
def test_the_columns_of_a_pipe_do_not_depend_on_their_cells() -> None:
    assert columns("logits The_king --top 3", "probability") == columns("logits Once_upon_a --top 3", "probability")
    assert columns("score The_king", "probability") == columns("score a_refrigerator_hummed", "probability")
    first, second = (said(f"params {name}", "utf-8").splitlines() for name in ("tales", "gpt2"))
    counts = [
        [re.search(r"[\d,]{5,}(?= +\d+\.\d%)", line) for line in lines if "%" in line] for lines in (first, second)
    ]
    assert len({found.end() for lines in counts for found in lines if found}) == 1


@pytest.mark.slow
def test_arguments_are_utf_8_in_any_locale(run_gptcli: Run) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert (
        run_gptcli("tokenize", "--ids", "café 😀", env=plain).stdout
        == run_gptcli("tokenize", "--ids", "café 😀").stdout
    )
    done = run_gptcli("tokenize", "--ids", os.fsdecode(b"caf\xe9"), env=plain)
    assert (done.returncode, done.stderr) == (2, b"error: TEXT is not UTF-8\n")

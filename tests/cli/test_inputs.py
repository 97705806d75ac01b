r"""Text from arguments, pipes and files: marks, line ends, encodings, escapes, and names of files."""

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.cli.inputs import plain_chunks, plain_text, unescaped
from gptcli.errors import InputError
from gptcli.system.text_file import mark_length, read_text_file

TEXT = "Once upon a time"


def run(*arguments: str, data: bytes | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=data)


def object_of(*arguments: str, data: bytes | None = None) -> dict[str, Any]:
    done = run(*arguments, "--json", data=data)
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode() + b"\r\n",
        TEXT.encode() + b"\n",
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode() + b"\r\n",
    ],
)
def test_a_pipe_of_any_system_is_the_same_text(data: bytes) -> None:
    assert object_of("score", data=data)["tokens"] == object_of("score", TEXT)["tokens"]
    assert object_of("logits", data=data)["prompt"] == TEXT
    assert object_of("generate", "-n", "1", data=data)["prompt"] == TEXT


@pytest.mark.parametrize("text", ["", "\n", "\r", "\r\n", "a\r\nb\r\n", "\r\r\n\n", "a\rb\n\r", "a\n\n\r\n\r\n"])
def test_pieces_of_a_text_lose_what_the_text_loses(text: str) -> None:
    for size in (1, 2, 3, 99):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(plain_chunks(pieces)) == plain_text(text)
        assert "".join(plain_chunks(["", *pieces, ""])) == plain_text(text)


def test_only_one_newline_falls_away() -> None:
    assert object_of("logits", data=b"a\r\nb\r\n\r\n")["prompt"] == "a\nb\n"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-32", "UTF-32"),
        ("utf-32-le", "UTF-32LE"),
        ("utf-32-be", "UTF-32BE"),
    ],
)
@pytest.mark.parametrize("command", ["score", "logits", "generate", "tokenize", "chat", "neighbors"])
def test_another_encoding_is_refused_by_name(command: str, encoding: str, name: str) -> None:
    done = run(command, data=f"{TEXT}\n".encode(encoding))
    assert (done.exit_code, done.stdout) == (2, "")
    assert f" is {name}, not UTF-8: convert it first (iconv -f {name} -t UTF-8" in done.stderr


@pytest.mark.parametrize("text", ["Кот и пёс", "Ο γάτος", "חתול וכלב", "a", "Ab\n", "café 12\r\n", "ой\n" * 40])
@pytest.mark.parametrize("name", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
def test_encodings_without_a_mark_have_names(name: str, text: str) -> None:
    data = (text * 2).encode(name)
    for piece in (data, data[:-1], data[: data.find(b"\n") + 1 or None]):  # --lines reads up to a newline
        if len(piece) > 7:
            with pytest.raises(InputError, match=f"it is {name}, not UTF-8"):
                mark_length(piece, "it")
    assert mark_length((text * 2).encode(), "it") == 0


@pytest.mark.parametrize(
    "data", [b"", b"a\0", b"\0\0\0\0\0\0", "é\0à\0".encode(), b"a\0b c d e f", b"\xff\xff", b"\x1b[1mbold\x1b[0m"]
)
def test_nuls_alone_do_not_make_it_utf_16(data: bytes) -> None:
    assert mark_length(data, "it") == 0


def test_a_mark_is_no_text_in_words_ids_and_files(tmp_path: Path) -> None:
    assert "queen" in run("neighbors", data=codecs.BOM_UTF8 + b"king").stdout
    assert run("tokenize", "--decode", data=codecs.BOM_UTF8 + b"7454 2402").stdout == "Once upon"
    assert object_of("tokenize", data=codecs.BOM_UTF8 + b"a")["counts"]["n_tokens"] == 1
    pairs = tmp_path / "pairs.tsv"
    pairs.write_bytes(codecs.BOM_UTF8 + b"king\tqueen\t9\nman\twoman\t8\ncat\ttower\t1\n")
    assert object_of("similarity", "--evaluate", str(pairs))["pairs"] == 3
    file = tmp_path / "mark.txt"
    file.write_bytes(codecs.BOM_UTF8 + "é\ufeff".encode())  # inside a text it is a character
    assert read_text_file(file) == "é\ufeff"
    file.write_bytes(codecs.BOM_UTF8 + b"a\xff")
    with pytest.raises(InputError, match="byte 0xff at offset 4"):
        read_text_file(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "meant"),
    [(r"a\nb", "a\nb"), (r"a\tb", "a\tb"), (r"a\\nb", r"a\nb"), (r"\d\x41\\", "\\d\\x41\\"), ("a\\", "a\\")],
)
def test_escapes_are_read_in_arguments(typed: str, meant: str) -> None:
    assert unescaped(typed) == meant
    assert object_of("logits", typed)["prompt"] == meant
    assert object_of("logits", typed, "--raw")["prompt"] == typed
    assert object_of("logits", data=typed.encode())["prompt"] == typed
    assert run("tokenize", "--ids", typed).stdout == run("tokenize", "--ids", "--raw", meant).stdout


@pytest.mark.slow
def test_a_stop_may_be_a_newline(tales: Any) -> None:
    settings = ["Once upon a time", "-t", "0", "-n", "90", "--json"]
    paragraphs = json.loads(run("generate", *settings).stdout)["completion"]
    assert "\n" in paragraphs
    stopped = json.loads(run("generate", *settings, "--stop", r"\n").stdout)
    assert (stopped["completion"], stopped["finish_reason"]) == (paragraphs.partition("\n")[0], "stop")
    assert json.loads(run("generate", *settings, "--stop", r"\n", "--raw").stdout)["completion"] == paragraphs


@pytest.mark.slow
@pytest.mark.parametrize("command", ["score", "logits", "tokenize", "attention", "lens", "trace"])
def test_a_file_name_as_the_text_is_told(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("The king")
    Path("folder").mkdir()
    done = run(command, "a.txt")
    assert done.exit_code == 0
    assert done.stderr.startswith("'a.txt' is a file here: ")
    assert ("-f a.txt reads it" in done.stderr) == (command in {"score", "logits", "tokenize"})
    assert "is a file" not in run("tokenize", "folder").stderr
    assert "is a file" not in run("tokenize", "a" * 5000).stderr


def test_carriage_returns_alone_are_no_lines_and_that_is_told() -> None:
    done = run("tokenize", "--lines", "--count", data=b"one\rtwo\rthree\r\nfour\rfive\n")
    assert [int(count) for count in done.stdout.split()] == [5, 3]
    assert done.stderr == "line 1 of stdin has carriage returns inside, which end no line (tr '\\r' '\\n' makes them)\n"
    assert run("tokenize", "--lines", data=b"one\r\ntwo\r\n").stderr == ""

"""stdout carries the answer: JSON that any reader takes, pictures that are saved whole or not at all."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from gptcli.errors import GptcliError, InputError
from gptcli.show.terminal import console
from gptcli.show.terminal.console import print_picture
from gptcli.system.notices import notices
from gptcli.system.whole_file import write_whole
from tests.conftest import command


@dataclass(frozen=True)
class Answer:
    name: str
    values: Any


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.slow
@given(JSON, st.sampled_from([None, 2]))
def test_printed_json_reads_back_and_is_safe_to_look_at(value: Any, indent: int | None) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        console.print_json(value, indent=indent)
    printed = out.getvalue()
    assert json.loads(printed) == value
    assert printed.endswith("\n")
    assert indent is not None or printed.count("\n") == 1
    for character in "\x1b\x7f\x85\x9b\u202e\u2066\u2028\r":
        assert character not in printed


def test_lone_surrogates_and_controls_become_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": "\udcff\x9b\u202eé"}, indent=None)
    assert capsys.readouterr().out == '{"a": "\\udcff\\u009b\\u202eé"}\n'


def test_notices_go_to_stderr_and_are_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    notices(["one \x1b[31m", "[bold]two[/bold]"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "one \\x1b[31m\n[bold]two[/bold]\n"


def test_present_prints_the_picture_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer("a", [1])
    console.present(answer, lambda: Text("picture [b]"), as_json=False, save=None)
    assert capsys.readouterr().out == "picture [b]\n"
    console.present(answer, lambda: pytest.fail("not needed"), as_json=True, save=None)
    assert json.loads(capsys.readouterr().out) == {"name": "a", "values": [1]}


@pytest.mark.parametrize("suffix", [".svg", ".html", ".txt", ".TXT"])
def test_save(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("NO_COLOR", "1")
    path = tmp_path / f"picture{suffix}"
    console.save_as(path, lambda: Text("red " * 10, style="red"))
    saved = path.read_text(encoding="utf-8")
    assert "red" in saved
    assert "url(http" not in saved  # a picture reaches for nothing
    assert not re.search("<link(?! rel=.icon. href=.data:,.>)", saved)
    if suffix.lower() == ".txt":
        assert max(map(len, saved.splitlines())) <= 33
        assert "\x1b" not in saved
    assert str(path) in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_save_knows_its_suffixes_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"\.svg"):
        console.save_picture(Text("x"), tmp_path / "picture.pdf")
    with pytest.raises(InputError, match="there is no folder"):
        console.save_picture(Text("x"), tmp_path / "missing" / "picture.txt")
    (tmp_path / "old.txt").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(GptcliError, match="No space left"):
        write_whole(tmp_path / "old.txt", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old"


@pytest.mark.slow
def test_a_long_picture_is_written_while_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    written = []

    class Lines:
        def __rich_console__(self, console: Console, options: object) -> Iterator[Text]:
            for number in range(10_000):
                written.append(out.getvalue().count("\n"))
                yield Text(f"line {number}")

    print_picture(Lines())
    assert out.getvalue().splitlines() == [f"line {number}" for number in range(10_000)]
    assert all(number - lines < 2000 for number, lines in enumerate(written))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["logits", "--top", "50257", "The king"], ["neighbors", "--top", "50000", "king"]]
)
def test_a_reader_that_leaves_ends_a_long_table(child_environment: dict[str, str], arguments: list[str]) -> None:
    with subprocess.Popen(
        command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(2000)) == 2000
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "most"), [(".svg", 2_000), (".html", 20_000), (".txt", 60_000)])
def test_a_picture_that_is_too_long_is_saved_in_part_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, most: int
) -> None:
    class Lines:
        def __rich_console__(self, console: Console, options: object) -> Iterator[Text]:
            for number in range(60_000):
                yield Text(f"line-{number}")

    file = tmp_path / f"picture{suffix}"
    console.save_as(file, Lines)
    saved = file.read_text()
    assert f"line-{most - 1}" in saved
    assert f"line-{most}" not in saved
    told = capsys.readouterr().err + saved
    assert ("lines of a longer picture" in told) == (most < 60_000)

"""--pick on a terminal: what is drawn, what keys arrive as, and a terminal that is as it was afterwards."""

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from gptcli.errors import InputError
from gptcli.show.blocks.palette import DARK
from gptcli.show.pick import picture
from gptcli.show.terminal.keyboard import check_terminal, key_names
from tests.conftest import Run, command
from tests.generation.test_picking import picker, press

PROMPT = "Once upon a time there was a"


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b[A\x1b[B\x1bOA\x1bOB", ["up", "down", "up", "down"]),
        ("12\r", ["1", "2", "enter"]),
        ("\x1b", ["escape"]),
        ("\x7f\x08\n", ["backspace", "backspace", "enter"]),
        (" é\t", [" ", "é", "\t"]),
        ("\x1b[1;5C\x1b[15~x", ["\x1b[1;5C", "\x1b[15~", "x"]),
        ("\x1b[H\x1b[4~\x04", ["home", "end", "q"]),
    ],
)
def test_keys_have_names(sent: str, keys: list[str]) -> None:
    assert key_names(sent) == keys


@given(st.text(max_size=30))
def test_nothing_that_is_sent_is_lost(sent: str) -> None:
    keys = key_names(sent)
    named = sum(len(key) for key in keys if key in ("up", "down", "home", "end", "enter", "backspace", "escape", "q"))
    assert sum(map(len, keys)) - named <= len(sent)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(20, 220), st.integers(5, 50), st.sampled_from(["", " " * 9, "t abc", "r12", "end", "u"]))
def test_the_picture_fits_the_terminal_and_shows_what_is_selected(width: int, height: int, keys: str) -> None:
    made = press(picker(), *([keys] if keys == "end" else keys))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor")
    console.print(picture(made))
    assert isinstance(console.file, io.StringIO)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue()).removesuffix("\n").split("\n")
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    if height >= 20 and width >= 60:
        assert sum("▶" in line for line in lines) == 1
        assert re.search(rf"▶ +{made.offer.distribution.candidates[made.selected].rank}\b", "\n".join(lines))


def shown(width: int, height: int, *keys: str) -> str:
    """The picture on a terminal of this size, after some keys."""
    out = io.StringIO()
    made = press(picker(), *keys)
    Console(file=out, width=width, height=height, force_terminal=True, color_system="truecolor").print(picture(made))
    return out.getvalue()


def test_a_low_terminal_shows_candidates_and_the_keys() -> None:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown(60, 12)).splitlines()
    assert len(lines) < 12
    assert sum("%" in line for line in lines) >= 5
    assert lines[-1].rstrip() == "↑↓ Enter take · Space draw · t type · r run · u undo · q"
    assert not any("text (a space" in line for line in lines)
    assert any("text (a space in front" in line for line in shown(60, 12, "t").splitlines())


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 24), (130, 30)])
def test_the_selected_row_keeps_its_bar(width: int, height: int) -> None:
    red, green, blue = (int(DARK.bar[i : i + 2], 16) for i in (1, 3, 5))
    for down in range(3):
        (row,) = (line for line in shown(width, height, *["down"] * down).splitlines() if "▶" in line)
        assert re.search(rf"38;2;{red};{green};{blue};[0-9;]*m[█▏▎▍▌▋▊▉]", row)  # a bar's colour in front, not behind
        assert "\x1b[7" not in row
        assert ";7" not in row.partition("m")[0]


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_move_the_cursor_is_refused(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(isatty=lambda: True)
    for name in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{name}", terminal)
    monkeypatch.setenv("TERM", term)
    with pytest.raises(InputError, match=f"--pick needs a terminal that can move the cursor.*{term or 'not set'}"):
        check_terminal()
    monkeypatch.setenv("TERM", "xterm")
    check_terminal()


class Terminal:
    """A gptcli on a terminal of its own."""

    def __init__(self, ours: int, process: "subprocess.Popen[Any]") -> None:
        self.ours, self.process, self.seen = ours, process, ""

    def wait_for(self, text: str) -> None:
        """Read on until the terminal was sent a text, and forget what came before its end."""
        until = time.monotonic() + 90
        while text not in self.seen:
            assert time.monotonic() < until, self.seen
            self._read(1.0)
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def send(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int | None:
        until = time.monotonic() + 90
        while self.process.poll() is None:
            assert time.monotonic() < until, self.seen
            self._read(0.2)
        self._read(0.1)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        if select.select([self.ours], [], [], seconds)[0]:
            try:
                self.seen += re.sub(r"\x1b\[[0-9;]*[mK]", "", os.read(self.ours, 65536).decode(errors="replace"))
            except OSError:  # Linux says so when the other end is closed
                time.sleep(0.05)


@contextmanager
def on_terminal(
    environment: dict[str, str], *arguments: str, name: str = "generate", **options: Any
) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process: subprocess.Popen[Any] = subprocess.Popen(
        command([name, *arguments]),
        env=environment | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "30"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # so that Ctrl-C and Ctrl-D mean something
        **({"stdin": theirs, "stdout": theirs, "stderr": theirs} | options),
    )
    try:
        yield Terminal(ours, process)
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)


@pytest.mark.slow
def test_a_session_and_its_repetition(child_environment: dict[str, str], run_gptcli: Run, tmp_path: Path) -> None:
    record = tmp_path / "mine.json"
    arguments = (PROMPT, "--pick", "--json", "--seed", "1")
    with record.open("wb") as out, on_terminal(child_environment, *arguments, stdout=out) as terminal:
        terminal.wait_for("q quit")
        terminal.send("\x1b[B\x1b[B\r")  # the third
        terminal.wait_for("there was a boy")
        terminal.send("t who drank")
        terminal.wait_for("who·drank")
        terminal.send("\r")
        terminal.wait_for("boy who drank")
        terminal.send("r7\r u")  # run 7, draw one, take one back
        terminal.send("q")
        assert terminal.end() == 0
    value = json.loads(record.read_text())
    assert value["origins"] == ["picked", "typed", "typed", *["drawn"] * 7]
    assert value["completion"].startswith(" boy who drank")
    assert (value["finish_reason"], value["seed"]) == ("quit", 1)
    again = run_gptcli("generate", "--replay", str(record), "--json")
    assert (again.returncode, again.stderr) == (0, b"")
    assert [step["chosen"]["id"] for step in value["steps"]] == value["ids"]
    assert again.stdout == record.read_bytes()  # to the last digit, whatever was taken back
    assert run_gptcli("generate", "--replay", str(record)).stdout.decode() == PROMPT + value["completion"] + "\n"
    other = run_gptcli("generate", "--replay", str(record), "--dtype", "bfloat16", "-m", "no-such-model")
    assert (other.returncode, other.stderr.count(b"\n")) == (2, 1)


@pytest.mark.slow
def test_ctrl_c_keeps_the_text_and_sigterm_leaves_the_terminal_as_it_was(child_environment: dict[str, str]) -> None:
    with on_terminal(child_environment, PROMPT, "--pick") as terminal:
        terminal.wait_for("q quit")
        terminal.send("\r")
        terminal.wait_for("there was a little")
        terminal.wait_for("q quit")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert terminal.seen.rstrip().endswith("100%")
        assert f"{PROMPT} little" in terminal.seen
        assert terminal.seen.count("\x1b[?25h") >= 1
    with on_terminal(child_environment, PROMPT, "--pick") as terminal:
        terminal.wait_for("q quit")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 128 + signal.SIGTERM
        assert "\x1b[?25h" in terminal.seen


@pytest.mark.slow
def test_without_a_terminal_it_is_one_clear_line(run_gptcli: Run) -> None:
    done = run_gptcli("generate", "--pick", "A")
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(rb"error: --pick needs a terminal to read keys from.*\n", done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pick", "--explain"), "--pick and --explain"),
        (("--pick", "-N", "2"), "--num-samples"),
        (("--pick", "--stop", "."), "--stop"),
        (("--pick", "--jsonl"), "--jsonl"),
        (("--replay", "x.json", "--pick"), "--replay and --pick"),
        (("--replay", "/nowhere/x.json"), "/nowhere/x.json"),
        (("--save", "x.svg"), "--save goes with"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], said: str, run_gptcli: Run) -> None:
    done = run_gptcli("generate", *arguments, *(() if "--replay" in arguments else ("A",)))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert said in done.stderr.decode()

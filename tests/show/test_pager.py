"""Pictures that are taller than the terminal go through a pager, as in git; everything else does not."""

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gptcli.show.terminal import pager as pagers
from tests.conftest import command

# A pager that says that it was here and with which arguments, then copies; it shows what a real one would get.
MARK = "<paged>"
TALL, LOW = ["glossary"], ["softmax", "3", "1"]
COLUMNS, LINES = 70, 24

Show = Callable[..., "Shown"]


class Shown:
    """A command on a terminal of 70 by 24."""

    def __init__(self, words: Sequence[str], environment: dict[str, str], stdin: int | None = None) -> None:
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command(words),
            env={name: value for name, value in environment.items() if name not in ("LINES", "COLUMNS", "LESS")},
            stdin=theirs if stdin is None else stdin,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),  # Ctrl-C is a key of it
        )
        os.close(theirs)
        self.text = ""

    def wait_for(self, text: str) -> None:
        """Read until this is shown."""
        limit = time.monotonic() + 60
        while text not in self.text:
            assert select.select([self._end], [], [], max(limit - time.monotonic(), 0))[0], self.text
            self.text += os.read(self._end, 65536).decode()

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def code(self) -> int:
        """Read to the end; the exit code."""
        try:
            while part := os.read(self._end, 65536):
                self.text += part.decode()
        except OSError:  # Linux' way to say that the other end is closed
            pass
        return self.process.wait(timeout=60)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)


@pytest.fixture
def show(child_environment: dict[str, str], tmp_path: Path) -> Iterator[Show]:
    """Start a command on a terminal, with a pager that copies and says so."""
    copy = tmp_path / "copy"
    copy.write_text(f'#!/bin/sh\necho "{MARK} $*"\nexec cat\n')
    copy.chmod(0o755)
    started: list[Shown] = []

    def run(words: Sequence[str], stdin: int | None = None, **environment: str) -> Shown:
        usual = {"TERM": "xterm-256color", "PAGER": str(copy)}
        started.append(Shown(words, child_environment | usual | environment, stdin))
        return started[-1]

    yield run
    for each in started:
        each.close()


def test_a_tall_picture_is_paged_and_has_its_colours_and_width(show: Show) -> None:
    paged, plain = show(TALL), show([*TALL, "--no-pager"])
    assert (paged.code(), plain.code()) == (0, 0)
    assert paged.text.startswith(MARK)
    assert MARK not in plain.text
    assert "\x1b[1m" in plain.text
    assert paged.text.split("\r\n", 1)[1] == plain.text


@pytest.mark.slow
def test_what_fits_and_what_is_data_is_not_paged(show: Show) -> None:
    for words in (LOW, [*TALL, "--json"], [*TALL, "--csv"], ["schema", "glossary"]):
        shown = show(words)
        assert shown.code() == 0
        assert MARK not in shown.text, words


@pytest.mark.slow
def test_nothing_is_paged_for_nobody_and_on_a_dumb_terminal(show: Show) -> None:
    with Path(os.devnull).open() as nothing:
        from_a_pipe, dumb = show(TALL, stdin=nothing.fileno()), show(TALL, TERM="dumb")
        assert (from_a_pipe.code(), dumb.code()) == (0, 0)
    assert MARK not in from_a_pipe.text + dumb.text


@pytest.mark.slow
def test_who_writes_piece_by_piece_never_pages(show: Show) -> None:
    shown = show(["generate", "Once", "-N", "16", "-n", "2"])
    assert shown.code() == 0
    assert shown.text.count("\r\n") > LINES
    assert MARK not in shown.text


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["false", "no-such-pager -x", "sh -c 'exit 3'", "'"])
def test_a_pager_that_fails_or_is_missing_leaves_the_picture(show: Show, broken: str) -> None:
    shown = show(TALL, GPTCLI_PAGER=broken)
    assert shown.code() == 0
    assert shown.text.count("perplexity") >= 1
    assert "Traceback" not in shown.text
    assert shown.text.count("  activation") <= 1  # once, not again after a part of it


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
def test_less_takes_q_and_ctrl_c(show: Show) -> None:
    paged = show(TALL, PAGER="less")
    paged.wait_for("\x1b[K")  # its prompt
    paged.type("\x03")  # Ctrl-C is less's own: it stays
    time.sleep(0.2)
    assert paged.process.poll() is None
    limit = time.monotonic() + 60
    while paged.process.poll() is None and time.monotonic() < limit:  # a key that less was not ready for is lost
        paged.type("q")
        time.sleep(0.2)
    assert paged.code() == 0
    assert "Traceback" not in paged.text


@pytest.mark.slow
def test_a_pager_that_ctrl_c_ends_ends_the_command_as_interrupted(show: Show, tmp_path: Path) -> None:
    script = tmp_path / "wait"
    script.write_text(f'#!/bin/sh\necho "{MARK}"\nexec sleep 60\n')
    script.chmod(0o755)
    shown = show(TALL, GPTCLI_PAGER=str(script))
    shown.wait_for(MARK)
    shown.type("\x03")
    assert shown.code() == 130
    assert "Traceback" not in shown.text


def on_terminals(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    monkeypatch.setattr(pagers, "_both_terminals", lambda: True)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("chosen", "variable", "words"),
    [
        (None, "cat", None),
        (None, "", None),
        ("", "less", None),
        ("cat", "less", None),
        (None, sys.executable, [sys.executable]),
        (f"{sys.executable} -c 'a b'", "cat", [sys.executable, "-c", "a b"]),
        ("no-such-pager", "cat", None),
    ],
)
def test_the_command_line_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, variable: str, words: list[str] | None
) -> None:
    on_terminals(monkeypatch, PAGER=variable)
    with pagers.choose_pager(chosen):
        assert pagers.pager_command() == words


def test_a_bare_less_keeps_colours_and_one_with_options_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    less = tmp_path / "less"
    less.write_text("#!/bin/sh\n")
    less.chmod(0o755)
    on_terminals(monkeypatch, PAGER=str(less))
    assert pagers.pager_command() == [str(less), "-FRX"]
    monkeypatch.setenv("PAGER", f"{less} -S")
    assert pagers.pager_command() == [str(less), "-S"]


@pytest.mark.slow
def test_settings_name_a_pager_and_what_is_typed_goes_first(show: Show, tmp_path: Path) -> None:
    config = tmp_path / "gptcli"
    config.mkdir()
    (config / "config.toml").write_text("no-pager = true\n")
    quiet = show(TALL, XDG_CONFIG_HOME=str(tmp_path))
    typed = show([*TALL, "--pager", f"sh -c 'echo \"{MARK}\"; cat'"], XDG_CONFIG_HOME=str(tmp_path))
    assert (quiet.code(), typed.code()) == (0, 0)
    assert MARK not in quiet.text
    assert MARK in typed.text
    (config / "config.toml").write_text(f"""pager = 'sh -c "echo \\"{MARK}\\"; cat"'\n""")
    named, refused = (show([*TALL, *more], XDG_CONFIG_HOME=str(tmp_path)) for more in ([], ["--no-pager"]))
    assert (named.code(), refused.code()) == (0, 0)
    assert MARK in named.text
    assert MARK not in refused.text

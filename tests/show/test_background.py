"""Asking a terminal for its background: one that answers, one that does not, one that talks nonsense, and a typist."""

import os
import pty
import re
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gptcli.show.blocks.palette import DARK, LIGHT
from gptcli.show.terminal import background

BEFORE_DA1 = b"\x1b]11;?\x1b\\"
WHITE, NAVY = b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", b"\x1b]11;rgb:00/2b/36\x07"
DA1 = b"\x1b[?62;22c"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal: what plays the terminal, and what the program has."""
    outer, inner = pty.openpty()
    yield outer, inner
    os.close(outer)
    os.close(inner)
    background.typed_before.clear()


def answering(outer: int, *answers: bytes, between: float = 0.0) -> threading.Thread:
    """A terminal that gives these answers once it was asked."""

    def run() -> None:
        if select.select([outer], [], [], 2)[0]:
            assert os.read(outer, 100) == BEFORE_DA1 + b"\x1b[c"
            for answer in answers:
                os.write(outer, answer)
                time.sleep(between)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ((WHITE, DA1), "#ffffff"),
        ((NAVY, DA1), "#002b36"),
        ((b"\x1b]11;rgba:1e1e/1e1e/1e1e/ffff\x1b\\" + DA1,), "#1e1e1e"),
        ((DA1,), None),  # it does not know the question, and is not waited for
        ((b"\x1b]11;rgb:zz/1/2\x07", DA1), None),
        ((b"\x1b]11;pink\x1b\\", DA1), None),
        ((b"\x1bP1+r\x1b\\\x1b]4;1;rgb:1/2/3\x07", DA1), None),
    ],
)
def test_answers(terminal: tuple[int, int], answers: tuple[bytes, ...], found: str | None) -> None:
    outer, inner = terminal
    before = termios.tcgetattr(inner)
    thread = answering(outer, *answers)
    start = time.monotonic()
    assert background.ask(inner, 5) == found
    thread.join()
    assert time.monotonic() - start < 4
    assert termios.tcgetattr(inner) == before
    assert not select.select([inner], [], [], 0)[0]
    assert background.typed_before == []  # nonsense of a terminal is not taken for typing


def test_no_answer_is_waited_for_only_so_long(terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    start = time.monotonic()
    assert background.ask(terminal[1], 0.05) is None
    assert 0.05 <= time.monotonic() - start < 2
    assert termios.tcgetattr(terminal[1]) == before


def test_half_an_answer_is_none_and_is_not_given_to_the_shell(terminal: tuple[int, int]) -> None:
    thread = answering(terminal[0], b"\x1b]11;rgb:ffff/ff")
    assert background.ask(terminal[1], 0.1) is None
    thread.join()
    assert background.typed_before == []


def test_who_types_ahead_is_not_asked_over(terminal: tuple[int, int]) -> None:
    outer, inner = terminal
    os.write(outer, b"ls")  # not even a whole line
    assert select.select([outer], [], [], 60)[0]  # the terminal has taken it
    assert os.read(outer, 100) == b"ls"  # its own echo
    assert background.ask(inner, 5) is None
    assert not select.select([outer], [], [], 0.1)[0]  # no question
    os.write(outer, b" -l\n")
    assert read_all(inner) == b"ls -l\n"


def test_what_is_typed_while_the_terminal_answers_is_kept(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fcntl.ioctl", forbidden)  # as kernels do that forbid TIOCSTI
    thread = answering(terminal[0], b"x", WHITE, b"\xc3\xa9\x1b[A", DA1, b"after\n")
    assert background.ask(terminal[1], 5) == "#ffffff"
    thread.join()
    assert background.typed_before == ["xé\x1b[A"]
    assert read_all(terminal[1]) == b"after\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGTSTP, signal.SIGINT])
def test_signals_come_when_the_terminal_is_as_it_was(terminal: tuple[int, int], number: signal.Signals) -> None:
    outer, inner = terminal
    before, seen = termios.tcgetattr(inner), []
    usual = signal.signal(number, lambda *_: seen.append(termios.tcgetattr(inner)))
    try:
        thread = answering(outer, b"", DA1, between=0.05)
        timer = threading.Timer(0.02, os.kill, (os.getpid(), number))
        timer.start()
        assert background.ask(inner, 5) is None
        thread.join()
        timer.join()
        assert seen == [before]
    finally:
        signal.signal(number, usual)


def read_all(descriptor: int) -> bytes:
    """What lies in the queue, as one who reads it next gets it."""
    found = b""
    while select.select([descriptor], [], [], 0.2)[0]:
        found += os.read(descriptor, 100)
        if found.endswith(b"\n"):
            break
    return found


@pytest.mark.parametrize(
    ("answer", "colour"),
    [
        ("rgb:ffff/0000/8080", "#ff0080"),
        ("rgb:f/0/8", "#ff0088"),
        ("rgb:fff/000/7ff", "#ff007f"),
        ("rgb:ff/00/80", "#ff0080"),
        ("rgb:fffff/0/0", None),
        ("#ffffff", None),
        ("", None),
    ],
)
def test_colours_of_one_to_four_digits(answer: str, colour: str | None) -> None:
    assert background.colour_of(answer) == colour


@pytest.mark.parametrize(
    ("value", "theme"),
    [
        ("15;0", DARK),
        ("0;15", LIGHT),
        ("0;default;15", LIGHT),
        ("12;8", DARK),
        ("0;7", LIGHT),
        ("0;default", DARK),
        ("15", DARK),
        ("0;99", DARK),
        ("", DARK),
        ("0;²", DARK),
    ],
)
def test_colorfgbg_where_no_terminal_answers(value: str, theme: object) -> None:
    assert background.theme_of_terminal({"TERM": "xterm", "COLORFGBG": value, "CI": "1"}) is theme


@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb"}, {"TERM": "linux"}, {}, {"TERM": "xterm", "CI": "true"}], ids=str
)
def test_some_are_never_asked(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        pytest.fail("asked")

    monkeypatch.setattr(background, "ask", fail)
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setattr(sys, "stdin", Screen())
    assert background.theme_of_terminal(environment) is DARK


class Screen:
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0


CHILD = """
import sys
from gptcli.show.terminal.background import theme_of_terminal
print("theme", theme_of_terminal({"TERM": "xterm-256color"}).name, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("{python} -c '{code}'", True),
        ("{python} -c '{code}' < /dev/null", True),
        (": | {{ sleep 0.2; {python} -c '{code}'; }}", True),  # the writer is gone
        ("sleep 5 | {python} -c '{code}'", False),  # the writer might read what is typed
        ("{python} -c '{code}' | cat", False),
        ("{python} -c '{code}' > {file}", True),  # what is drawn is drawn on stderr
        ("{python} -c '{code}' 2>&1 | cat", False),
    ],
)
@pytest.mark.slow
def test_a_real_terminal_is_asked_and_no_pipe_is(shell: str, asked: bool, tmp_path: Path) -> None:
    line = shell.format(python=sys.executable, code=CHILD.replace("'", '"'), file=tmp_path / "out")
    output = played(["/bin/sh", "-c", line], lambda seen: WHITE + DA1 if BEFORE_DA1 in seen else b"")
    assert (BEFORE_DA1 in output) == asked
    assert (b"theme light" if asked else b"theme dark") in output


def played(command: list[str], answer: Callable[[bytes], bytes]) -> bytes:
    """What a program in a pseudo-terminal of its own writes, where the terminal answers once."""
    child, outer = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    output, answered, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end and not re.search(rb"theme (dark|light)", output):
        if select.select([outer], [], [], 0.2)[0]:
            try:
                output += os.read(outer, 1000)
            except OSError:
                break
            if not answered and (said := answer(output)):
                os.write(outer, said)
                answered = True
    os.close(outer)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return output

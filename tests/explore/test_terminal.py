"""The program on a pseudo-terminal: however it ends, the terminal is left as it was."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest

pytestmark = pytest.mark.slow
WAIT_S = 60
# Fails at a key, as a bug of ours would.
BROKEN = (
    "import sys; sys.argv[0] = 'gptcli'; from gptcli.explore.screen import Explorer\n"
    "Explorer.do_layers = lambda self, steps: 1 // 0\n"
    "from gptcli.cli.app import main; main()"
)


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, words: list[str], environment: dict[str, str], stdin: Any = None) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(self.theirs)
        name = os.ttyname(self.theirs)

        def own_terminal() -> None:
            os.setsid()
            descriptor = os.open(name, os.O_RDWR)  # the first one that a new session opens is its own
            os.close(descriptor)

        self.process = subprocess.Popen(
            [sys.executable, *words],
            env=environment | {"TERM": "xterm-256color", "PYTHONWARNINGS": "ignore"},
            stdin=stdin or self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            preexec_fn=own_terminal,
        )
        self.said = b""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, there: Callable[[bytes], Any]) -> None:
        end = time.monotonic() + WAIT_S
        while not there(self.said):
            assert time.monotonic() < end, self.said[-2000:]
            if select.select([self.ours], [], [], 0.05)[0]:
                self.said += os.read(self.ours, 65536)

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        self.read_until(lambda said: self.process.poll() is not None)
        while select.select([self.ours], [], [], 0.1)[0]:
            self.said += os.read(self.ours, 65536)
        return int(self.process.returncode)

    @property
    def screen(self) -> Any:
        made = pyte.Screen(80, 24)
        pyte.ByteStream(made).feed(self.said)
        return made


@pytest.fixture
def start(child_environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def run(*words: str, **options: Any) -> Terminal:
        made.append(Terminal(list(words), child_environment, **options))
        return made[-1]

    yield run
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        os.close(each.ours)
        os.close(each.theirs)


def left_as_it_was(terminal: Terminal) -> None:
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    for switched_on, switched_off in ((b"?1049h", b"?1049l"), (b"?1000h", b"?1000l"), (b"?2004h", b"?2004l")):
        assert terminal.said.rfind(switched_off) > terminal.said.rfind(switched_on) >= 0
    assert terminal.said.rfind(b"?25h") > terminal.said.rfind(b"?25l")


EXPLORE = ("-m", "gptcli", "explore", "The king and the")


def test_keys_resizes_and_q(start: Any) -> None:
    terminal = start(*EXPLORE)
    terminal.read_until(lambda said: b"512 tokens" in said and b"layer" in said)
    for columns, lines in ((0, 0), (1, 1), (80, 24)):
        terminal.resize(columns, lines)
        os.killpg(terminal.process.pid, signal.SIGWINCH)
        time.sleep(0.05)
    terminal.press("\t")
    terminal.read_until(lambda said: b"5 of" in said)
    terminal.press("q")
    assert terminal.end() == 0
    left_as_it_was(terminal)


def test_ctrl_c(start: Any) -> None:
    terminal = start(*EXPLORE)
    terminal.read_until(lambda said: b"512 tokens" in said)
    terminal.press("\x03")
    assert terminal.end() == 130
    left_as_it_was(terminal)


def test_a_signal(start: Any) -> None:
    terminal = start(*EXPLORE)
    terminal.read_until(lambda said: b"512 tokens" in said)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 143
    left_as_it_was(terminal)


def test_an_exception_is_one_line(start: Any) -> None:
    terminal = start("-c", BROKEN, *EXPLORE[2:])
    terminal.read_until(lambda said: b"512 tokens" in said)
    terminal.press("\x1b[A")
    assert terminal.end() == 1
    left_as_it_was(terminal)
    after = re.sub(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]", b"", terminal.said[terminal.said.rfind(b"?1049l") :]).decode()
    assert "error: explore ended by a mistake of its own: ZeroDivisionError" in after
    assert "Traceback" not in after


def test_the_text_comes_through_a_pipe_and_keys_from_the_terminal(start: Any, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Once upon a time\x1b[2J\n")
    with (tmp_path / "text").open("rb") as text:
        terminal = start("-m", "gptcli", "explore", stdin=text)
    terminal.read_until(lambda said: b"512 tokens" in said and b"layer" in said)
    terminal.press("q")
    assert terminal.end() == 0
    assert b"\x1b[2J\n" not in terminal.said
    assert rb"\x1b[2J" in re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.said)


@pytest.mark.parametrize(("term", "says"), [("dumb", "TERM is dumb"), ("", "TERM is not set")])
def test_a_terminal_that_cannot_is_refused(start: Any, term: str, says: str) -> None:
    script = f"import os; os.environ['TERM'] = {term!r}\nfrom gptcli.cli.app import main\nmain()"
    terminal = start("-c", script, "explore")
    assert terminal.end() == 2
    assert says in terminal.said.decode()
    assert terminal.said.count(b"\n") == 1

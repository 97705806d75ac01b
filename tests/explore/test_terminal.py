"""The program on a pseudo-terminal: however it ends, the terminal is left as it was."""

import os
import re
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.explore.terminal import Terminal

pytestmark = pytest.mark.slow
# Fails at a key, as a bug of ours would.
BROKEN = (
    "import sys; sys.argv[0] = 'gptcli'; from gptcli.explore.screen import Explorer\n"
    "Explorer.do_layers = lambda self, steps: 1 // 0\n"
    "from gptcli.cli.app import main; main()"
)


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

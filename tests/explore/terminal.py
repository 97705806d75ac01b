"""A process on a pseudo-terminal of its own, as a person would drive it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import pyte

WAIT_S = 60


class Terminal:
    """A process on a terminal of its own."""

    def __init__(
        self, words: list[str], environment: dict[str, str], stdin: Any = None, size: tuple[int, int] = (80, 24)
    ) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(*size)
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

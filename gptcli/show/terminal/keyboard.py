"""Single keys by name, and a terminal that is always restored."""

import codecs
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from gptcli.errors import InputError
from gptcli.show.terminal.background import typed_before

_NAMES = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "escape",
    "\x04": "q",  # Ctrl-D quits, as elsewhere
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    **{f"\x1b{lead}{letter}": name for lead in "[O" for letter, name in (("A", "up"), ("B", "down"))},
}
_WINDOWS = {
    **{"\xe0H": "up", "\xe0P": "down", "\xe0G": "home", "\xe0O": "end"},
    **{"\xe0K": "\x1b[D", "\xe0M": "\x1b[C"},  # left and right, which have no name elsewhere
}
_KEY = re.compile("\x1b\\[[0-9;?]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)
# A lone Escape differs from the start of an arrow key in that no more characters follow at once.
_ESCAPE_S = 0.05


def check_terminal() -> None:
    """Check that there is a terminal for keys.

    Raises:
        InputError: there is no terminal to read keys from, or none to draw on, or it cannot move the cursor.
    """
    for stream, what in ((sys.stdin, "read keys from: stdin is not one"), (sys.stderr, "draw on: stderr is not one")):
        if stream is None or not stream.isatty():
            raise InputError(f"--pick needs a terminal to {what} (--explain needs none)")
    if not moves_cursor():
        term = os.environ.get("TERM", "")
        raise InputError(f"--pick needs a terminal that can move the cursor, and TERM is {term or 'not set'}")


def moves_cursor() -> bool:
    """Whether the terminal can draw over what it has shown, by ``TERM``."""
    return sys.platform == "win32" or os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def key_names(pressed: str) -> list[str]:
    """The keys in what a terminal sent: characters as they are, others by name if they have one."""
    if sys.platform == "win32" and pressed[:1] in ("\x00", "\xe0") and len(pressed) == 2:
        return [_WINDOWS.get("\xe0" + pressed[1], pressed)]
    return [_NAMES.get(key, key) for key in _KEY.findall(pressed)]


@contextmanager
def keyboard() -> Iterator[Callable[[float], list[str]]]:
    """Take keys one by one, without Enter and without showing them.

    The terminal stays in this mode inside the ``with``, so that nothing typed ahead is lost or shown; Ctrl-C works as
    always. Afterwards the terminal is restored, also on SIGTERM.

    Yields:
        A function of seconds that waits at most so long for keys and returns their names, or none; Ctrl-D and the end
        of the input are "q". (On Windows it waits for a key.)
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield lambda seconds: key_names(typer.getchar())
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    with _ending_in_order():
        try:
            tty.setcbreak(descriptor, termios.TCSADRAIN)
            state: list[Any] = termios.tcgetattr(descriptor)
            for stopping in (termios.VSUSP, termios.VQUIT):  # these signals would leave the terminal in this mode
                state[6][stopping] = b"\0"
            termios.tcsetattr(descriptor, termios.TCSADRAIN, state)
            yield _reader(descriptor)
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def typed_ahead() -> Iterator[None]:
    """During output, keep typed input unseen for the next line that is read, also a Ctrl-D.

    Ctrl-C works as always. Without a terminal, or on Windows, this does nothing.
    """
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    with _ending_in_order():
        try:
            state: list[Any] = termios.tcgetattr(descriptor)
            state[3] &= ~termios.ECHO
            state[6][termios.VEOF] = bytes(
                [os.fpathconf(descriptor, "PC_VDISABLE")]
            )  # the end of a line that nobody reads
            termios.tcsetattr(descriptor, termios.TCSADRAIN, state)
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _reader(descriptor: int) -> Callable[[float], list[str]]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def waits(seconds: float) -> bool:
        return bool(select.select([descriptor], [], [], seconds)[0])

    def read(seconds: float) -> list[str]:
        if typed_before:
            return key_names(typed_before.pop(0))
        if not waits(seconds):
            return []
        data = os.read(descriptor, 1024)
        if data.endswith(b"\x1b") and waits(_ESCAPE_S):
            data += os.read(descriptor, 1024)
        return key_names(decoder.decode(data)) if data else ["q"]

    return read


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """On SIGTERM run every ``finally``, and exit with the usual code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Whether a terminal is dark or light: it is asked, and answers at once.

The question is xterm's OSC 11 ("which colour is the background?"), which most terminals know. After it comes a question
that every terminal answers (DA1, "what are you?"): when that answer is there, no other will come, and nobody waits.
"""

import os
import re
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from gptcli.show.blocks.palette import DARK, LIGHT, Theme, contrast

_QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
# The answers: a colour up to BEL or ST, and what the terminal is.
_COLOUR = re.compile(rb"\x1b\]11;([^\x07\x1b]*)(?:\x07|\x1b\\)")
_IDENTITY = re.compile(rb"\x1b\[\?[0-9;]*c")
# What only a terminal sends: reports and control strings, also one that is not complete. No key makes them.
_REPORT = re.compile(rb"\x1b\[[?>=][0-9;:]*[A-Za-z~]?|\x1b[\]P_^][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CHANNELS = re.compile(r"rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})(?:/[0-9a-fA-F]{1,4})?")
# Only a terminal that answers nothing is waited for so long.
PATIENCE_S = 0.4
# These print the question, or know no colours that would differ.
_MUTE = ("", "dumb", "unknown", "linux", "emacs", "cons25")

typed_before: list[str] = []
"""What was typed while the terminal was answering, for the next reader of keys; see ``keyboard``."""


def theme_of_terminal(environment: Mapping[str, str] = os.environ) -> Theme:
    """The theme for the terminal on stdout: what it answers, else what COLORFGBG says, else dark."""
    ground = _asked(environment)
    return _of_ground(ground) if ground is not None else _by_colorfgbg(environment.get("COLORFGBG", "")) or DARK


def colour_of(answer: str) -> str | None:
    """``rgb:ffff/0/80`` as ``#ff0080``; None for anything else."""
    found = _CHANNELS.fullmatch(answer)
    if found is None:
        return None
    # One to four hexadecimal digits each: a share of the largest number of that many.
    parts = (round(int(part, 16) / (16 ** len(part) - 1) * 255) for part in found.groups())
    return "#" + "".join(f"{part:02x}" for part in parts)


def _of_ground(ground: str) -> Theme:
    return LIGHT if contrast(ground, "#000000") > contrast(ground, "#ffffff") else DARK


def _by_colorfgbg(value: str) -> Theme | None:
    """rxvt, Konsole and others say "15;0": the numbers of text and background among the 16 colours."""
    last = value.rpartition(";")[2]
    if not (value.count(";") and last.isascii() and last.isdecimal() and len(last) < 3 and int(last) < 16):
        return None
    return LIGHT if int(last) == 7 or int(last) > 8 else DARK


def _asked(environment: Mapping[str, str]) -> str | None:
    """The background that the terminal names; None where it cannot or must not be asked."""
    if environment.get("TERM", "") in _MUTE or environment.get("CI") or not _own_terminal():
        return None
    try:
        screen = _screen()
        if screen is None:
            return None
        descriptor = os.open(os.ttyname(screen), os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    try:
        # From the background, a change of the terminal's mode would stop the process.
        if os.tcgetpgrp(descriptor) != os.getpgrp():
            return None
        return ask(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def ask(descriptor: int, patience_s: float = PATIENCE_S) -> str | None:
    """Ask a terminal for its background colour.

    Args:
        descriptor: of the terminal, for reading and writing.
        patience_s: seconds to wait for an answer.

    Returns:
        ``#rrggbb``, or None: it does not say, or somebody has typed ahead, which must not get mixed with the answer.

    Raises:
        OSError: it is no terminal.
    """
    with _signals_later(), _quiet(descriptor):
        return None if _waits(descriptor, 0) else _answer(descriptor, patience_s)


def _screen() -> int | None:
    """The descriptor of the terminal that is drawn on, if there is one.

    That is stdout; where it is recorded for a terminal, the process's own; and stderr, where stdout is a file. Behind a
    pipe somebody else may read the keyboard: a pager.
    """
    if sys.stdout is None:
        return None
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # it is recorded
        if not sys.stdout.isatty() or sys.__stdout__ is None:
            return None
        descriptor = sys.__stdout__.fileno()
    if os.isatty(descriptor):
        return descriptor
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and sys.stderr is not None and sys.stderr.isatty():
        return sys.stderr.fileno()
    return None


def _own_terminal() -> bool:
    """Whether there is a terminal to draw on whose keyboard no other process of the pipeline reads."""
    if sys.platform == "win32" or sys.stdin is None:
        return False
    try:
        if _screen() is None:
            return False
        if sys.stdin.isatty():
            return True
        descriptor = sys.stdin.fileno()
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        # "cat | gptcli chat": cat reads what is typed, until it has closed the pipe.
        return any(event & select.POLLHUP for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


@contextmanager
def _signals_later() -> Iterator[None]:
    """Obey no signal until the terminal is as it was: Ctrl-Z, Ctrl-C and a polite end come afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    held = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
    before = {number: signal.signal(number, lambda got, _: noted.append(got)) for number in held}
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, signal.SIG_DFL if usual is None else usual)
        for came in noted:
            os.kill(os.getpid(), came)


@contextmanager
def _quiet(descriptor: int) -> Iterator[None]:
    """Take characters at once and unseen. What is in the queue stays there."""
    import termios

    try:
        before = termios.tcgetattr(descriptor)
        state: list[Any] = termios.tcgetattr(descriptor)
        state[3] &= ~(termios.ICANON | termios.ECHO)
        state[6][termios.VMIN], state[6][termios.VTIME] = 1, 0
        termios.tcsetattr(descriptor, termios.TCSANOW, state)
    except termios.error as error:
        raise OSError(*error.args) from error
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _answer(descriptor: int, patience_s: float) -> str | None:
    """Ask, and read up to the end of the second answer; what is no answer was typed, and is given back."""
    os.write(descriptor, _QUESTION)
    read, end = b"", time.monotonic() + patience_s
    # Character by character: what is typed after the answer stays in the queue.
    while not _IDENTITY.search(read) and _waits(descriptor, max(end - time.monotonic(), 0)):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        read += byte
    found = _COLOUR.search(read)
    _give_back(descriptor, _REPORT.sub(b"", read))
    return None if found is None else colour_of(found[1].decode("latin-1"))


def _waits(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _give_back(descriptor: int, typed: bytes) -> None:
    """Put typed characters back into the queue; where the system forbids it, keep them for our own keys."""
    import fcntl
    import termios

    for place in range(len(typed)):
        try:
            fcntl.ioctl(descriptor, termios.TIOCSTI, typed[place : place + 1])
        except (OSError, AttributeError):
            typed_before.append(typed[place:].decode("utf-8", errors="replace"))
            return

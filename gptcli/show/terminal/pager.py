"""A pager for pictures that are taller than the terminal: ``less``, or what ``GPTCLI_PAGER`` or ``PAGER`` name.

As in git, it runs where a person reads: stdout and stdin are terminals. Data (``--json``, ``--csv``) and what is
written piece by piece never go through it.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import PurePath

from gptcli.system.notices import notice
from gptcli.text import clipped

# Quit where all fits, keep colours, leave the text on the screen. These are less's, and git's choice of them.
_LESS = "FRX"
# What people write for "none".
_NONE = ("", "cat")
_NOT_ABLE = ("", "dumb", "unknown")  # terminals that cannot move the cursor
_INTERRUPTED = (-signal.SIGINT, 130)
# What the user asked for: a command, "" for none, None to go by the environment.
_chosen: ContextVar[str | None] = ContextVar("pager", default=None)


@contextmanager
def choose_pager(command: str | None) -> Iterator[None]:
    """Use this pager inside the ``with``; "" is none, and None leaves it to what was chosen before."""
    if command is None:
        yield
        return
    before = _chosen.set(command)
    try:
        yield
    finally:
        _chosen.reset(before)


def pager_command() -> list[str] | None:
    """The pager's command line; None where there is nobody to read, or no pager is wanted or installed."""
    if not _both_terminals() or (os.name != "nt" and os.environ.get("TERM", "") in _NOT_ABLE):
        return None
    asked = _chosen.get()
    text = os.environ.get("PAGER", "less") if asked is None else asked
    if text.strip() in _NONE:
        return None
    try:
        words = shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        notice(f"the pager {clipped(text)} cannot be run ({str(error).lower()})")
        return None
    if shutil.which(words[0]) is None:
        if text != "less":
            notice(f"the pager {clipped(words[0])} is not there; see --pager")
        return None
    return [*words, f"-{_LESS}"] if len(words) == 1 and PurePath(words[0]).stem == "less" else words


def _both_terminals() -> bool:
    """Whether stdout and stdin are terminals of their own, not what another command records."""
    try:
        return all(os.isatty(stream.fileno()) for stream in (sys.stdin, sys.stdout))
    except (AttributeError, OSError, ValueError):  # closed, or no file
        return False


def page_through(command: list[str], pieces: Iterable[str]) -> bool:
    """Run a pager and write to it.

    Args:
        command: from ``pager_command``.
        pieces: the text; no more of it is made once the pager is left.

    Returns:
        Whether the pager did its work. False: it did not start, or failed, and the text is still to be shown.

    Raises:
        KeyboardInterrupt: the pager ended by Ctrl-C, which is its own as long as it runs.
    """
    environment = {"LESS": _LESS, "LV": "-c", "LESSCHARSET": "utf-8", **os.environ}
    sys.stdout.flush()
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return False
    assert pager.stdin is not None
    encoding, errors = sys.stdout.encoding, getattr(sys.stdout, "errors", None) or "strict"
    with _ctrl_c_is_its_own():
        with suppress(BrokenPipeError), pager.stdin as pipe:  # broken: it was left before the end
            for piece in pieces:
                pipe.write(piece.encode(encoding, errors))
        code = pager.wait()
    if code in _INTERRUPTED:
        raise KeyboardInterrupt
    return code == 0


@contextmanager
def _ctrl_c_is_its_own() -> Iterator[None]:
    """Ignore Ctrl-C, which the terminal sends to the pager as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

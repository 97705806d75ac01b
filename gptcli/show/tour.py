"""The pictures of ``gptcli tour``: for each stop a heading, two sentences, a command, and its output."""

import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gptcli.show.blocks import palette
from gptcli.show.terminal.colours import saved_theme
from gptcli.show.terminal.console import stdout_console
from gptcli.show.terminal.keyboard import keyboard

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


_WIDEST = 96  # columns that running text fills at most
_NEXT = ("enter", " ", "n", "down", "\x1b[C")  # the last is the right arrow, for which keyboard has no name
_BACK = ("b", "p", "backspace", "up", "\x1b[D")
_LEAVE = ("q", "Q", "escape")
# Seconds to wait for a key at a time.
_WAIT_S = 3600.0


@dataclass(frozen=True)
class Stop:
    """One stop.

    Attributes:
        number: from 1.
        title: the subject.
        text: what to look for, in two sentences.
        command: as typed in a shell.
    """

    number: int
    title: str
    text: str
    command: str

    @property
    def arguments(self) -> list[str]:
        """The command's words after ``gptcli``."""
        return shlex.split(self.command)[1:]


@dataclass(frozen=True)
class Tour:
    """The tour, or one stop of it, as ``--json`` prints it.

    Attributes:
        stops: in order.
    """

    schema: ClassVar[str] = "gptcli.tour/1"

    stops: Sequence[Stop]


def draw_list(stops: "Sequence[Stop]") -> "RenderableType":
    """The stops, each with its command on a line of its own."""
    from rich.text import Text

    listed = Text()
    for stop in stops:
        listed.append(f"{stop.number:3}  {stop.title}\n", style="bold").append(f"     {stop.command}\n")
    listed.rstrip()
    return listed


def walk(stops: "Sequence[Stop]", run: "Callable[[Stop], None]", *, ask: bool, total: int) -> None:
    """Go from stop to stop.

    Args:
        stops: to show.
        run: runs the command of a stop, which prints its output.
        ask: wait for a key after each stop but the last.
        total: the number of stops of the whole tour.
    """
    index = 0
    with keyboard() if ask else nullcontext() as read:
        while index < len(stops):
            _announce(stops[index], total)
            run(stops[index])
            print(flush=True)
            step = 1
            if read is not None and index + 1 < len(stops):
                step = _asked(read, stops[index], total, first=index == 0)
            if not step:
                return
            index += step
    if len(stops) == total:
        stdout_console().print("That was the tour. Each command takes your own words, and --help.", style="dim")


def walked(stops: "Sequence[Stop]", run: "Callable[[Stop], None]", *, total: int, coloured: bool) -> "Text":
    """The whole tour as a picture: its output into a pipe, optionally in colour."""
    from rich.text import Text

    out = io.StringIO()
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"} if coloured else {}
    before = dict(os.environ)
    try:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            os.environ.pop(name, None)
        os.environ.update(colours)
        with redirect_stdout(out), palette.using(saved_theme()):
            walk(stops, run, ask=False, total=total)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Text.from_ansi(out.getvalue())


def _announce(stop: "Stop", total: int) -> None:
    from rich.rule import Rule
    from rich.text import Text

    console = stdout_console()
    width = min(console.width, _WIDEST)
    console.print(Rule(f"{stop.number}/{total}  {stop.title}", align="left", style="dim"), width=width)
    console.print(Text(stop.text + "\n"), width=width)
    console.print(Text("$ ", style="dim").append(stop.command, style="not dim bold"), soft_wrap=True)


def _asked(read: "Callable[[float], list[str]]", stop: "Stop", total: int, *, first: bool) -> int:
    """How many stops to move, by the next key; 0 to quit."""
    back = "" if first else "  b back"
    question = f"{stop.number}/{total}  Enter next{back}  q leave "
    stdout_console().print(question, style="reverse", end="")
    try:
        while True:
            for key in read(_WAIT_S):
                if key in _LEAVE:
                    return 0
                if key in _NEXT:
                    return 1
                if key in _BACK and not first:
                    return -1
    finally:
        # The question is erased, so that only the tour stays on the screen.
        sys.stdout.write(f"\r{' ' * len(question)}\r")

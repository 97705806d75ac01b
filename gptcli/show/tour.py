"""The pictures of ``gptcli tour``: for each stop a heading, two sentences, a command, and its output."""

import io
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gptcli.show.blocks import palette
from gptcli.show.pointing import pointed_at
from gptcli.show.terminal.colours import saved_theme
from gptcli.show.terminal.console import stdout_console
from gptcli.show.terminal.watching import answers_kept

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


_WIDEST = 96  # columns that running text fills at most
# Commands that write while they run, or read: their output is not recorded first.
LIVE = ("generate", "chat")


@dataclass(frozen=True)
class Stop:
    """One stop.

    Attributes:
        number: from 1.
        title: the subject.
        text: what to look for, in two sentences.
        command: as typed in a shell.
        question: for a worksheet.
        answer: what is to be learnt, next to the figures that the command shows.
        note: what the chapter's own example gives here; "" where there is none.
    """

    number: int
    title: str
    text: str
    command: str
    question: str = ""
    answer: str = ""
    note: str = ""

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
    table: ClassVar[str] = "stops"

    stops: Sequence[Stop]


def draw_list(stops: "Sequence[Stop]") -> "RenderableType":
    """The stops, each with its command on a line of its own, which a narrow terminal folds, and does not cut."""
    from rich.text import Text

    listed = Text(no_wrap=True, overflow="ignore")
    for stop in stops:
        listed.append(f"{stop.number:3}  {stop.title}\n", style="bold").append(f"     {stop.command}\n")
    listed.rstrip()
    return listed


def walk_on(stops: "Sequence[Stop]", run: "Callable[[Stop], None]", *, total: int) -> None:
    """Print one stop after another, for a pipe or a file.

    Args:
        stops: to show.
        run: runs the command of a stop, which prints its output.
        total: the number of stops of the whole tour.
    """
    for stop in stops:
        announce(stop, total)
        with answers_kept([]) as answers:
            run(stop)
        conclude(stop, answers)
        print(flush=True)
    farewell(stops, total)


def farewell(stops: "Sequence[Stop]", total: int) -> None:
    """The last line, of the whole tour."""
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
            walk_on(stops, run, total=total)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Text.from_ansi(out.getvalue())


def announce(stop: "Stop", total: int, *, where: str = "") -> None:
    """The heading of a stop, its sentences and its command.

    Args:
        stop: which.
        total: the number of all.
        where: which page of the stop this is; its text is then on the first.
    """
    from rich.rule import Rule
    from rich.text import Text

    console = stdout_console()
    width = min(console.width, _WIDEST)
    console.print(Rule(f"{stop.number}/{total}  {stop.title}{where}", align="left", style="dim"), width=width)
    if not where:
        console.print(Text(stop.text + "\n"), width=width)
        console.print(Text("$ ", style="dim").append(stop.command, style="not dim bold"), soft_wrap=True)


def conclude(stop: "Stop", answers: "Sequence[object]") -> None:
    """A sentence that points at what the command has shown, and the note of the stop."""
    from rich.text import Text

    console = stdout_console()
    width = min(console.width, _WIDEST)
    said = pointed_at(answers[-1]) if answers else pointed_at(None, stop.arguments)
    if said:
        console.print(Text(f"▸ {said}", style="bold"), width=width)
    if stop.note:
        console.print(Text(stop.note, style="dim"), width=width)

"""The screen without a terminal, once everything on it is there: for a saved picture."""

import io
from collections.abc import Callable
from pathlib import Path
from queue import Queue

from rich.console import Console

from gptcli.explore.line import Line
from gptcli.explore.saving import screen_svg
from gptcli.explore.screen import Explorer, Setup
from gptcli.show.picture.png import png
from gptcli.show.picture.title import picture_title
from gptcli.show.tour import Stop
from gptcli.system.whole_file import write_whole


class _Nobody:
    """A host without a screen: what comes from the threads waits until it is called."""

    def __init__(self) -> None:
        self.calls: Queue[Callable[[], None]] = Queue()

    def redraw(self) -> None:
        """There is nothing to draw on."""

    def redraw_soon(self) -> None:
        """There is nothing to draw on."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """There is no clock."""

    def from_thread(self, call: Callable[[], None]) -> None:
        """Keep it for the only thread that draws."""
        self.calls.put(call)

    def leave(self, code: int) -> None:
        """There is nothing to leave."""

    def show_help(self) -> None:
        """Nobody looks."""

    def show_tour(self, stop: Stop) -> None:
        """Nobody looks."""


def drawing_console(*, coloured: bool = True) -> Console:
    """The console that the pictures of ``show`` are drawn with."""
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=not coloured,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        width=200,
    )


def still(setup: Setup, width: int, height: int, *, coloured: bool = True) -> list[Line]:
    """The lines of the first screen."""
    host = _Nobody()
    explorer = Explorer(setup, host, drawing_console(coloured=coloured))
    explorer.start()
    while explorer.busy:
        host.calls.get()()
    explorer.stop()
    return explorer.draw(width, height).lines


def save_still(setup: Setup, path: Path, width: int, height: int) -> None:
    """Write the first screen as .svg, .png or .txt.

    Raises:
        GptcliError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    lines = still(setup, width, height, coloured=suffix != ".txt")
    if suffix == ".txt":
        return write_whole(path, "".join(f"{each.plain.rstrip()}\n" for each in lines))
    drawn = screen_svg(lines, picture_title())
    write_whole(path, png(drawn) if suffix == ".png" else drawn)

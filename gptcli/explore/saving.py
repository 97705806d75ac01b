"""Saves what is on the screen, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from gptcli.show.blocks import palette
from gptcli.show.picture.svg import svg
from gptcli.system.whole_file import write_whole


def save_screen(lines: Sequence[Text], title: str, console: Console, folder: Path = Path(".")) -> Path:
    """Write the screen as SVG under a name that is free; returns the file.

    Raises:
        GptcliError: it cannot be written.
    """
    path = _free(folder, "explore", ".svg")
    write_whole(path, screen_svg(lines, title, console))
    return path


def screen_svg(lines: Sequence[Text], title: str, console: Console) -> str:
    """The screen as SVG."""
    segments: list[list[Segment]] = [list(each.render(console)) for each in lines]
    return svg(segments, title, palette.current().name)


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """``explore.svg``, or the first of ``explore-2.svg``, ``explore-3.svg`` ... that does not exist."""
    number, path = 1, folder / f"{stem}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path

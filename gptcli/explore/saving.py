"""Saves what is on the screen: as a page for a browser, or as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gptcli.explore.line import Line
from gptcli.show.blocks import palette
from gptcli.show.picture.svg import svg
from gptcli.system.whole_file import write_whole

if TYPE_CHECKING:
    from gptcli.checkpoint.open import OpenCheckpoint
    from gptcli.sampling.settings import Sampling


def save_page(checkpoint: "OpenCheckpoint", text: str, sampling: "Sampling", folder: Path = Path(".")) -> Path:
    """Write the page of a text under a name that is free, with its sliders as they are here; returns the file.

    Raises:
        GptcliError: it cannot be written, or the text does not fit.
    """
    from gptcli.inspection.explored import explored
    from gptcli.show.explore_page.page import save_page as write

    path = _free(folder, "explore", ".html")
    write(explored(checkpoint, text), path, sampling=sampling)
    return path


def save_screen(lines: Sequence[Line], title: str, folder: Path = Path(".")) -> Path:
    """Write the screen as SVG under a name that is free; returns the file.

    Raises:
        GptcliError: it cannot be written.
    """
    path = _free(folder, "explore", ".svg")
    write_whole(path, screen_svg(lines, title))
    return path


def screen_svg(lines: Sequence[Line], title: str) -> str:
    """The screen as SVG."""
    return svg([list(each.segments()) for each in lines], title, palette.current().name)


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """``explore.svg``, or the first of ``explore-2.svg``, ``explore-3.svg`` ... that does not exist."""
    number, path = 1, folder / f"{stem}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path

"""Runs the program on the terminal, and leaves that as it was."""

import os
from pathlib import Path
from shutil import get_terminal_size

from gptcli.errors import GptcliError
from gptcli.explore.screen import Setup
from gptcli.show.blocks import palette
from gptcli.show.terminal.colours import colours_off, saved_theme
from gptcli.show.terminal.encoding import everything
from gptcli.system.limits import limit_reached
from gptcli.system.notices import notice
from gptcli.text import clipped

# Of a saved picture, where no terminal says another size.
_WIDTH, _HEIGHT = 100, 30


def run(setup: Setup) -> int:
    """Run until somebody quits; returns the exit code.

    Raises:
        GptcliError: it failed.
    """
    coloured = not (os.environ.get("NO_COLOR") or colours_off())
    theme = palette.current()  # the terminal is asked now, before anybody reads keys

    from gptcli.explore.app import ExploreApp

    app = ExploreApp(setup, coloured=coloured, theme=theme)
    code = app.run()
    if app.failure is not None:
        raise failed(app.failure) from app.failure
    return code or 0


def save_picture(setup: Setup, path: Path) -> None:
    """Write the first screen as .svg, .png or .txt, as large as the terminal.

    Raises:
        GptcliError: the file cannot be written.
    """
    from gptcli.explore.still import save_still

    size = get_terminal_size((_WIDTH, _HEIGHT))
    with everything(), palette.using(saved_theme()):
        save_still(setup, path, size.columns, size.lines)
    notice(f"saved {path}")


def failed(error: BaseException) -> GptcliError:
    """What to tell about an exception that ended the program."""
    if isinstance(error, GptcliError):
        return error
    told = limit_reached(error) if isinstance(error, Exception) else None
    return GptcliError(told or f"explore ended by a mistake of its own: {type(error).__name__}: {clipped(str(error))}")

"""Whether to use colours, and for which ground: by --color and --theme, else by the environment and the terminal.

``NO_COLOR`` (https://no-color.org), ``FORCE_COLOR`` (https://force-color.org), and ``CLICOLOR`` and ``CLICOLOR_FORCE``
(https://bixense.com/clicolors) are obeyed in this order.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from gptcli.show.blocks import palette

_chosen: list[palette.Theme] = []


class Color(str, Enum):
    """When output is coloured; ``auto`` goes by the terminal and the environment."""

    auto = "auto"
    always = "always"
    never = "never"


class ThemeChoice(str, Enum):
    """The ground that colours are made for; ``auto`` asks the terminal."""

    auto = "auto"
    dark = "dark"
    light = "light"


@contextmanager
def choose_color(color: Color) -> Iterator[None]:
    """Print with or without colours inside the ``with``, whatever the environment says; ``auto`` leaves it to that.

    The choice goes into the environment, where Typer's help and the commands of a tour find it too.
    """
    before = {name: os.environ.get(name) for name in ("NO_COLOR", "FORCE_COLOR")}
    if color is not Color.auto:
        for name in before:
            os.environ.pop(name, None)
        os.environ["FORCE_COLOR" if color is Color.always else "NO_COLOR"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def choose_theme(theme: ThemeChoice, *, also_saved: bool) -> Iterator[None]:
    """Print in this theme inside the ``with``.

    Args:
        theme: ``auto`` asks the terminal, when the first colour is needed.
        also_saved: saved pictures have it too; what the environment says is about the terminal only.
    """
    if theme is ThemeChoice.auto:
        palette.ask_with(_find_theme)
    else:
        if also_saved:
            _chosen.append(palette.THEMES[theme.value])
        palette.ask_with(lambda: palette.THEMES[theme.value])
    try:
        yield
    finally:
        palette.ask_with(None)
        _chosen.clear()


def _find_theme() -> palette.Theme:
    from gptcli.show.terminal.background import theme_of_terminal

    return theme_of_terminal()


def saved_theme() -> palette.Theme:
    """The theme of saved pictures: --theme, else light."""
    return _chosen[-1] if _chosen else palette.LIGHT


def asked_theme() -> str | None:
    """The theme that --theme names, for pages; None: a page follows its reader's."""
    return _chosen[-1].name if _chosen else None


def colours_forced() -> bool:
    """Whether the environment wants colours also where there is no terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")


def colours_off() -> bool:
    """Whether the environment wants no colours on a terminal (``NO_COLOR`` is Rich's own)."""
    return os.environ.get("CLICOLOR") == "0" and not colours_forced()

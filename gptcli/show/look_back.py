"""After ``generate --explain`` on a terminal: back through the tokens, each with what it was chosen from."""

import os
import select
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gptcli.show import explain
from gptcli.show.terminal.console import stdout_console
from gptcli.show.terminal.keyboard import keyboard, moves_cursor

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gptcli.probability.choice import Explanation

_BACK = ("\x1b[D", "\x1bOD", "h", "b", "p")  # the first two are the left arrow
_ON = ("\x1b[C", "\x1bOC", "l", "n", " ")
_MOVES = {**dict.fromkeys(_BACK, -1), **dict.fromkeys(_ON, 1)}
_LEAVE = ("q", "Q", "enter", "escape")
# Seconds between checks of the terminal's size while waiting for a key.
_WAIT_S = 0.3
_HINT = "← goes back through the tokens · any other key ends"
_KEYS = "← → token by token · Home, End · q ends"


def can_look_back() -> bool:
    """Whether there is somebody to press keys, and a terminal that can draw over what it has shown.

    A stdout that is recorded for a terminal is none: what is drawn there is not seen at once.
    """
    if sys.stdin is None or not sys.stdin.isatty() or not moves_cursor():
        return False
    try:
        return os.isatty(sys.stdout.fileno())
    except OSError:
        return False


def look_back(texts: "Sequence[tuple[str, Sequence[Explanation]]]") -> None:
    """Wait for a key; the left arrow goes back through the tokens, another one ends this.

    Keys that were typed ahead were not meant for this: then nothing is asked.

    Args:
        texts: the prompt and the tokens of each.
    """
    places = [(number, step) for number, (_, steps) in enumerate(texts) for step in range(len(steps))]
    if not places:
        return
    with keyboard() as read:
        if sys.platform != "win32" and select.select([sys.stdin], [], [], 0)[0]:
            return
        stdout_console().print(_HINT, style="dim", end="")
        sys.stdout.flush()
        try:
            first = _next_key(read)
            if first in _BACK:
                _walk(texts, places, read)
        except KeyboardInterrupt:
            pass  # the text is complete: this ends the looking
        finally:
            sys.stdout.write(f"\r{' ' * len(_HINT)}\r")
            sys.stdout.flush()


def _walk(
    texts: "Sequence[tuple[str, Sequence[Explanation]]]",
    places: Sequence[tuple[int, int]],
    read: "Callable[[float], list[str]]",
) -> None:
    """Show one token after another, on a screen of its own, until a key leaves it."""
    from rich.live import Live

    console = stdout_console()
    place, drawn = max(len(places) - 2, 0), None
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            if drawn != (console.size, place):
                live.update(picture(texts, *places[place]), refresh=True)
                drawn = (console.size, place)
            for key in read(_WAIT_S):
                if key in _LEAVE:
                    return
                ends = {"home": 0, "end": len(places) - 1}
                place = ends.get(key, min(max(place + _MOVES.get(key, 0), 0), len(places) - 1))


def _next_key(read: "Callable[[float], list[str]]") -> str:
    while True:
        for key in read(_WAIT_S):
            return key


def picture(texts: "Sequence[tuple[str, Sequence[Explanation]]]", number: int, step: int) -> "RenderableType":
    """The text as it was when a token was chosen, its candidates, and what the keys do.

    Args:
        texts: the prompt and the tokens of each.
        number: index of the text.
        step: index of the token.
    """
    prompt, steps = texts[number]
    which = f"text {number + 1:,} of {len(texts):,}, " if len(texts) > 1 else ""
    told = f"{which}token {step + 1:,} of {len(steps):,}   {_KEYS}"
    return explain.frame(prompt, steps[: step + 1], below=told)

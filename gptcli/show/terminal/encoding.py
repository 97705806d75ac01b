"""What is written where stdout's encoding lacks a character: cp1252, cp437, ASCII.

ASCII stands in for what pictures are drawn with (bars, shades, boxes, arrows, marks), one character for one, so that
columns stay where they are. Other characters, of texts and names, become escapes before a picture is laid out.
"""

import codecs
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from gptcli.text import lacking

_ERRORS = "gptcli-stand-in"
_BRAILLE = range(0x2800, 0x2900)
# A dot between two facts or factors, not the space of a token.
_LONE = re.compile(r" · ")
# Of the same width as what they stand for.
STAND_INS = (
    dict(zip("█▉▊▋▌▍▎▏▐▀▄▁▂▃▄▅▆▇", "#===----##_____===#", strict=False))
    | dict(zip("░▒▓■□▲△◆◇●○▶▸✗", ".:%#nAa*x@o>>x", strict=True))
    | dict(zip("─━│┃┌┐└┘├┤┬┴┼╭╮╰╯╴╶╵╷", "--||+++++++++++++--||", strict=True))
    | dict(zip("←↑→↓↖↗↘↙«»⟨⟩", "<^>v\\/\\/<><>", strict=True))
    | dict(zip("·⏎…⋮–−×÷±√∞≠≈≤≥", "_$~:--x/~VI!~<>", strict=True))
)


def stand_in(character: str) -> str:
    """ASCII for one character that an encoding lacks: one character for what pictures are made of, else an escape."""
    if character in STAND_INS:
        return STAND_INS[character]
    if ord(character) in _BRAILLE:  # dots of a plot
        return " .:#"[min((ord(character) & 0xFF).bit_count() + 1, 6) // 2]
    return character.encode("ascii", "backslashreplace").decode()


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text, replaced = error.object, []
    for place in range(error.start, error.end):
        lone = text[place] == "·" and _LONE.fullmatch(text[max(place - 1, 0) : place + 2])
        replaced.append("." if lone else stand_in(text[place]))
    return "".join(replaced), error.end


codecs.register_error(_ERRORS, _replaced)


@contextmanager
def standing_in() -> Iterator[None]:
    """While a command runs: what stdout and stderr lack is replaced, in what is laid out for stdout beforehand."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != _ERRORS:
            stream.reconfigure(errors=_ERRORS)
    with lacking(None if holds_everything() else _is_lacking(sys.stdout.encoding)):
        yield


def _is_lacking(encoding: str) -> Callable[[str], bool]:
    """Whether a character of a text has to be escaped."""

    @cache
    def lacks(character: str) -> bool:
        if character in STAND_INS or ord(character) in _BRAILLE:
            return False
        return not character.encode(encoding, "ignore")

    return lacks


def holds_everything() -> bool:
    """Whether stdout can hold any text."""
    encoding = getattr(sys.stdout, "encoding", None)
    return encoding is None or codecs.lookup(encoding).name.startswith("utf")


def everything() -> AbstractContextManager[None]:
    """For files, which are UTF-8 whatever stdout is."""
    return lacking(None)


def escaped(text: str) -> str:
    """A text for stdout, with escapes for what it lacks, also for what pictures are drawn with."""
    if holds_everything():
        return text
    encoding = sys.stdout.encoding
    return text.encode(encoding, "backslashreplace").decode(encoding)

"""What stands above a saved picture: the title that was asked for, or the command that drew it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# Options of a command that say where it writes, not what it shows.
_NOT_SHOWN = ("--save", "--title", "--theme", "--color")
_FLAGS = ("--json",)
_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:@%")


@dataclass
class Saving:
    """Of the command that runs.

    Attributes:
        title: asked for; None for the command, "" for none.
        command: as typed.
    """

    title: str | None = None
    command: str = "gptcli"


saving = Saving()


def begin(arguments: Sequence[str]) -> None:
    """Take note of a command that starts."""
    saving.title, saving.command = None, command_line(arguments)


def picture_title() -> str:
    """What to write above a picture that is saved now."""
    return saving.command if saving.title is None else saving.title


def command_line(arguments: Sequence[str]) -> str:
    """A command as one types it, without where it writes."""
    words, skip = ["gptcli"], False
    for word in arguments:
        if skip or word in _FLAGS:
            skip = False
        elif word in _NOT_SHOWN:
            skip = True
        elif word.partition("=")[0] not in _NOT_SHOWN:
            words.append(_quoted(word))
    return " ".join(words)


def _quoted(word: str) -> str:
    if word and set(word) <= _PLAIN:
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'

"""Calls of the tokenizers library: what can go wrong in them ends in one line, and they do end."""

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from gptcli.errors import InputError
from gptcli.tokenizer.panics import muted, of_library

# Seconds that a regular expression from a file may take over a text: some never come to an end. That much, and more for
# a long text.
_PATIENCE, _CHARACTERS_A_SECOND = 2.0, 100_000

# What a thread that the library works in is called.
THREAD = "tokenizers"

_Answer = TypeVar("_Answer")


class TooSlow(InputError):
    """The library was given up: it did not come to an end in time, and goes on in a thread of its own."""


def call(name: str, run: Callable[[], _Answer], length: int, *, known: bool) -> _Answer:
    """Have the library work on a text.

    Args:
        name: the tokenizer's.
        run: calls the library, and where ``known`` is false lets other threads run meanwhile.
        length: of the text, in characters.
        known: whether all of its regular expressions are known to be quick.

    Raises:
        InputError: the library cannot take the text, or takes too long over it.
    """
    try:
        return run() if known else _patiently(name, run, _PATIENCE + length / _CHARACTERS_A_SECOND)
    except InputError:
        raise
    except BaseException as error:
        if of_library(error):
            said = "one of its regular expressions, or its tables, break on the text"
        elif type(error) is Exception:  # what the library raises of its own
            said = " ".join(str(error).split())[:200]
        else:
            raise
    raise InputError(f"{name} cannot take the text: {said}")


def _patiently(name: str, run: Callable[[], _Answer], seconds: float) -> _Answer:
    done: list[_Answer] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(run())
        except BaseException as error:
            failed.append(error)

    # A thread that never ends must not keep the process from ending.
    thread = Thread(target=work, name=THREAD, daemon=True)
    with muted():
        thread.start()
        thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TooSlow(f"{name} takes over {seconds:.0f} s for the text: a regular expression in it is too slow")
    return done[0]


def load(build: Callable[[], Any], where: str) -> Any:
    """Have the library read a file.

    Args:
        build: calls the library.
        where: the file, for errors.

    Raises:
        CheckpointError: it is no tokenizer.
    """
    from gptcli.errors import CheckpointError

    try:
        with muted():
            return build()
    except BaseException as error:
        if not of_library(error) and type(error) not in (Exception, ValueError, TypeError, OverflowError):
            raise
        reason = "its numbers or texts contradict each other" if of_library(error) else " ".join(str(error).split())
    raise CheckpointError(f"{where} is no tokenizer that can be used: {reason:.300}")

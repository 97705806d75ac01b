"""Calls to the tokenizers library, with a time limit and with one-line errors for its failures."""

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from gptcli.errors import InputError
from gptcli.tokenizer.panics import muted, of_library

# The base time limit for a text in seconds, and the characters that add one second to it: some regular expressions from
# files never finish.
_PATIENCE, _CHARACTERS_A_SECOND = 2.0, 100_000

# The name of the threads that the library runs in.
THREAD = "tokenizers"

_Answer = TypeVar("_Answer")


class TooSlow(InputError):
    """The library did not finish in time; its thread keeps running in the background."""


def call(name: str, run: Callable[[], _Answer], length: int, *, known: bool) -> _Answer:
    """Run the library on a text.

    Args:
        name: the tokenizer's name.
        run: calls the library; if ``known`` is false, the call must release the GIL.
        length: the length of the text, in characters.
        known: whether all of the tokenizer's regular expressions are known to be fast.

    Raises:
        InputError: the library cannot process the text, or takes too long.
    """
    try:
        return run() if known else _patiently(name, run, _PATIENCE + length / _CHARACTERS_A_SECOND)
    except InputError:
        raise
    except BaseException as error:
        if of_library(error):
            said = "one of its regular expressions, or its tables, break on the text"
        elif type(error) is Exception:  # the library's own errors
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

    # A daemon thread: if it never ends, the process can still exit.
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
        CheckpointError: it is not a tokenizer.
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

"""The terminal that the program needs: one to draw on, and one to take keys from."""

import os
import sys

from gptcli.errors import InputError
from gptcli.show.terminal.keyboard import moves_cursor


def check_terminal() -> None:
    """Check that there is a terminal to draw on.

    Raises:
        InputError: there is none, or it cannot move the cursor.
    """
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        if stream is None or not stream.isatty():
            raise InputError(f"explore needs a terminal to draw on, and {name} is not one (--save needs none)")
    if not moves_cursor():
        term = os.environ.get("TERM", "")
        raise InputError(f"explore needs a terminal that can move the cursor, and TERM is {term or 'not set'}")


def take_keys() -> None:
    """Take keys from the terminal where the text came through a pipe: stdin is that terminal from now on.

    Raises:
        InputError: there is no terminal.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        return
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise InputError("explore takes keys from a terminal, and there is none") from error
    os.dup2(descriptor, 0)
    os.close(descriptor)

"""Numbers in the environment, put into range before a library of ours reads them.

Rich and Typer take the terminal's size from there, and a line of a billion columns is one that they try to fill. (What
the hub's client reads is checked where it is started, in ``checkpoint.hub.client``.)
"""

import os
from collections.abc import MutableMapping

# Wider and higher than any terminal: a line of this many columns is one that nothing has to be wrapped for.
MOST_COLUMNS, MOST_LINES = 10_000, 10_000
_SIZES = {"COLUMNS": MOST_COLUMNS, "TERMINAL_WIDTH": MOST_COLUMNS, "LINES": MOST_LINES}


def keep_in_range(environment: MutableMapping[str, str] = os.environ) -> None:
    """Clamp what is too large, and take out what is no number: a terminal has a size without it.

    Args:
        environment: what is read, and changed.
    """
    for name, most in _SIZES.items():
        _clamp(environment, name, most)


def _clamp(environment: MutableMapping[str, str], name: str, most: int) -> None:
    """Bring one number into 1 ... ``most``; where it is none, or 0, take it out."""
    value = environment.get(name, "").strip()
    if not (value.isascii() and value.isdecimal() and value.strip("0")):
        environment.pop(name, None)
        return
    # Python reads no number of thousands of digits, so the length decides first.
    environment[name] = value if len(value) < len(str(most)) else str(min(int(value[:20]), most))

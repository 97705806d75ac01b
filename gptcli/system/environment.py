"""Numbers in the environment, clamped before a library reads them.

Rich and Typer take the terminal's size from there, and would fill a line of a billion columns. (Variables of the hub's
client are checked in ``checkpoint.hub.client``.)
"""

import os
from collections.abc import MutableMapping

# Wider and higher than any terminal.
MOST_COLUMNS, MOST_LINES = 10_000, 10_000
_SIZES = {"COLUMNS": MOST_COLUMNS, "TERMINAL_WIDTH": MOST_COLUMNS, "LINES": MOST_LINES}


def keep_in_range(environment: MutableMapping[str, str] = os.environ) -> None:
    """Clamp numbers that are too large, and remove values that are no numbers.

    Args:
        environment: changed in place.
    """
    for name, most in _SIZES.items():
        _clamp(environment, name, most)


def _clamp(environment: MutableMapping[str, str], name: str, most: int) -> None:
    """Clamp one variable to 1 ... ``most``; remove it where it is 0 or no number."""
    value = environment.get(name, "").strip()
    if not (value.isascii() and value.isdecimal() and value.strip("0")):
        environment.pop(name, None)
        return
    # int() refuses numbers of thousands of digits, so the length is checked first.
    environment[name] = value if len(value) < len(str(most)) else str(min(int(value[:20]), most))

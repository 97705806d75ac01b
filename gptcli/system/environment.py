"""Numbers in the environment, put into range before a library of ours reads them.

Rich and Typer take the terminal's size from there, and a line of a billion columns is one that they try to fill;
huggingface_hub does not even start where a number is none.
"""

import os
from collections.abc import Callable, MutableMapping

# Wider and higher than any terminal: a line of this many columns is one that nothing has to be wrapped for.
MOST_COLUMNS, MOST_LINES = 10_000, 10_000
_SIZES = {"COLUMNS": MOST_COLUMNS, "TERMINAL_WIDTH": MOST_COLUMNS, "LINES": MOST_LINES}
_DAY_S = 86_400
_SECONDS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")


def keep_in_range(tell: Callable[[str], None], environment: MutableMapping[str, str] = os.environ) -> None:
    """Clamp what is too large, and take out what is no number.

    Args:
        tell: called with a line for each setting that is left aside. The size of a terminal needs none: it has one.
        environment: what is read, and changed.
    """
    for name, most in _SIZES.items():
        _clamp(environment, name, most)
    for name in _SECONDS:
        value = environment.get(name, "")
        if not _clamp(environment, name, _DAY_S) and value:
            tell(f"{name} is left aside: it is not a whole number of seconds from 1 up")


def _clamp(environment: MutableMapping[str, str], name: str, most: int) -> bool:
    """Bring one number into 1 ... ``most``; where it is none, or 0, take it out and return False."""
    value = environment.get(name, "").strip()
    if not (value.isascii() and value.isdecimal() and value.strip("0")):
        environment.pop(name, None)
        return False
    # Python reads no number of thousands of digits, so the length decides first.
    environment[name] = value if len(value) < len(str(most)) else str(min(int(value[:20]), most))
    return True

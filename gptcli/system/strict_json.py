"""What headers and indexes have in common: untrusted JSON, read strictly, and untrusted names in messages."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError
from gptcli.system.json_text import parse_json
from gptcli.text import visible

MAX_U64 = 2**64 - 1


def parse_object(text: bytes, path: Path, what: str) -> dict[str, Any]:
    """Parse a JSON object strictly: no key twice, no number that no file can hold, no depth that breaks the parser.

    Args:
        text: what the file, or a part of it, holds.
        path: the file, for errors.
        what: which part of it, for errors: ``header``.

    Raises:
        CheckpointError: it is something else.
    """
    value = parse_json(
        text, path, f"the {what}", object_pairs_hook=_unique, parse_int=_integer, parse_constant=refuse_constant
    )
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: the {what} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key '{short(key)}' stands there twice")
        for text in (key, value):
            if isinstance(text, str):
                text.encode()  # an unpaired surrogate is no text; UnicodeEncodeError is a ValueError
        made[key] = value
    return made


def _integer(digits: str) -> int:
    # Python's own parser takes quadratic time where it has no limit on digits. "-0" is no unsigned integer either.
    if len(digits) > 20 or digits.startswith("-"):
        raise ValueError(f"the number {short(digits, 24)} is not between 0 and {MAX_U64}")
    return int(digits)


def refuse_constant(name: str) -> Any:
    """For what Python's parser takes and JSON does not have: NaN, Infinity."""
    raise ValueError(f"{name} is not JSON")


def short(text: str, limit: int = 80) -> str:
    """A name for a message: on one line, and not endless."""
    shown = visible(text[:limit], keep="")
    return shown if len(shown) <= limit and len(text) <= limit else f"{shown[: limit - 3]}..."


def listed(names: Iterable[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    shown = [short(name) for name in names]
    more = f" and {len(shown) - limit:,} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more

"""Untrusted JSON, of files and of a hub: its memory is bounded before it is parsed, and headers are read strictly."""

import json
from pathlib import Path
from typing import Any

from gptcli.errors import CheckpointError
from gptcli.system.regular_file import opened
from gptcli.text import clipped, visible

MAX_U64 = 2**64 - 1
MAX_JSON_BYTES = 100_000_000
# Bytes of memory that parsed JSON may take in addition to its text. Large vocabularies (200,000 tokens and 450,000
# merges) take about 250 MB; the text "[[],[],[]," takes thirty times its own size.
_MAX_OVERHEAD = 350_000_000
# Bytes of Python's objects, by the character that begins one: list, dict, string (two quotes), item, entry.
_COSTS = {b"[": 72, b"{": 240, b'"': 28, b",": 40, b":": 100}


def parse_json(text: bytes, path: Path | str, what: str, **options: Any) -> Any:
    """Parse JSON from a file, within bounds of memory and depth.

    Args:
        text: of the file, or of a part of it.
        path: the file or other source, for errors.
        what: the part, for errors, such as ``the header``; may be empty.
        options: for ``json.loads``.

    Raises:
        CheckpointError: it is not UTF-8 JSON, nested too deeply, or too large once parsed.
    """
    where = f"{path}: {what}" if what else f"{path}"
    if (needed := parsed_size(text)) > len(text) + _MAX_OVERHEAD:
        raise CheckpointError(
            f"{where} would take {needed / 1e6:,.0f} MB of memory once parsed: no checkpoint needs that"
        )
    try:
        return json.loads(text.decode(), **options)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else visible(str(error), keep="")[:200]
        if "int_max_str_digits" in reason:  # advice for programmers
            reason = "a number has thousands of digits"
        raise CheckpointError(f"{where} is not valid JSON: {reason}") from error


def parse_object(text: bytes, path: Path, what: str) -> dict[str, Any]:
    """Parse a JSON object strictly: every key once, and whole numbers from 0 to 2^64 - 1 only.

    Args:
        text: of the file, or of a part of it.
        path: the file, for errors.
        what: the part, for errors, such as ``header``.

    Raises:
        CheckpointError: it is something else, or ``parse_json`` refuses it.
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
            raise ValueError(f"the key '{clipped(key, 80)}' appears twice")
        for text in (key, value):
            if isinstance(text, str):
                text.encode()  # an unpaired surrogate is no text; UnicodeEncodeError is a ValueError
        made[key] = value
    return made


def _integer(digits: str) -> int:
    # Python's own parser takes quadratic time where it has no limit on digits. "-0" is no unsigned integer either.
    if len(digits) > 20 or digits.startswith("-"):
        raise ValueError(f"the number {clipped(digits, 24)} is not between 0 and {MAX_U64}")
    return int(digits)


def refuse_constant(name: str) -> Any:
    """Refuse NaN and Infinity, which Python's parser takes and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


def parsed_size(text: bytes) -> int:
    """An estimate of the memory that parsing some JSON takes, in bytes; rather too high than too low."""
    # A decoded text has as many bytes a character as its widest character needs.
    beyond = any(text.find(bytes([lead])) >= 0 for lead in range(0xF0, 0xF5))  # U+10000 and up
    width = 1 if text.isascii() else 4 if beyond else 2
    return (width + 1) * len(text) + sum(cost * text.count(sign) for sign, cost in _COSTS.items())


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that must hold one JSON object.

    Raises:
        CheckpointError: it cannot be read, is too large, is not UTF-8 JSON, or holds something else.
    """
    value = parse_json(read_bytes(path), path, "")
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} does not hold a JSON object")
    return value


def read_bytes(path: Path) -> bytes:
    """All bytes of a small file; its size is checked first.

    Raises:
        CheckpointError: it cannot be read, or has more than 100 MB.
    """
    with opened(path) as (file, version):
        if version.size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path} is too large for what it should be: {version.size:,} bytes")
        return file.read(version.size)

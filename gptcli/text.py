"""Untrusted text, made safe to print.

Prompts, tokens, vocabularies, file names and metadata are untrusted. A terminal must show them and
never obey them: control characters, escape sequences and characters that reorder the line are written as escapes.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, islice

# Format characters (category Cf) that only join emoji or shape letters, and do not reorder or hide text.
_HARMLESS_FORMAT = frozenset("\u200c\u200d")
_SPACE = "·"
_NEWLINE = "⏎"
# Characters of a text that a message quotes, and of a message.
QUOTED, MESSAGE = 200, 1500
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


# Whether the output lacks a character that is no control character; None where it has all.
_LACKS: ContextVar[Callable[[str], bool] | None] = ContextVar("lacks", default=None)


@contextmanager
def lacking(lacks: Callable[[str], bool] | None) -> Iterator[None]:
    """Have ``visible`` escape also the characters that the output lacks; None: it has all of them."""
    before = _LACKS.set(lacks)
    try:
        yield
    finally:
        _LACKS.reset(before)


def _is_safe(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cf":
        return character in _HARMLESS_FORMAT
    return category not in ("Cc", "Cs", "Zl", "Zp", "Co", "Cn")


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, keep: str = "\n\t") -> str:
    r"""Replace every character that a terminal might obey by an escape.

    Args:
        text: any text, lone surrogates included.
        keep: control characters to leave as they are.

    Returns:
        ``text`` with control characters (``\x1b``), bidirectional and other format characters (``\u202e``), lone
        surrogates and unassigned code points as escapes.
    """
    if text.isascii() and text.isprintable():
        return text
    lacks = _LACKS.get()
    if lacks is None:
        return "".join(c if c in keep or _is_safe(c) else _escape(c) for c in text)
    return "".join(c if c in keep or (_is_safe(c) and not lacks(c)) else _escape(c) for c in text)


def clipped(text: str, limit: int = QUOTED) -> str:
    """A text for a message: on one line, visible, and cut after ``limit`` characters."""
    start = _start(text, limit)
    return visible(start, keep="") + _cut(text, start)


def quoted(text: str, limit: int = QUOTED) -> str:
    """The same in quotation marks, as Python writes a string."""
    start = _start(text, limit)
    return repr(start) + _cut(text, start)


def quoted_few(texts: Iterable[str], count: int, most: int = 8) -> str:
    """The first few of ``count`` texts, each between quotation marks, and how many more there are."""
    more = f" and {count - most:,} more" if count > most else ""
    return " ".join(quoted(text, 40) for text in islice(texts, most)) + more


def listed(names: Iterable[str], limit: int = 5) -> str:
    """The first few names, clipped, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(clipped(name, 80) for name in names[:limit]) + more


def _start(text: str, limit: int) -> str:
    """The longest beginning of a text that takes at most ``limit`` characters once it is visible."""
    start = text[:limit]
    ends = accumulate(len(visible(character, keep="")) for character in start)
    return start if start.isprintable() else start[: sum(end <= limit for end in ends)]


def _cut(text: str, start: str) -> str:
    return "" if len(start) == len(text) else f"… ({len(text):,} characters)"


def shortened(message: str, limit: int = MESSAGE) -> str:
    """Cut a message to ``limit`` characters: first very long words, in their middle, then the whole of it.

    Messages already cut what they quote (``clipped``); this is the last resort. The beginning says what is wrong
    and the end what to try, so both stay.
    """
    if len(message) <= limit:
        return message
    message = re.sub(rf"\S{{{QUOTED + 1},}}", lambda word: _without_middle(word[0], QUOTED), message)
    return message if len(message) <= limit else _without_middle(message, limit)


def _without_middle(text: str, limit: int) -> str:
    return f"{text[: limit // 2]}…{text[len(text) - limit // 2 + 1 :]}"


def token_text(data: bytes) -> str:
    r"""The bytes of one token as text: exact, and on one line.

    Spaces become ``·`` and newlines ``⏎``; bytes that are not whole characters are written as ``\xE2``.

    Args:
        data: the bytes that the token stands for.
    """
    shown = []
    for part in _split_valid(data):
        if isinstance(part, bytes):
            shown.append("".join(f"\\x{byte:02X}" for byte in part))
        else:
            shown.append(visible(part, keep=" \n").replace(" ", _SPACE).replace("\n", _NEWLINE))
    return "".join(shown)


def _split_valid(data: bytes) -> list[str | bytes]:
    """Cut bytes into runs that are valid UTF-8 (as text) and runs that are not (as bytes)."""
    parts: list[str | bytes] = []
    while data:
        try:
            parts.append(data.decode())
            break
        except UnicodeDecodeError as error:
            if error.start:
                parts.append(data[: error.start].decode())
            parts.append(data[error.start : error.end])
            data = data[error.end :]
    return parts


def size(nbytes: int) -> str:
    """Bytes in decimal units, to three digits."""
    value, unit = float(nbytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {_UNITS[unit]}"

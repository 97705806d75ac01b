"""JSON in pieces, so that a long answer is never in memory as a whole."""

import dataclasses
import json
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

from gptcli.system.answer import TEXT_KEYS, is_left_out, whole_text

# Characters that JSON allows in strings, but that a terminal may obey or hide: C1 controls, line
# separators, characters that reorder the line or have no width; and lone surrogates, which no encoding has.
_OBEYED = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_OTHERS = re.compile("[^\0-\x7f]+")
# Made once: ``json.dumps`` makes an encoder for every value.
_encoded = json.JSONEncoder(ensure_ascii=False).encode
# Objects of so many keys at most, and values of these types alone, are written at once.
_FEW, _SCALARS = 64, frozenset((str, int, float, bool, type(None)))
# Characters of a piece.
_MANY = 1 << 16


def json_pieces(value: Any, *, indent: int | None = 2) -> Iterator[str]:
    """The text of an answer and a newline, some 64 kB at a time.

    Dataclasses become objects, the outermost with its ``schema`` as the first key; sequences, iterators and numpy
    arrays lists; paths text. JSON has no NaN and no infinity: they become null. Characters that a terminal might obey,
    and lone surrogates, are written as JSON's own escapes.

    Bytes become text, with U+FFFD for what is not a whole character; then the key ``bytes`` follows and has all of
    them in hexadecimal. In lists, and under keys other than ``TEXT_KEYS``, bytes become an object with the key
    ``token``.

    Args:
        value: the answer.
        indent: spaces a level; None puts all on one line.
    """
    held: list[str] = []
    length = 0
    if isinstance(name := getattr(value, "schema", None), str):
        value = {"schema": name, **_plain(value)}
    for piece in chain(_pieces(value, indent, "\n"), "\n"):
        held.append(piece)
        length += len(piece)
        if length >= _MANY:
            yield _seen("".join(held))
            held, length = [], 0
    yield _seen("".join(held))


def only_ascii(text: str) -> str:
    """The same JSON with escapes for everything that is not ASCII."""
    return text if text.isascii() else _OTHERS.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _seen(text: str) -> str:
    return text if text.isascii() and "\x7f" not in text else _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _pieces(value: Any, indent: int | None, line: str) -> Iterator[str]:
    """The text of a value; ``line`` is the line break and the indentation around it."""
    value = _plain(value)
    if isinstance(value, Mapping):
        if 0 < len(value) <= _FEW and _SCALARS.issuperset(map(type, value.values())):
            yield _row(value, indent, line)
            return
        yield from _inside("{}", ((_key(str(key)), item) for key, item in value.items()), indent, line)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        yield from _inside("[]", (("", item) for item in value), indent, line)
    else:
        yield _scalar(value)


def _row(value: Mapping[Any, Any], indent: int | None, line: str) -> str:
    """The text of an object without others inside, in one piece: much quicker, and long lists are made of these."""
    inner = "" if indent is None else line + " " * indent
    items = [_key(str(key)) + _scalar(item) for key, item in value.items()]
    return "{" + inner + (", " if indent is None else "," + inner).join(items) + ("}" if indent is None else line + "}")


def _inside(brackets: str, items: Iterable[tuple[str, Any]], indent: int | None, line: str) -> Iterator[str]:
    """The content of brackets: keys (none in a list) and values."""
    inner = "" if indent is None else line + " " * indent
    between = first = brackets[0] + inner
    for key, item in items:
        if item is None or isinstance(item, (str, float, int)):
            yield f"{between}{key}{_scalar(item)}"
        else:
            yield between + key
            yield from _pieces(item, indent, inner)
        between = ", " if indent is None else "," + inner
    yield brackets if between is first else brackets[1] if indent is None else line + brackets[1]


def _plain(value: Any) -> Any:
    """A value as a plain Python object, not converted further inside."""
    if isinstance(value, (str, float, int)) or value is None:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, (Mapping, Sequence, Iterator)) and not isinstance(value, bytes):
        return value
    if isinstance(value, bytes):
        return _text("token", value)
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value  # numpy scalars and arrays, without importing numpy


def _object(value: Any) -> dict[str, Any]:
    """The keys of a dataclass."""
    keys: dict[str, Any] = {}
    for declared in _fields(cast(Hashable, type(value))):
        name = declared.name
        item = getattr(value, name)
        if isinstance(item, bytes) and name in TEXT_KEYS:
            keys |= _text(name, item)
        elif item is not None or not is_left_out(declared, item):
            keys[name] = item
    return keys


@lru_cache(maxsize=256)
def _fields(kind: Any) -> "tuple[dataclasses.Field[Any], ...]":
    return dataclasses.fields(kind)


def _text(key: str, value: bytes) -> dict[str, str]:
    """Bytes as text, and in hexadecimal where the text is not all of them."""
    text = whole_text(value)
    return {key: value.decode(errors="replace"), "bytes": value.hex()} if text is None else {key: text}


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    return f"{_encoded(name)}: "


def _scalar(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else "null"
    return _encoded(value)

"""How results are declared for ``--json``.

A result is a frozen dataclass; its fields' names are the keys, and its docstring's ``Attributes`` describe them. One
that a command prints has a name and version, which become the first key::

    @dataclass(frozen=True)
    class Score:
        schema: ClassVar[str] = "gptcli.score/1"
"""

from collections.abc import Hashable, Iterator
from dataclasses import field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

from gptcli.errors import InputError

_LEFT_OUT = "left out of JSON when None"

# A number that may be infinite or NaN, which JSON does not have: there it is null.
MaybeInfinite = Annotated[float, "null where it is not finite"]


def left_out() -> Any:
    """A field whose key is left out of JSON where the value is None, instead of being null; None is its default."""
    return field(default=None, metadata={_LEFT_OUT: True})


def is_left_out(declared: Any, value: object) -> bool:
    """Whether JSON leaves out this field (of ``dataclasses.fields``) with this value."""
    return value is None and may_be_left_out(declared)


def may_be_left_out(declared: Any) -> bool:
    """Whether JSON leaves out this field where it is None."""
    return _LEFT_OUT in declared.metadata


# Keys under which bytes are text, with their hexadecimal form under a key ``bytes`` where the text is not all of them.
TEXT_KEYS = ("token", "label", "text")


def whole_text(value: bytes) -> str | None:
    """Bytes as text; None where they are not whole characters."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def token_columns(name: str, value: bytes) -> dict[str, Any]:
    """The columns for bytes that JSON has as an object: ``name.token``, and ``name.bytes`` as in ``row_of``."""
    whole = whole_text(value)
    return {
        f"{name}.token": value.decode(errors="replace"),
        f"{name}.bytes": value.hex() if whole is None else None,
    }


def row_of(item: Any, before: str = "") -> dict[str, Any]:
    """The row of a table for a dataclass: what its fields hold, with dotted names for those of a dataclass inside.

    Bytes become text, and there is a column ``bytes`` for those that are not whole characters.

    Args:
        item: the dataclass.
        before: what the names begin with.
    """
    row: dict[str, Any] = {}
    for key, inside in _columns(cast(Hashable, type(item))).items():
        value, name = getattr(item, key), before + key
        if inside is bytes:
            row[name] = value.decode(errors="replace") if isinstance(value, bytes) else value
            row[f"{before}bytes"] = value.hex() if isinstance(value, bytes) and whole_text(value) is None else None
        elif inside is None:
            row[name] = value
        else:
            row |= row_of(value, f"{name}.") if value is not None else dict.fromkeys(_names(inside, f"{name}."))
    return row


@cache
def _columns(answer: Any) -> dict[str, Any]:
    """What each field of a dataclass may hold: bytes that are text, another dataclass (its class), or else None."""
    hints = get_type_hints(answer)
    columns = {}
    for declared in fields(answer):
        held = (hints[declared.name], *get_args(hints[declared.name]))
        inside = next((each for each in held if isinstance(each, type) and is_dataclass(each)), None)
        if get_origin(hints[declared.name]) not in (None, Union, UnionType):
            inside = None  # a list
        columns[declared.name] = bytes if declared.name in TEXT_KEYS and bytes in held else inside
    return columns


def _names(answer: Any, before: str) -> Iterator[str]:
    """The columns of a dataclass."""
    for key, inside in _columns(answer).items():
        if inside is None or inside is bytes:
            yield before + key
        else:
            yield from _names(inside, f"{before}{key}.")
        if inside is bytes:
            yield f"{before}bytes"


def rows_of(answer: Any) -> Iterator[dict[str, Any]]:
    """The rows of a result's table, for CSV, Markdown, or a data frame; all have the same columns.

    A result says which of its fields has the table (``table: ClassVar[str]``; "": it is a row itself), or has a method
    ``table_rows``.

    Raises:
        InputError: it has no table.
    """
    if hasattr(answer, "table_rows"):
        yield from answer.table_rows()
    elif isinstance(name := getattr(answer, "table", None), str):
        yield from map(row_of, getattr(answer, name) if name else [answer])
    else:
        raise InputError("this answer is no table: --json prints it")

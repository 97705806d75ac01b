"""The JSON Schema of a result, derived from its dataclass: types from the annotations, descriptions from the docstring.

It describes what ``json_pieces`` writes: bytes as text with a key ``bytes``, numbers that may be infinite as null,
fields that are left out where they are None.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from gptcli.system.answer import TEXT_KEYS, MaybeInfinite, may_be_left_out

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NAMES = re.compile(r"    (\w+(?:, \w+)*): (.+)", re.DOTALL)
_BYTES = {
    "type": "string",
    "pattern": "^([0-9a-f]{2})+$",
    "description": "all of its bytes in hexadecimal, where they are not whole characters",
}
_WHOLE = "as text, with U+FFFD for what is not a whole character"
_TEXT = {
    "type": "object",
    "properties": {"token": {"type": "string", "description": _WHOLE}, "bytes": _BYTES},
    "required": ["token"],
    "additionalProperties": False,
}
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    Path: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    bytes: _TEXT,
    Any: {},
    object: {},
}


def json_schema(answers: Iterable[type]) -> dict[str, Any]:
    """The JSON Schema of what a command prints.

    Args:
        answers: the dataclasses of its forms, each with a ``schema``; with several, an object is one of them.
    """
    definitions: dict[str, Any] = {}
    forms = [_object(answer, definitions, named=True) for answer in answers]
    whole = forms[0] if len(forms) == 1 else {"oneOf": forms}
    return {"$schema": DRAFT, **whole, **({"$defs": dict(sorted(definitions.items()))} if definitions else {})}


def described(answer: type) -> dict[str, str]:
    """The description of each field: what the docstring says under ``Attributes``, of the class and of its bases."""
    found = {
        field.name: field.metadata["description"]
        for field in dataclasses.fields(answer)
        if "description" in field.metadata
    }
    for each in reversed(answer.__mro__):
        if not dataclasses.is_dataclass(each):
            continue
        _, _, listed = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")
        for entry in re.split(r"\n(?=    \w)", listed.rstrip()):
            if match := _NAMES.match(entry):
                found |= dict.fromkeys(match[1].split(", "), _plain(match[2]))
    return found


def _plain(text: str) -> str:
    """A description without Python's words."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split())).replace("``", "`").removesuffix(".")


def _object(answer: type, definitions: dict[str, Any], *, named: bool = False) -> dict[str, Any]:
    """The schema of a dataclass; with its name as the first key if it is the outermost."""
    told, hints = described(answer), typing.get_type_hints(answer, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    if named:
        properties["schema"] = {"const": answer.schema, "description": "the name of this form, and its version"}  # type: ignore[attr-defined]
        required.append("schema")
    for field in dataclasses.fields(answer):
        optional, hint = may_be_left_out(field), hints[field.name]
        if optional:
            hint = Union[tuple(each for each in get_args(hint) if each is not type(None))]  # noqa: UP007
        said = {"description": told[field.name]} if field.name in told else {}
        if field.name in TEXT_KEYS and _holds_bytes(hint):
            also = "; ".join([*said.values(), _WHOLE])
            properties[field.name] = {"type": "string", "description": also}
            properties["bytes"] = _BYTES
        else:
            properties[field.name] = {**_of(hint, definitions), **said}
        if not optional:
            required.append(field.name)
    about = _plain(inspect.cleandoc(answer.__doc__ or "").partition("\n")[0])
    return {
        "description": about,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _holds_bytes(hint: Any) -> bool:
    return hint is bytes or bytes in get_args(hint)


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type."""
    if hint == MaybeInfinite:
        return {"type": ["number", "null"]}
    origin, inside = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _of(inside[0], definitions)
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    if origin is Literal:
        return {"enum": list(inside)}
    if origin in (Union, types.UnionType):
        return _union([_of(each, definitions) for each in inside])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [each.value for each in hint]}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _reference(hint, definitions)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(inside[1], definitions)}
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return {"type": "array", "items": _of(inside[0], definitions)}
    raise TypeError(f"there is no JSON Schema for {hint}")


def _union(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One of several schemas; plain types are joined into a list of types."""
    if all(set(part) == {"type"} for part in parts):
        each = [kind for part in parts for kind in (part["type"] if isinstance(part["type"], list) else [part["type"]])]
        return {"type": list(dict.fromkeys(each))}
    return {"anyOf": parts}


def _reference(answer: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to a dataclass, which goes into the definitions."""
    name = f"{answer.__module__.rpartition('.')[2]}.{answer.__name__}"
    if name not in definitions:
        definitions[name] = {}  # it may refer to itself
        definitions[name] = _object(answer, definitions)
    return {"$ref": f"#/$defs/{name}"}

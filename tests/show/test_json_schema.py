"""The JSON Schema of results: what is derived from annotations and docstrings, and that it holds of what is printed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from jsonschema import Draft202012Validator, ValidationError

from gptcli.embedding.metric import Metric
from gptcli.show.terminal.json_pieces import json_pieces
from gptcli.show.terminal.json_schema import described, json_schema
from gptcli.system.answer import MaybeInfinite, left_out


@dataclass(frozen=True)
class Part:
    """A part of it.

    Attributes:
        id, count: two numbers.
        token: its bytes.
    """

    id: int
    count: int | None
    token: bytes


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        parts: the parts,
            and more on a second line; ``None``: none.
        bounds: numbers.
        kind: one of two.
        metric: an enumeration.
        sizes: by name.
        file: a path.
        pieces: bytes without a key.
        extra: left out if it is None.
    """

    schema: ClassVar[str] = "gptcli.made/3"

    parts: Sequence[Part] | None
    bounds: tuple[MaybeInfinite, ...]
    kind: Literal["a", "b"]
    metric: Metric
    sizes: Mapping[str, list[float]]
    file: Path
    pieces: tuple[bytes, ...]
    extra: Part | None = left_out()


ANSWER = Answer(
    [Part(1, None, b"\xff"), Part(2, 3, b"x")],
    (1.0, math.inf),
    "a",
    Metric.dot,
    {"n": [0.5]},
    Path("x"),
    (b"a", b"\xe2"),
)


def printed(answer: object) -> Any:
    return json.loads("".join(json_pieces(answer)))


def test_a_printed_answer_is_valid() -> None:
    Draft202012Validator.check_schema(json_schema([Answer]))
    validator = Draft202012Validator(json_schema([Answer]))
    got = printed(ANSWER)
    validator.validate(got)
    assert next(iter(got)) == "schema"
    assert got["schema"] == "gptcli.made/3"
    assert got["parts"] == [
        {"id": 1, "count": None, "token": "\ufffd", "bytes": "ff"},
        {"id": 2, "count": 3, "token": "x"},
    ]
    assert got["bounds"] == [1.0, None]
    assert got["pieces"] == [{"token": "a"}, {"token": "\ufffd", "bytes": "e2"}]
    assert "extra" not in got
    for name, wrong in (
        ("schema", "gptcli.made/2"),
        ("parts", [{"id": 1, "count": None}]),
        ("parts", [{"id": "1", "count": None, "token": ""}]),
        ("bounds", ["x"]),
        ("kind", "c"),
        ("metric", "angle"),
        ("sizes", {"n": [None]}),
        ("pieces", ["a"]),
        ("extra", None),
        ("more", 1),
    ):
        with pytest.raises(ValidationError):
            validator.validate({**got, name: wrong})
    for name in got:
        with pytest.raises(ValidationError):
            validator.validate({key: value for key, value in got.items() if key != name})


def test_descriptions_are_the_docstrings() -> None:
    assert described(Part) == {"id": "two numbers", "count": "two numbers", "token": "its bytes"}
    assert described(Answer)["parts"] == "the parts, and more on a second line; `null`: none"
    schema = json_schema([Answer])
    assert schema["description"] == "An answer"
    assert schema["properties"]["parts"]["anyOf"][1] == {"type": "null"}
    part = schema["$defs"]["test_json_schema.Part"]
    assert part["properties"]["token"]["description"].startswith("its bytes; as text")
    assert part["required"] == ["id", "count", "token"]


def test_several_forms_are_one_of_them() -> None:
    @dataclass(frozen=True)
    class Other:
        """Another."""

        schema: ClassVar[str] = "gptcli.made.other/1"

    forms = Draft202012Validator(json_schema([Answer, Other]))
    forms.validate({"schema": "gptcli.made.other/1"})
    forms.validate(printed(ANSWER))
    with pytest.raises(ValidationError):
        forms.validate({"schema": "gptcli.made/3"})


def test_a_type_without_a_schema_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        """Odd."""

        schema: ClassVar[str] = "gptcli.odd/1"
        value: complex

    with pytest.raises(TypeError, match="complex"):
        json_schema([Odd])

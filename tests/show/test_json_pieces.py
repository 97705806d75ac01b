"""JSON in pieces: what Python's own encoder writes, of answers, and with what a terminal might obey as escapes."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.metric import Metric
from gptcli.show.terminal.json_pieces import json_pieces


@dataclass(frozen=True)
class Answer:
    name: str
    values: Any


def read(value: Any) -> Any:
    return json.loads("".join(json_pieces(value)))


# Bytes without a key of their own.
BYTES = {"c": {"token": "\ufffdz", "bytes": "ff7a"}, "d": {"token": "z"}}


def test_what_answers_are_made_of() -> None:
    answer = Answer(
        "é", {1: np.float32(0.5), "a": (np.int64(3), np.arange(2)), "b": Path("x/y"), "c": b"\xffz", "d": b"z"}
    )
    assert read(answer) == {"name": "é", "values": {"1": 0.5, "a": [3, [0, 1]], "b": "x/y"} | BYTES}
    assert read([math.nan, math.inf, np.float64(-math.inf), np.array([np.nan]), True, None]) == [
        *(None, None, None, [None], True, None)
    ]
    assert read([Metric.cosine, np.bool_(True), np.float64(0.1), {}, (), iter([1, [2]])]) == [
        *("cosine", True, 0.1, {}, [], [1, [2]])
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aé\n"\\\x1b日'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON, st.sampled_from([None, 0, 2]))
def test_it_is_what_python_writes(value: Any, indent: int | None) -> None:
    written = "".join(json_pieces(value, indent=indent))
    assert json.loads(written) == value
    if written.isascii() and "\\u00" not in written:
        assert written == json.dumps(value, ensure_ascii=False, indent=indent) + "\n"


def test_lone_surrogates_and_controls_become_escapes() -> None:
    assert "".join(json_pieces({"a": "\udcff\x9b\u202eé"}, indent=None)) == '{"a": "\\udcff\\u009b\\u202eé"}\n'


@pytest.mark.slow
@pytest.mark.parametrize("indent", [None, 2])
def test_a_long_answer_is_never_held_as_a_whole(indent: int | None) -> None:
    made = 0

    def numbers() -> Iterator[int]:
        nonlocal made
        for number in range(200_000):
            made = number
            yield number

    pieces = json_pieces({"numbers": numbers()}, indent=indent)
    first = next(pieces)
    assert len(first) < 100_000
    assert made < 50_000
    assert json.loads(first + "".join(pieces)) == {"numbers": list(range(200_000))}

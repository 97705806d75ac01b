"""A text that changes is read as a new one would be, but only where it changed."""

from typing import Any

import numpy as np
import pytest

from gptcli.errors import OverflowedError
from gptcli.explore import reader as module
from gptcli.explore.reader import Reader, came
from tests.toy_engine import ToyEngine


@pytest.fixture
def reader(model: Any) -> Reader:
    return Reader(model.another_engine(), model.n_vocab)


def fresh(model: Any, ids: list[int]) -> Any:
    return model.another_engine().read_texts([ids], len(ids))[:, : model.n_vocab]


def check(model: Any, reader: Reader, ids: list[int]) -> None:
    reading, logits = reader.read(ids), fresh(model, ids)
    assert reading.ids == tuple(ids)
    for position in range(len(ids)):
        np.testing.assert_allclose(reader.logits(position), logits[position], atol=2e-4)
    exact = logits.astype(np.float64)
    logprobs = exact - np.log(np.exp(exact - exact.max(1, keepdims=True)).sum(1, keepdims=True)) - exact.max(1)[:, None]
    assert reading.came[0] is None
    for position, found in enumerate(reading.came[1:], start=1):
        assert found is not None
        assert found.bits == pytest.approx(-logprobs[position - 1, ids[position]] / np.log(2), abs=1e-3)


def test_only_the_changed_end_is_read_again(model: Any, reader: Reader) -> None:
    ids = model.encode_prompt("Once upon a time there was a little girl")
    check(model, reader, ids)
    assert reader.read_tokens == len(ids)
    check(model, reader, [*ids, 257])
    assert reader.read_tokens == len(ids) + 1
    check(model, reader, [*ids[:-2], 11])
    assert reader.read_tokens == len(ids) + 2
    reader.read(ids[:3])
    assert reader.read_tokens == len(ids) + 2  # what is cut off is forgotten


def test_a_text_longer_than_the_cache(model: Any, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_CAPACITY", 8)
    monkeypatch.setattr(module, "_PIECE", 5)
    ids = model.encode_prompt("Once upon a time there was a little girl who lived in a house by the sea")
    check(model, reader, ids[:6])
    check(model, reader, ids)
    check(model, reader, ids[:4])


def test_logits_that_were_dropped_are_read_again(model: Any, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LOGITS", 4 * 3 * model.n_vocab)
    ids = model.encode_prompt("Once upon a time there was a little girl")
    check(model, reader, ids)
    check(model, reader, ids[:2] + ids[5:])


def test_the_rank_of_equal_logits_goes_by_id() -> None:
    logits = np.array([1.0, 2.0, 1.0, 1.0], dtype=np.float32)
    assert [came(logits, token).rank for token in range(4)] == [2, 1, 3, 4]


def test_numbers_that_overflow_are_told_and_the_next_text_is_read() -> None:
    table = np.zeros((4, 4))
    table[3] = np.inf
    reader = Reader(ToyEngine(table), 4)
    reader.read([0, 1])
    with pytest.raises(OverflowedError):
        reader.read([0, 3])
    assert reader.read([0, 1]).came[1] is not None

"""What rows of logits say, in C and in numpy, against sums of Python's own."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from gptcli.errors import OverflowedError
from gptcli.probability import reading

COUNT = 300


@pytest.fixture(params=["C", "numpy"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy":
        monkeypatch.setattr(reading, "library", lambda: None)


def rows_of_logits() -> NDArray[np.float32]:
    """Some rows: flat, sharp, with ties, and with logits of -infinity; a part of wider rows, as padding leaves it."""
    logits = np.random.default_rng(3).normal(size=(4, COUNT + 20)).astype(np.float32) * [[0], [30], [2], [3]]
    logits[2] = np.round(logits[2])
    logits[3, 5:40] = -np.inf
    return logits.astype(np.float32)[:, :COUNT]


@pytest.mark.usefixtures("_engine")
def test_rows_say_what_the_sums_say() -> None:
    logits, following = rows_of_logits(), [17, 299, 40, None]
    found = reading.expectations(logits, following)
    for row, token, best, probability, nats, logprob, rank in zip(logits.tolist(), following, *found, strict=True):
        largest = max(row)
        weights = [math.exp(value - largest) for value in row]
        total = math.fsum(weights)
        assert best == row.index(largest)
        assert probability == pytest.approx(1 / total, rel=1e-12)
        entropy = -math.fsum(weight / total * math.log(weight / total) for weight in weights if weight > 0)
        assert nats == pytest.approx(entropy, rel=1e-10, abs=1e-12)
        if token is None:
            assert (logprob, rank) == (0, 0)
        else:
            assert logprob == pytest.approx(math.log(weights[token] / total), rel=1e-11)
            assert rank == 1 + sorted(range(COUNT), key=lambda index: (-row[index], index)).index(token)


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_overflowed_logits_are_told(bad: float) -> None:
    logits = rows_of_logits()
    logits[1, 100] = bad
    with pytest.raises(OverflowedError):
        reading.expectations(logits, [0] * 4)
    with pytest.raises(OverflowedError):
        reading.expectations(np.full((1, 5), -np.inf, np.float32), [0])

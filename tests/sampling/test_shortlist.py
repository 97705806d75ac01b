"""The short way to a token against the long one: the same ids, bit for bit, in C and in numpy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.special import logsumexp

from gptcli.errors import GptcliError
from gptcli.sampling import shortlist as module
from gptcli.sampling.draw import draw_token, generator_for
from gptcli.sampling.settings import Kept, Sampling
from gptcli.sampling.shortlist import shortlist

WAYS = ["as built", "without C"]
# Few different numbers, so that many are equal; and numbers so near to one another that dividing makes them equal.
NUMBERS = st.one_of(
    st.sampled_from([-3.0, -1.0, 0.0, 1.0, 1.5]),
    st.sampled_from([1e-30, 2e-30, 8.0]),
    st.floats(-50, 50, width=32),
    st.just(-math.inf),
)
ROWS = arrays.arrays(np.float32, st.integers(1, 200), elements=NUMBERS)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without C":
        monkeypatch.setattr(module, "library", lambda: None)
    return str(request.param)


@pytest.mark.parametrize("size", [1, 7, 64, 65, 1000, 50_257])
def test_the_largest_are_those_of_a_sort(way: str, size: int) -> None:
    for seed in range(3):
        logits = np.random.default_rng(seed).normal(0, 4, size).astype(np.float32)
        logits[seed::5] = np.round(logits[seed::5])  # some are equal
        for count in {1, min(41, size), min(512, size), min(600, size)}:
            found = shortlist(logits, count)
            assert found.ids.tolist() == np.argsort(-logits, kind="stable")[:count].tolist()
            assert found.log_sum == pytest.approx(float(logsumexp(logits.astype(np.float64))), abs=1e-13, rel=1e-14)


@pytest.mark.parametrize("spread", [0.0, 1.0, 300.0, 5000.0])
def test_the_normalizer_of_flat_and_of_steep_logits(way: str, spread: float) -> None:
    logits = (np.random.default_rng(1).normal(0, 1, 5001) * spread + 3).astype(np.float32)
    expected = float(logsumexp(logits.astype(np.float64)))
    assert shortlist(logits, 1).log_sum == pytest.approx(expected, abs=1e-13, rel=1e-14)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 3, 70, 99])
def test_a_number_that_is_none_is_told(way: str, broken: float, place: int) -> None:
    logits = np.linspace(-1, 1, 100).astype(np.float32)
    logits[place] = broken
    for normalize in (True, False):
        with pytest.raises(GptcliError, match="not finite"):
            shortlist(logits, 5, normalize=normalize)


def test_none_that_is_finite(way: str) -> None:
    for normalize in (True, False):
        with pytest.raises(GptcliError, match="not finite"):
            shortlist(np.full(70, -np.inf, np.float32), 5, normalize=normalize)


def test_without_the_normalizer(way: str) -> None:
    logits = np.random.default_rng(0).normal(0, 4, 1000).astype(np.float32)
    logits[7] = -np.inf
    found = shortlist(logits, 41, normalize=False)
    assert found.ids.tolist() == shortlist(logits, 41).ids.tolist()
    assert found.log_sum is None


@pytest.mark.slow
@settings(max_examples=300)
@given(ROWS, st.sampled_from([0.0, 1e-300, 0.3, 0.8, 1.0, 2.0, 1e30]), st.integers(0, 60), st.integers(0, 99))
def test_what_is_kept_and_drawn_is_what_the_filters_leave(
    logits: NDArray[np.float32], temperature: float, top_k: int, seed: int
) -> None:
    logits[seed % logits.size] = max(logits[seed % logits.size], np.float32(-4))  # one at least is finite
    sampling = Sampling(temperature=temperature, top_k=top_k)
    whole = Kept.of(sampling.filter(logits, []))
    kept = sampling.keep(logits, list, shortlist(logits, sampling.shortlist_size).ids)
    assert kept.ids.tolist() == whole.ids.tolist()
    assert kept.logits.dtype == whole.logits.dtype
    assert kept.logits.tobytes() == whole.logits.tobytes()
    if whole.ids.size:
        assert draw_token(kept, generator_for(seed, 0)) == draw_token(whole, generator_for(seed, 0))


@pytest.mark.parametrize(
    "sampling",
    [Sampling(top_k=5, top_p=0.5), Sampling(top_k=5, min_p=0.1), Sampling(temperature=0, repetition_penalty=1.5),
     Sampling(top_k=5, no_repeat_ngram=2), Sampling(top_k=5, logit_bias={3: 9.0}), Sampling(top_k=5, typical_p=0.5),
     Sampling()],
)  # fmt: skip
def test_where_all_logits_count_all_are_looked_at(sampling: Sampling) -> None:
    assert sampling.shortlist_size == 0
    logits = np.random.default_rng(0).normal(0, 2, 50).astype(np.float32)
    whole = Kept.of(sampling.filter(logits, [3, 4, 3]))
    kept = sampling.keep(logits, lambda: [3, 4, 3], shortlist(logits, sampling.shortlist_size).ids)
    assert kept.ids.tolist() == whole.ids.tolist()

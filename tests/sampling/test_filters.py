"""The filters against probabilities worked out by hand and against transformers, and the draw against chance itself."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from gptcli.errors import InputError
from gptcli.sampling import filters
from gptcli.sampling.draw import draw_token, generator_for
from gptcli.sampling.filters import FILTERS, Logits
from gptcli.sampling.settings import Kept, Sampling
from gptcli.sampling.softmax import log_softmax, softmax

INF = math.inf
ORDER = [each.name for each in FILTERS]


def logits_of(*probabilities: float) -> Logits:
    """Logits whose softmax is this, up to rounding; 0 becomes -inf."""
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, dtype=np.float64)).astype(np.float32)


def kept(logits: Logits) -> list[int]:
    return np.flatnonzero(logits > -INF).tolist()


# By hand: a distribution of six tokens, not in order.
HAND = logits_of(0.10, 0.40, 0.05, 0.25, 0.15, 0.05)


@pytest.mark.parametrize(
    ("k", "left"), [(1, [1]), (2, [1, 3]), (3, [1, 3, 4]), (5, [0, 1, 2, 3, 4]), (6, [*range(6)]), (99, [*range(6)])]
)
def test_top_k_by_hand(k: int, left: list[int]) -> None:
    assert kept(filters.keep_top_k(HAND, k)) == left  # 2 and 5 tie: the lower id stays


# Sums from the top: 0.40, 0.65, 0.80, 0.90, 0.95, 1.00.
@pytest.mark.parametrize(
    ("p", "left"),
    [
        (1e-9, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.64, [1, 3]),
        (0.66, [1, 3, 4]),
        (0.81, [0, 1, 3, 4]),
        (0.91, [0, 1, 2, 3, 4]),
        (0.96, [*range(6)]),
    ],
)
def test_top_p_by_hand(p: float, left: list[int]) -> None:
    assert kept(filters.keep_top_p(HAND, p)) == left


def test_top_p_keeps_the_set_that_just_reaches_p() -> None:
    quarters = np.zeros(4, dtype=np.float32)
    assert kept(filters.keep_top_p(quarters, 0.5)) == [0, 1]
    assert kept(filters.keep_top_p(quarters, 0.500001)) == [0, 1, 2]


# Shares of the largest: 0.25, 1, 0.125, 0.625, 0.375, 0.125.
@pytest.mark.parametrize(
    ("p", "left"),
    [(0.12, [*range(6)]), (0.13, [0, 1, 3, 4]), (0.26, [1, 3, 4]), (0.38, [1, 3]), (0.63, [1]), (1.0, [1])],
)
def test_min_p_by_hand(p: float, left: list[int]) -> None:
    assert kept(filters.keep_min_p(HAND, p)) == left


# The entropy is 1.524 nats. Distances of the surprisals (2.303, 0.916, 2.996, 1.386, 1.897, 2.996) from it:
# 0.778, 0.608, 1.471, 0.138, 0.373, 1.471; so the order is 3, 4, 1, 0, 2, 5 and the sums 0.25, 0.40, 0.80, 0.90, ...
@pytest.mark.parametrize(
    ("p", "left"), [(0.2, [3]), (0.3, [3, 4]), (0.5, [1, 3, 4]), (0.85, [0, 1, 3, 4]), (0.92, [0, 1, 2, 3, 4])]
)
def test_typical_p_by_hand(p: float, left: list[int]) -> None:
    assert kept(filters.keep_typical_p(HAND, p)) == left


def test_temperature_by_hand() -> None:
    # p^(1/T) / sum: at 0.5 the squares 0.04, 0.64 and 0.32^2 ... of 0.2, 0.8; at 2 the roots.
    two = logits_of(0.2, 0.8)
    assert softmax(filters.scale(two, 0.5)) == pytest.approx([0.04 / 0.68, 0.64 / 0.68], abs=1e-7)
    assert softmax(filters.scale(two, 2.0)) == pytest.approx([1 / 3, 2 / 3], abs=1e-7)


def test_repetition_penalty_by_hand() -> None:
    logits = np.array([2.0, -2.0, 3.0, -3.0, 0.0], dtype=np.float32)
    made = filters.penalize_repetition(logits, [0, 1, 4, 0, 0], 2.0)  # once, however often it was seen
    assert made.tolist() == [1.0, -4.0, 3.0, -3.0, 0.0]
    assert logits.tolist() == [2.0, -2.0, 3.0, -3.0, 0.0]
    assert filters.penalize_repetition(logits, [0, 1], 0.5).tolist() == [4.0, -1.0, 3.0, -3.0, 0.0]


@pytest.mark.parametrize(
    ("seen", "n", "banned"),
    [
        ([1, 2, 3, 1, 2], 3, [3]),
        ([1, 2, 3, 1, 2, 4, 1, 2], 3, [3, 4]),
        ([1, 2, 3, 1], 2, [2]),
        ([1, 1], 2, [1]),
        ([1, 2, 1], 1, [1, 2]),
        ([1, 2], 3, []),
        ([1, 2, 3], 3, []),
        ([], 1, []),
        ([1, 2, 3], 10**30, []),
    ],
)
def test_no_repeat_ngram_by_hand(seen: list[int], n: int, banned: list[int]) -> None:
    assert kept(filters.forbid_ngrams(np.zeros(6, dtype=np.float32), seen, n)) == [
        token for token in range(6) if token not in banned
    ]


def test_logit_bias_by_hand() -> None:
    logits = np.array([0.0, 1.0, 2.0], dtype=np.float32)
    assert filters.add_bias(logits, {0: 5.0, 2: -INF}).tolist() == [5.0, 1.0, -INF]
    assert logits.tolist() == [0.0, 1.0, 2.0]


def test_all_filters_by_hand() -> None:
    """One run through the whole chain, where each filter has something to cut that only its place makes it cut.

    Ten tokens with logits 0..9 times ln 2: each is twice as probable as the one before.
    """
    logits = (np.arange(10) * math.log(2)).astype(np.float32)
    choice = Sampling(
        logit_bias={9: -INF, 0: 8 * math.log(2)},  # 9 is out; 0 is level with 8
        repetition_penalty=2.0,  # 8 was seen: level with 4 now
        no_repeat_ngram=2,  # after 8 came 7: forbidden
        temperature=0.5,  # ratios are squared: 0 has 8, 6 has 6, 5 has 5, 8 and 4 have 4, then 3, 2, 1 (log4 units)
        top_k=5,  # of the tie 4, 8 both stay: 0, 6, 5, 4, 8
        top_p=0.9999,  # their weights 65536, 4096, 1024, 256, 256: all are needed
        min_p=0.004,  # 256 / 65536 = 0.0039: 4 and 8 go
    )
    assert kept(choice.filter(logits, [8, 7, 8])) == [0, 5, 6]
    assert [name for name, _ in choice.filters([])] == [name for name in ORDER if name != "typical-p"]
    weights = [65536, 1024, 4096]
    assert softmax(choice.filter(logits, [8, 7, 8]))[[0, 5, 6]] == pytest.approx(
        [weight / sum(weights) for weight in weights], rel=1e-5
    )


def test_filters_apply_in_the_documented_order() -> None:
    everything = Sampling(
        temperature=0.5,
        top_k=5,
        top_p=0.9,
        min_p=0.1,
        typical_p=0.9,
        repetition_penalty=1.5,
        no_repeat_ngram=2,
        logit_bias={0: 1.0},
    )
    assert [name for name, _ in everything.filters([])] == ORDER
    assert Sampling().filters([1, 2]) == []


# Against transformers

WARPERS: dict[str, tuple[Sampling, Callable[[], Any]]] = {
    "temperature 0.3": (Sampling(temperature=0.3), lambda: TemperatureLogitsWarper(0.3)),
    "temperature 3": (Sampling(temperature=3.0), lambda: TemperatureLogitsWarper(3.0)),
    "top-k 1": (Sampling(top_k=1), lambda: TopKLogitsWarper(1)),
    "top-k 40": (Sampling(top_k=40), lambda: TopKLogitsWarper(40)),
    "top-p 0.1": (Sampling(top_p=0.1), lambda: TopPLogitsWarper(0.1)),
    "top-p 0.9": (Sampling(top_p=0.9), lambda: TopPLogitsWarper(0.9)),
    "min-p 0.02": (Sampling(min_p=0.02), lambda: MinPLogitsWarper(0.02)),
    "min-p 0.5": (Sampling(min_p=0.5), lambda: MinPLogitsWarper(0.5)),
    "typical-p 0.2": (Sampling(typical_p=0.2), lambda: TypicalLogitsWarper(0.2)),
    "typical-p 0.95": (Sampling(typical_p=0.95), lambda: TypicalLogitsWarper(0.95)),
    "repetition 1.3": (Sampling(repetition_penalty=1.3), lambda: RepetitionPenaltyLogitsProcessor(1.3)),
    "repetition 0.7": (Sampling(repetition_penalty=0.7), lambda: RepetitionPenaltyLogitsProcessor(0.7)),
    "n-gram 1": (Sampling(no_repeat_ngram=1), lambda: NoRepeatNGramLogitsProcessor(1)),
    "n-gram 2": (Sampling(no_repeat_ngram=2), lambda: NoRepeatNGramLogitsProcessor(2)),
    "n-gram 3": (Sampling(no_repeat_ngram=3), lambda: NoRepeatNGramLogitsProcessor(3)),
    "all": (
        Sampling(
            temperature=0.8, top_k=60, top_p=0.9, min_p=0.01, typical_p=0.95, repetition_penalty=1.2, no_repeat_ngram=2
        ),
        lambda: LogitsProcessorList(
            [
                RepetitionPenaltyLogitsProcessor(1.2),
                NoRepeatNGramLogitsProcessor(2),
                TemperatureLogitsWarper(0.8),
                TopKLogitsWarper(60),
                TopPLogitsWarper(0.9),
                MinPLogitsWarper(0.01),
                TypicalLogitsWarper(0.95),
            ]
        ),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), WARPERS.values(), ids=WARPERS.keys())
@pytest.mark.parametrize("seed", range(5))
def test_filters_equal_those_of_transformers(ours: Sampling, theirs: Callable[[], Any], seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2.5, 500).astype(np.float32)
    # Few different tokens, so that n-grams do repeat; and the likely ones among them.
    seen = random.choice(np.argsort(-logits)[:8], 60).tolist()

    expected = theirs()(torch.tensor([seen]), torch.from_numpy(logits)[None].clone())[0].numpy()
    got = ours.filter(logits, seen)

    assert kept(got) == kept(expected)
    assert softmax(got) == pytest.approx(softmax(expected), abs=1e-6)
    assert 0 < len(kept(got)) <= 500


# What holds for any logits

ANY_LOGITS = arrays.arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-(2.0**100), 2.0**100, width=32)),
)
ANY_SAMPLING = st.builds(
    Sampling,
    temperature=st.one_of(st.sampled_from([0.0, 1.0, 1e-40, 1e40, 5e-324, 1e308]), st.floats(0, 5)),
    top_k=st.integers(0, 50),
    top_p=st.floats(0, 1, exclude_min=True),
    min_p=st.floats(0, 1),
    typical_p=st.floats(0, 1, exclude_min=True),
    repetition_penalty=st.one_of(st.sampled_from([1.0, 1e-40, 1e40, 5e-324, 1e308]), st.floats(0, 5, exclude_min=True)),
    logit_bias=st.dictionaries(st.just(0), st.floats(-1e308, 1e308), max_size=1),
)


@pytest.mark.slow
@given(ANY_LOGITS, ANY_SAMPLING, st.integers(0, 2**64 - 1))
@settings(max_examples=400)
def test_something_is_always_left_and_can_be_drawn(logits: Logits, choice: Sampling, seed: int) -> None:
    before = logits.copy()
    filtered = choice.filter(logits, [0])
    assert np.array_equal(logits, before)  # a filter never writes to what it was given
    assert filtered.shape == logits.shape
    assert not np.isnan(filtered).any()
    assert filtered.max() < INF
    left = kept(filtered)
    assert left
    assert draw_token(Kept.of(filtered), generator_for(seed, 0)) in left
    if choice.top_k:
        assert len(left) <= choice.top_k
    if choice.temperature == 0:
        assert len(left) == 1


@pytest.mark.slow
@given(ANY_LOGITS, ANY_SAMPLING)
@settings(max_examples=200)
def test_what_is_kept_keeps_its_order(logits: Logits, choice: Sampling) -> None:
    filtered = Sampling(
        temperature=choice.temperature,
        top_k=choice.top_k,
        top_p=choice.top_p,
        min_p=choice.min_p,
        typical_p=choice.typical_p,
    ).filter(logits, [])
    left = kept(filtered)
    a, b = logits[left][:, None], filtered[left][:, None]
    assert not ((a < a.T) & (b > b.T)).any()
    assert ((a == a.T) <= (b == b.T)).all()


@pytest.mark.slow
@given(ANY_LOGITS, st.integers(1, 45), st.sampled_from([1.0, 1e-40, 0.1, 7.0, 1e40, 1e300]))
@settings(max_examples=200)
def test_exactly_k_remain_the_largest_and_of_equals_the_lowest_ids(logits: Logits, k: int, temperature: float) -> None:
    wanted = sorted(range(logits.size), key=lambda token: (-logits[token], token))[:k]
    if temperature == 1.0:
        assert kept(Sampling(top_k=k).filter(logits, [])) == sorted(wanted)
    else:
        # No temperature, however extreme, changes which are the largest.
        moderate = np.clip(np.round(logits, 3), -50, 50)
        wanted = sorted(range(moderate.size), key=lambda token: (-moderate[token], token))[:k]
        assert kept(Sampling(temperature=temperature, top_k=k).filter(moderate, [])) == sorted(wanted)


def test_extreme_temperatures() -> None:
    logits = np.array([1.0, 3.0, 2.0, 2.9999], dtype=np.float32)
    assert softmax(Sampling(temperature=1e-40).filter(logits, [])).tolist() == [0, 1, 0, 0]
    assert kept(Sampling(temperature=0).filter(logits, [])) == [1]
    assert softmax(Sampling(temperature=1e40).filter(logits, [])).tolist() == [0.25] * 4
    equal = np.array([1.0, 1.0], dtype=np.float32)
    assert kept(Sampling(temperature=0).filter(equal, [])) == [0]
    assert softmax(Sampling(temperature=1e-40).filter(equal, [])).tolist() == [0.5, 0.5]


def test_forbidding_everything_leaves_nothing_and_says_nothing() -> None:
    """Without a warning of numpy's, which would land on stderr (here they are errors)."""
    logits = np.zeros(3, dtype=np.float32)
    choice = Sampling(
        temperature=0.5, top_k=2, top_p=0.5, min_p=0.5, typical_p=0.5, repetition_penalty=1.5, no_repeat_ngram=1
    )
    assert kept(choice.filter(logits, [0, 1, 2])) == []
    assert kept(Sampling(temperature=0, no_repeat_ngram=1).filter(logits, [0, 1, 2])) == []


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("temperature", [-1.0, -1e-300, INF, math.nan]),
        ("top_k", [-1]),
        ("top_p", [0.0, -0.1, 1.0001, INF, math.nan]),
        ("min_p", [-0.1, 1.0001, INF, math.nan]),
        ("typical_p", [0.0, -0.1, 1.0001, INF, math.nan]),
        ("repetition_penalty", [0.0, -1.0, INF, math.nan]),
        ("no_repeat_ngram", [-1]),
    ],
)
def test_what_is_no_setting_is_refused_by_name(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InputError, match=f"--{field.replace('_', '-')} {value}"):
            Sampling(**{field: value})


# The draw


def chi_squared(counts: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """p-value of the counts; what cannot happen must not have happened."""
    from scipy import stats

    assert counts[probabilities == 0].sum() == 0
    possible = probabilities > 0
    return float(stats.chisquare(counts[possible], probabilities[possible] * counts.sum()).pvalue)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "exact"),
    [
        (Sampling(), [0.10, 0.40, 0.05, 0.25, 0.15, 0.05]),
        (Sampling(top_k=3), [0, 0.5, 0, 0.3125, 0.1875, 0]),
        (Sampling(temperature=2.0), (np.sqrt([0.10, 0.40, 0.05, 0.25, 0.15, 0.05])).tolist()),
        (Sampling(temperature=0.5, top_p=0.7), [0, 0.16, 0, 0.0625, 0, 0]),
    ],
    ids=["plain", "top-k", "hot", "cold top-p"],
)
@pytest.mark.parametrize("across", ["draws of a sample", "seeds", "samples"])
def test_20_000_draws_follow_the_exact_distribution(choice: Sampling, exact: list[float], across: str) -> None:
    filtered = choice.filter(HAND, [])
    if across == "draws of a sample":
        generator = generator_for(7, 0)
        drawn = [draw_token(Kept.of(filtered), generator) for _ in range(20_000)]
    elif across == "seeds":  # the first draw of many seeds, as --seed 0, 1, 2, ... would give
        drawn = [draw_token(Kept.of(filtered), generator_for(seed, 0)) for seed in range(20_000)]
    else:
        drawn = [draw_token(Kept.of(filtered), generator_for(7, sample)) for sample in range(20_000)]
    counts = np.bincount(drawn, minlength=6)
    probabilities = np.array(exact) / np.sum(exact)
    # Two-sided: draws that fit too well would be no draws.
    assert 0.001 < chi_squared(counts, probabilities) < 0.999
    # And the test can tell: a distribution that is off by two points is refused.
    wrong = np.where(
        np.arange(6) == 1, probabilities - 0.02, np.where(np.arange(6) == 3, probabilities + 0.02, probabilities)
    )
    assert chi_squared(counts, wrong) < 0.001


def test_a_draw_takes_one_number_whatever_is_left() -> None:
    many, one = generator_for(3, 0), generator_for(3, 0)
    draw_token(Kept.of(HAND), many)
    draw_token(Kept.of(filters.keep_top_k(HAND, 1)), one)
    assert many.random() == one.random()


def test_every_seed_and_sample_has_draws_of_its_own() -> None:
    seeds = [0, 1, 2, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    firsts = {generator_for(seed, sample).random() for seed in seeds for sample in range(4)}
    assert len(firsts) == 4 * len(seeds)
    # A seed must mean the same tomorrow: Philox4x64-10 under the key (5, 3).
    assert generator_for(5, 3).random(3) == pytest.approx([0.75157273, 0.41151046, 0.72116257], abs=1e-8)


def test_softmax_and_its_logarithm() -> None:
    logits = np.array([-INF, 1000.0, 1000.0, -1000.0], dtype=np.float32)
    assert softmax(logits).tolist() == [0, 0.5, 0.5, 0]
    assert log_softmax(logits).tolist() == pytest.approx([-INF, -math.log(2), -math.log(2), -2000 - math.log(2)])
    many = np.random.default_rng(0).normal(0, 5, (3, 50)).astype(np.float32)
    expected = torch.log_softmax(torch.from_numpy(many).double(), dim=-1).numpy()
    assert np.abs(log_softmax(many) - expected).max() < 1e-12
    assert np.abs(softmax(many) - np.exp(expected)).max() < 1e-12

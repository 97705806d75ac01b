"""Figures as people read them, by hand."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.show.blocks.figures import choices, one_in, percent, percents


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "0.00%"),
        (1.0, "100.00%"),
        (0.99999, ">99.99%"),
        (0.9999, "99.99%"),
        (0.107, "10.70%"),
        (0.0101, "1.01%"),
        (0.001, "0.10%"),
        (0.00019, "0.019%"),
        (0.000005, "0.00050%"),
        (1.4e-7, "1 in 7 million"),
        (9.9e-7, "1 in 1 million"),
        (1.45e-8, "1 in 69 million"),
        (3e-10, "1 in 3 billion"),
        (2.2e-13, "1 in 5 trillion"),
        (1e-20, "1 in 10^20"),
        (5e-324, "1 in 10^323"),
    ],
)
def test_probabilities(probability: float, shown: str) -> None:
    assert percent(probability) == shown


@given(st.floats(1e-300, 1, exclude_max=True))
def test_what_is_possible_is_neither_0_nor_100(probability: float) -> None:
    shown = percent(probability)
    assert shown.startswith(("1 in ", ">99.99")) or 0 < float(shown[:-1]) < 100


@given(st.floats(1e-14, 9.9e-7))
def test_one_in_so_many_is_right_to_a_digit(probability: float) -> None:
    _, _, count, name = one_in(probability).split(" ")
    times = float(count.replace(",", "")) * {"million": 1e6, "billion": 1e9, "trillion": 1e12}[name]
    assert times * probability == pytest.approx(1, rel=0.5)
    assert len(count) <= 3


def test_a_column_tells_neighbours_apart() -> None:
    assert percents([0.000190, 0.000187, 0.000183]) == ["0.0190%", "0.0187%", "0.0183%"]
    assert percents([0.107, 0.0523, 0.0522]) == ["10.70%", "5.23%", "5.22%"]
    assert percents([1.0, 0.0, 0.0]) == ["100.00%", "0.00%", "0.00%"]
    assert percents([0.25, 0.25]) == ["25.00%", "25.00%"]  # what is equal looks equal
    assert percents([]) == []
    # What is small has digits of its own: those of the large do not grow.
    assert percents([0.9984, 0.0006, 0.0000165, 0.0000134]) == ["99.84%", "0.060%", "0.0017%", "0.0013%"]


@pytest.mark.slow
@given(st.lists(st.floats(1e-5, 0.9), max_size=20))
def test_digits_stay_few_and_neighbours_differ(probabilities: list[float]) -> None:
    shown = percents(probabilities)
    for (one, other), (first, second) in zip(pairwise(probabilities), pairwise(shown), strict=True):
        assert first != second or abs(one - other) < 2e-6
    assert max(map(len, shown), default=0) <= len("0.0010000%")


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "no choice"),
        (1.01, "hardly any choice"),
        (2, "about 2.0 equally likely choices"),
        (6.48, "about 6.5 equally likely choices"),
        (290.6, "about 290 equally likely choices"),
        (42_611, "about 43,000 equally likely choices"),
    ],
)
def test_entropy_as_choices(count: float, said: str) -> None:
    assert choices(math.log2(count)) == said

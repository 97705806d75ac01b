"""Bars of neighbours: where they begin, and that this is said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.show.vectors import _axis
from tests.commands.test_neighbors import run


@pytest.mark.parametrize(
    ("scores", "cosine", "axis"),
    [
        ([0.852, 0.766, 0.746], True, (0.7, 0.9)),
        ([0.9, 0.1], True, (0.0, 1.0)),
        ([0.5, -0.2], True, (-0.2, 1.0)),
        ([27.2, 22.7], False, (22.0, 28.0)),
        ([3.0, 0.5], False, (0.0, 3.0)),
        ([0.8], True, (0.0, 1.0)),
        ([], True, (0.0, 1.0)),
    ],
)
def test_the_axis_by_hand(scores: list[float], cosine: bool, axis: tuple[float, float]) -> None:
    assert _axis(scores, cosine=cosine) == axis


@pytest.mark.slow
@given(st.lists(st.integers(1, 9999).map(lambda n: n / 100), min_size=2, max_size=20))
def test_all_bars_are_seen_and_none_is_too_long(scores: list[float]) -> None:
    low, high = _axis(scores, cosine=False)
    assert low < min(scores) or low == 0
    assert high >= max(scores) - 1e-9


def test_where_bars_begin_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("king", "--top", "6").stdout
    found = re.search(r"bars begin at ([\d.]+) and end at ([\d.]+)\n", shown)
    assert found
    low, high = map(float, found.groups())
    rows = re.findall(r"(0\.\d{3})   ([█▉▊▋▌▍▎▏]+)", shown)
    assert len(rows) == 6
    for figure, bar in rows:
        cells = bar.count("█") + (" ▏▎▍▌▋▊▉".index(bar[-1]) / 8 if bar[-1] != "█" else 0)
        assert cells / 40 == pytest.approx((float(figure) - low) / (high - low), abs=0.02)

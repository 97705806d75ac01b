"""Small multiples: one scale at every width, and columns that give way in their order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.show.blocks.multiples import Column, Multiple, Multiples
from tests.show.test_pictures import drawn

TOKENS = Column("token", ["·queen", "·princess", "50,249 more"])
IDS = Column(">id", ["16599", "21752", ""])


def made(count: int) -> Multiples:
    each = [
        Multiple(f"T = {number}", ["50.00%", "25.00%", "25.00%"], [1 / 2**number, 0.25 / 2**number, None], "#ffffff")
        for number in range(count)
    ]
    return Multiples([TOKENS, IDS], each, ("id",), dim=frozenset([2]))


def lengths(picture: str, row: str) -> list[float]:
    """The lengths of a row's bars, in cells, wherever they stand."""
    bars = [bar for line in picture.splitlines() if row in line for bar in re.findall(r"%   ([▏▎▍▌▋▊▉█]+)", line)]
    return [sum("▏▎▍▌▋▊▉█".index(cell) + 1 for cell in bar) / 8 for bar in bars]


@pytest.mark.slow
@given(st.integers(30, 220), st.integers(1, 5))
def test_all_bars_are_on_one_scale_and_every_line_fits(width: int, count: int) -> None:
    picture = drawn(made(count), width)
    assert all(len(line) <= width for line in picture.splitlines())
    assert "…" not in picture
    queens, princesses = lengths(picture, "·queen"), lengths(picture, "·princess")
    assert len(queens) == len(princesses) == count
    for number, (long, short) in enumerate(zip(queens, princesses, strict=True)):
        assert long == pytest.approx(queens[0] / 2**number, abs=1 / 8)  # an eighth of a cell, or the least sliver
        assert short == pytest.approx(queens[0] / 2**number / 4, abs=1 / 8)


@pytest.mark.parametrize(
    ("width", "side_by_side", "missing"), [(200, True, False), (100, True, True), (70, True, True), (50, False, False)]
)
def test_the_id_goes_first_then_they_stand_below_each_other(width: int, side_by_side: bool, missing: bool) -> None:
    picture = drawn(made(3), width)
    assert picture.count("token") == (1 if side_by_side else 3)
    assert ("not shown: id" in picture) == missing
    assert ("16599" in picture) != missing


def test_where_no_bar_fits_the_figures_stay() -> None:
    picture = drawn(made(2), 24)
    assert "█" not in picture
    assert picture.count("50.00%") == 2
    assert "not shown: id, bars" in picture


def test_groups_are_of_one_size() -> None:
    """Four where three would fit are two and two."""
    picture = drawn(made(4), 75)
    assert [line.count("T =") for line in picture.splitlines() if "T =" in line] == [2, 2]

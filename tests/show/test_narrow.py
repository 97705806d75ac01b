"""Tables on narrow terminals: fewer columns, which are named, and never a figure that is cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.show.blocks.narrow import BARS, Narrowing, narrowing
from gptcli.show.blocks.pictures import Bar, table
from tests.show.test_pictures import drawn


def rows(width: int) -> str:
    made = table(">rank", "token", ">logit", BARS)
    made.add_row("1", "·queen", "12.345", Bar(1.0))
    made.add_row("", "50,256 more", "", "", style="dim", end_section=True)
    made.add_row("22", "·king", "-1.500", Bar(0.25))
    return drawn(narrowing(made, "rank", BARS, "logit"), width)


@pytest.mark.parametrize(
    ("width", "missing"), [(40, ""), (34, ""), (30, "rank"), (24, "rank, bars"), (16, "rank, bars, logit")]
)
def test_columns_go_in_their_order_and_are_named(width: int, missing: str) -> None:
    shown = rows(width)
    assert re.sub(r"\s+", " ", shown).strip().endswith(f"not shown: {missing}") == bool(missing)
    assert ("12.345" in shown) == ("logit" not in missing)
    assert ("█" in shown) == ("bars" not in missing)
    assert "·queen" in shown
    assert "50,256 more" in shown


def test_where_nothing_helps_names_are_cut_and_figures_are_not() -> None:
    made = table("token", ">logit")
    made.add_row("·refrigerators", "12.345")
    shown = drawn(narrowing(made), 18)
    assert "12.345" in shown
    assert "·refri…" in shown


@pytest.mark.slow
@given(st.integers(24, 120))
def test_no_figure_is_cut(width: int) -> None:
    shown = rows(width)
    assert "…" not in shown
    assert all(len(line) <= width for line in shown.splitlines())
    assert "12.345" in shown


@pytest.mark.slow
@given(st.integers(24, 160), st.integers(1, 6))
def test_what_has_no_room_beside_comes_below(width: int, count: int) -> None:
    def block(parts: list[int]) -> object:
        made = table(">layer", *(each for part in parts for each in (f">value {part}", BARS)))
        made.add_row("7", *(cell for part in parts for cell in (f"{part}.250", Bar(part / 9))))
        return made

    shown = drawn(Narrowing(block, range(count), ("layer", BARS)), width)  # type: ignore[arg-type]
    assert "…" not in shown
    assert re.findall(r"\d\.250", shown) == [f"{part}.250" for part in range(count)]
    assert "bars" not in shown  # they stay while anything can go below
    if width >= 13 + 19 * count:  # all fit: they are side by side
        assert shown.count("layer") == 1

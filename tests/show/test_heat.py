"""Heat maps, cell by cell."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from gptcli.show.blocks import heat, palette
from gptcli.show.html.parts import Legend
from gptcli.show.terminal.encoding import _ERRORS as HANDLER
from tests.show.test_pictures import drawn

NOTHING = -math.inf


def test_labels_are_shown_and_not_obeyed() -> None:
    shown = drawn(heat.heat_map(["[bold]a"], ["[red]b", "\x1b[31mc"], [[0.0, 1.0]]), 200)
    assert "[bold]a" in shown
    assert "[red]b" in shown
    assert "\x1b" not in shown


def test_heat_map_carries_its_values_without_colour_and_with() -> None:
    grid = heat.heat_map(["a", "b"], ["x", "y"], [[0.0, 0.5], [0.25, 1.0]])
    for colour in (False, True):
        shown = drawn(grid, colour=colour)
        assert all(value in shown for value in ("0.000", "0.500", "0.250", "1.000"))
    assert "48;2;0;34;78" in shown  # the smallest
    assert "48;2;254;232;56" in shown  # the largest
    assert "0.500" in drawn(heat.heat_map(["a"], ["x"], [[0.5]]))  # all alike


def test_figures_with_signs_have_the_colours_of_their_bars() -> None:
    shown = drawn(heat.heat_map(["a"], ["x", "y"], [[-1.0, 1.0]], (-1.0, 1.0), signed=True), colour=True)
    for each in (palette.DARK.negative, palette.DARK.bar):
        assert "48;2;" + ";".join(str(int(each[place : place + 2], 16)) for place in (1, 3, 5)) in shown


def test_a_legend_keeps_its_figures_together() -> None:
    legend = heat.TextLegend(Legend("share of it all", [("0", 0.0), ("1", 1.0)], "%   since: when"), "plain")

    def lines(width: int) -> list[str]:
        return Text.from_ansi(drawn(legend, width, colour=True)).plain.splitlines()

    assert lines(60) == ["share of it all  0  1  %   since: when"]
    assert lines(30) == ["share of it all  0  1  %", "since: when"]
    assert lines(18) == ["share of it all ", " 0  1  %", "since: when"]


def test_texts_stand_in_place_of_figures_and_columns_line_up() -> None:
    grid = heat.heat_map(["a", "日本"], ["long", "y"], [[1.0, NOTHING], [0.0, 0.5]], texts=[["1", ""], ["0", "half"]])
    assert drawn(grid).splitlines() == ["      long     y ", "a        1       ", "日本     0  half "]
    assert len({cell_len(line) for line in drawn(grid).splitlines()}) == 1


def test_what_is_not_finite_has_no_colour() -> None:
    for nothing in (NOTHING, math.inf, math.nan):
        assert "48;2" not in drawn(heat.heat_map(["a"], ["x"], [[nothing]]), colour=True)
        assert "48;2;0;34;78" in drawn(heat.heat_map(["a"], ["x", "y"], [[nothing, 1.0]], (1.0, 2.0)), colour=True)


def test_finite_bounds() -> None:
    assert heat.finite_bounds([[1.0, NOTHING], [math.nan, -2.0]]) == (-2.0, 1.0)
    assert heat.finite_bounds([[NOTHING]]) == heat.finite_bounds([]) == (0.0, 1.0)


def test_a_small_map_in_shades() -> None:
    values = [[1.0, NOTHING, NOTHING], [0.5, 0.5, NOTHING], [0.0, 0.3, 0.7]]
    assert drawn(heat.SmallMap(values)).splitlines() == ["█", "▒▒", "·░▓"]
    assert drawn(heat.SmallMap([[NOTHING], [0.0]])).splitlines() == ["", "·"]
    assert drawn(heat.SmallMap([])).strip() == ""


def test_a_small_map_in_half_blocks() -> None:
    values = [[1.0, NOTHING, NOTHING], [0.0, 0.0, NOTHING], [0.0, 0.0, 1.0]]
    shown = drawn(heat.SmallMap(values), colour=True).splitlines()
    yellow, blue = "2;254;232;56", "2;0;34;78"
    assert shown[0] == f"\x1b[38;{yellow};48;{blue}m▀\x1b[0m\x1b[38;{blue}m▄\x1b[0m "
    assert shown[1] == f"\x1b[38;{blue}m▀\x1b[0m\x1b[38;{blue}m▀\x1b[0m\x1b[38;{yellow}m▀\x1b[0m"


@given(st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_a_small_map_is_as_large_as_its_figures(rows: int, columns: int, colour: bool) -> None:
    shown = drawn(heat.SmallMap([[0.5] * columns] * rows), colour=colour).splitlines()
    assert len(shown) == ((rows + 1) // 2 if colour else rows)
    assert all(line.count("▀") == columns for line in shown) or not colour


def test_small_maps_are_cropped_not_wrapped() -> None:
    assert drawn(heat.SmallMap([[0.5] * 90] * 2)).splitlines() == ["▒" * 80] * 2


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-5.0, 15.0)])
def test_the_legend_names_its_figures_in_order(bounds: tuple[float, float]) -> None:
    coloured = drawn(heat.MapLegend("weight", bounds, empty="masked"), colour=True)
    low, high = bounds
    places = [coloured.index(f" {low + (high - low) * step / 4:.3g} ") for step in range(5)]
    assert all(a < b for a, b in pairwise(places))
    assert "masked" in coloured
    plain = drawn(heat.MapLegend("weight", bounds))
    assert [character for character in plain if character in "·░▒▓█"] == [*"··░░▒▒▓▓██"]
    assert f"█ {low + (high - low) * 0.8:g}+" in plain
    assert "blank" not in plain


def test_the_legend_of_a_text_shows_colours_or_says_where_the_figures_are() -> None:
    legend = heat.TextLegend(Legend("surprisal", [("0", 0.0), ("16", 1.0)], "bits"), "the bits stand below")
    coloured = drawn(legend, colour=True)
    for sample in ("48;2;0;34;78m 0 ", "48;2;254;232;56m 16 ", "surprisal ", " bits"):
        assert sample in coloured
    assert not set("░▒▓█") & set(coloured)  # shades are for where there is no colour
    assert drawn(legend) == "the bits stand below\n"


def test_the_shades_of_a_legend_differ_where_an_encoding_has_none() -> None:
    shown = drawn(heat.MapLegend("weight")).encode("ascii", HANDLER).decode()
    assert shown.split() == ["weight", "__", "0+", "..", "0.2+", "::", "0.4+", "%%", "0.6+", "##", "0.8+"]

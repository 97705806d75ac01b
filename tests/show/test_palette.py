"""The palette by WCAG's contrast and by colour-blind eyes."""

from itertools import pairwise

import pytest

from gptcli.show.blocks import palette
from gptcli.show.blocks.palette import DARK, LIGHT, Theme, contrast

# What terminals of a kind look like: black and white, our own, and popular schemes (Solarized, One Dark, Gruvbox).
GROUNDS = {
    "dark": ("#000000", "#1e1e1e", "#002b36", "#282c34", DARK.ground, DARK.raised),
    "light": ("#ffffff", "#fdf6e3", "#fbf1c7", "#fafafa", LIGHT.ground, LIGHT.raised),
}
BOTH = pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)


def test_contrast_by_hand() -> None:
    assert contrast("#000000", "#ffffff") == contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's checker says 4.48
    assert contrast("#d9b84a", "#d9b84a") == 1


@BOTH
@pytest.mark.parametrize("name", ["ink", "quiet", "accent", "warning", "negative"])
def test_text_reads_on_every_ground(theme: Theme, name: str) -> None:
    assert min(contrast(getattr(theme, name), ground) for ground in GROUNDS[theme.name]) >= 4.5


@BOTH
def test_bars_and_lines_stand_out(theme: Theme) -> None:
    for ground in GROUNDS[theme.name]:
        assert contrast(theme.bar, ground) >= 3
        assert min(contrast(each, ground) for each in theme.series) >= 4.5  # their labels are text


@BOTH
def test_the_map_begins_near_the_ground_and_goes_away_from_it(theme: Theme) -> None:
    away = [contrast(palette.colour(step / 100, theme), theme.ground) for step in range(101)]
    assert all(a <= b for a, b in pairwise(away))
    assert away[0] < 1.3
    assert away[-1] > 12
    brightness = [palette.luminance(each) for each in theme.scale]
    assert sorted(brightness, reverse=theme is LIGHT) == brightness


@BOTH
@pytest.mark.parametrize("step", range(101))
def test_text_reads_on_every_colour_of_the_map(theme: Theme, step: int) -> None:
    assert contrast(palette.text_colour(step / 100, theme), palette.colour(step / 100, theme)) >= 4.5


@BOTH
def test_figures_with_signs_go_away_from_nothing_on_both_sides(theme: Theme) -> None:
    away = [contrast(palette.colour(0.5 + step / 100, theme, signed=True), theme.ground) for step in range(-50, 51)]
    assert all(a >= b for a, b in pairwise(away[:51]))
    assert all(a <= b for a, b in pairwise(away[50:]))
    assert away[50] < 1.3
    assert palette.colour(0, theme, signed=True) == theme.negative
    assert palette.colour(1, theme, signed=True) == theme.bar
    for step in range(101):
        ground = palette.colour(step / 100, theme, signed=True)
        assert contrast(palette.text_colour(step / 100, theme, signed=True), ground) >= 4.5


@BOTH
def test_tokens_read_and_differ_from_the_ground(theme: Theme) -> None:
    for each in theme.tokens:
        assert contrast(theme.token_ink, each) >= 7
        assert contrast(each, theme.raised) > 1.25


def as_seen(shade: str, kind: str) -> tuple[float, float, float]:
    """A colour as a red-blind or green-blind reader sees it, in linear RGB (Viénot, Brettel and Mollon 1999)."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )
    if kind == "protan":
        both = 0.11238 * red + 0.88762 * green
        return both, both, 0.00401 * red - 0.00401 * green + blue
    both = 0.29275 * red + 0.70725 * green
    return both, both, -0.02234 * red + 0.02234 * green + blue


@BOTH
@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_bars_below_zero_differ_also_to_colour_blind_readers(theme: Theme, kind: str) -> None:
    one, other = as_seen(theme.bar, kind), as_seen(theme.negative, kind)
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.25


def test_both_themes_have_the_same_parts() -> None:
    for name in ("series", "tokens", "scale"):
        assert len(getattr(DARK, name)) == len(getattr(LIGHT, name)) == len(set(getattr(DARK, name)))


def test_the_theme_is_asked_for_once_and_can_be_changed_for_a_while() -> None:
    asked = []

    def ask() -> Theme:
        asked.append(1)
        return LIGHT

    assert palette.current() is DARK
    try:
        palette.ask_with(ask)
        with palette.using(DARK):
            assert palette.colour(0) == DARK.scale[0]
        assert not asked
        assert palette.colour(0) == LIGHT.scale[0] == palette.colour(-1)
        assert palette.colour(1) == LIGHT.scale[-1] == palette.colour(2)
        assert len(asked) == 1
    finally:
        palette.ask_with(None)
    assert palette.current() is DARK

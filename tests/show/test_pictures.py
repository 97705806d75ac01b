"""The pictures, character by character, and their colours by contrast."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from gptcli.show.blocks import pictures
from gptcli.show.blocks.tokens import token_strip


def drawn(picture: RenderableType, width: int = 80, *, colour: bool = False) -> str:
    out = io.StringIO()
    Console(
        file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None, markup=False
    ).print(picture)
    return out.getvalue()


@pytest.mark.parametrize(
    ("fraction", "bar"),
    [(0, ""), (1, "████"), (0.5, "██"), (0.25, "█"), (1 / 32, "▏"), (0.375, "█▌"), (1e-9, "▏"), (-3, ""), (7, "████")],
)
def test_bars_by_hand(fraction: float, bar: str) -> None:
    assert pictures.bar(fraction, 4) == bar


@given(st.floats(0, 1), st.integers(1, 60))
def test_bars_are_true_to_an_eighth(fraction: float, width: int) -> None:
    bar = pictures.bar(fraction, width)
    eighths = sum("▏▎▍▌▋▊▉█".index(character) + 1 for character in bar)
    assert abs(eighths - fraction * width * 8) <= (0.5 if eighths > 1 else 1)
    assert cell_len(bar) <= width


def test_shades_get_darker() -> None:
    assert [pictures.shade(value) for value in (-1, 0, 0.3, 0.5, 0.7, 1, 2)] == [*"  ░▒▓██"]


def test_token_strip_wraps_between_tokens() -> None:
    strip = drawn(token_strip(["Once", "·upon", "日本", "x"], ["7454", "2402", "1", "22222"], 12), 40)
    assert [line.rstrip() for line in strip.splitlines()] == ["Once ·upon", "7454 2402", "", "日本 x", "1    22222"]


@pytest.mark.slow
@given(st.lists(st.text("ab日", max_size=20), max_size=12), st.integers(8, 40))
def test_token_strip_never_outgrows_its_width(tokens: list[str], width: int) -> None:
    strip = token_strip(tokens, ["1"] * len(tokens), width)
    assert max(cell_len(line.rstrip()) for line in strip.plain.split("\n")) <= width


def test_markup_in_data_is_text() -> None:
    grid = pictures.table("[red]head[/red]", ">n")
    grid.add_row("[bold]cell[/bold]", "1")
    for text in ("[red]head[/red]", "[bold]cell[/bold]"):
        assert text in drawn(grid, 200)

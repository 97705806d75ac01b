"""Our own table and Rich's: the same picture, character by character, written row by row."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gptcli.show.attribution import SignedBar
from gptcli.show.blocks.pictures import Bar
from gptcli.show.blocks.rows import BARE, Rows
from gptcli.show.vectors import SpanBar

HOUSE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "pad_edge": False,
    "title_justify": "left",
    "title_style": "bold",
}
words = st.text("ab ·é日\u0301", max_size=12)
texts = words | st.text("ab \n\t字", max_size=30) | st.just("")
bars = (
    st.floats(-0.5, 1.5).map(Bar)
    | st.floats(-1, 1).map(SignedBar)
    | st.floats(-2, 2).map(lambda value: SpanBar(value, -2, 2))
)
cells = texts | bars | words.map(lambda text: Text(text).append(" more", style="dim"))
columns: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "header": st.sampled_from(["", "token", "\nhow it comes about", "日本"]),
        "justify": st.sampled_from(["left", "right"]),
        "no_wrap": st.booleans(),
    },
    optional={
        "overflow": st.sampled_from(["fold", "ellipsis"]),
        "min_width": st.integers(1, 8),
        "max_width": st.integers(1, 8),
        "style": st.just("bold"),
    },
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Rows, Table]:
    """The same table twice: ours and Rich's."""
    bare = draw(st.booleans())
    ours, theirs = Rows(**(BARE if bare else {})), Table(**(HOUSE | BARE if bare else HOUSE))
    described = draw(st.lists(columns, min_size=1, max_size=4))
    title, caption = draw(st.none() | words), draw(st.none() | words)
    for made in (ours, theirs):
        made.title, made.caption, made.caption_justify = title, caption, "left"
        for column in described:
            made.add_column(**column)
    for row in draw(st.lists(st.lists(cells, max_size=len(described)), max_size=5)):
        style = draw(st.sampled_from([None, "dim", "reverse"]))
        end = draw(st.booleans())
        ours.add_row(*row, style=style, end_section=end)
        theirs.add_row(*row, style=style, end_section=end)
    return ours, theirs


def drawn(picture: RenderableType, width: int) -> list[list[tuple[str, Style]]]:
    """Each line as characters and their looks; how it is cut into segments does not matter."""
    console = Console(
        width=width,
        file=io.StringIO(),
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True,
        color_system=None,
    )
    lines = Segment.split_lines(console.render(picture, console.options))
    return [[(each, segment.style or Style()) for segment in line for each in segment.text] for line in lines]


@pytest.mark.slow
@settings(max_examples=300)
@given(tables(), st.integers(1, 60))
def test_a_table_is_drawn_as_rich_draws_it(made: tuple[Rows, Table], width: int) -> None:
    ours, theirs = made
    assert drawn(ours, width) == drawn(theirs, width)
    console = Console(width=width)
    wanted = [Measurement.get(console, console.options, table).maximum for table in made]
    assert wanted[0] == wanted[1]


@pytest.mark.slow
def test_the_first_rows_are_drawn_before_the_last() -> None:
    asked: list[int] = []

    class Counted(SpanBar):
        def pieces(self, width: int) -> list[tuple[str, str]]:
            asked.append(int(self.value))
            return [("x", "")]

    made = Rows()
    made.add_column("number", no_wrap=True)
    made.add_column("")
    for number in range(100_000):
        made.add_row(str(number), Counted(number, 0, 1))
    console = Console(width=80)
    segments: Iterator[Segment] = iter(console.render(made, console.options))
    seen = ""
    while "\n 9 " not in seen:
        seen += next(segments).text
    assert max(asked[1:]) < 20  # the first asked is the widest's


@pytest.mark.parametrize("headings", [(), ("token",), ("", "id"), ("nothing",)])
def test_columns_left_out(headings: tuple[str, ...]) -> None:
    ours, theirs = Rows(title="All"), Table(title="All", **HOUSE)
    for name in ("token", "id", ""):
        ours.add_column(name, no_wrap=True)
        if name not in headings:
            theirs.add_column(name, no_wrap=True)
    rows: list[tuple[RenderableType, ...]] = [("a", "1", Bar(0.5)), ("bc", "23")]
    for row in rows:
        ours.add_row(*row)
        theirs.add_row(*(cell for name, cell in zip(("token", "id", ""), row, strict=False) if name not in headings))
    assert drawn(ours.without(headings), 40) == drawn(theirs, 40)
    assert len(ours.columns) == 3

"""The plots, cell by cell: dots where the figures say, arrows that point the right way, labels that never overlap."""

import io
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from gptcli.show.blocks.canvas import Canvas
from gptcli.show.blocks.palette import DARK
from gptcli.show.blocks.plot import Dot, Line, LinePlot, Scatter, nice_ticks


def drawn(picture: RenderableType, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, markup=False).print(picture)
    return out.getvalue().splitlines()


def rows(canvas: Canvas) -> list[str]:
    return [line.plain for line in canvas.lines()]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((0, 0), (3, 0), "⠉⠉"),
        ((0, 3), (3, 3), "⣀⣀"),
        ((0, 0), (0, 3), "⡇ "),
        ((3, 0), (3, 3), " ⢸"),
        ((0, 0), (3, 3), "⠑⢄"),
        ((3, 0), (0, 3), "⡠⠊"),
        ((1, 1), (1, 1), "⠐ "),
        ((-5, 0), (9, 0), "⠉⠉"),
    ],
)
def test_braille_by_hand(start: tuple[int, int], end: tuple[int, int], expected: str) -> None:
    canvas = Canvas(2, 1)
    canvas.line(start, end)
    assert rows(canvas) == [expected]


def test_text_stands_over_dots_and_wide_characters_take_two_cells() -> None:
    canvas = Canvas(6, 1)
    canvas.line((0, 0), (11, 0))
    canvas.put(1, 0, "日e\u0301")
    assert rows(canvas) == ["⠉日e\u0301⠉⠉"]
    assert cell_len(rows(canvas)[0]) == 6
    assert [canvas.free(column, 0, 1) for column in range(-1, 7)] == [
        False,
        True,
        False,
        False,
        False,
        True,
        True,
        False,
    ]
    canvas.put(5, 0, "日")  # only half of it would be inside
    assert canvas.free(5, 0, 1)


def test_points_lie_to_scale_in_both_directions() -> None:
    corners = [(0, 0), (4, 0), (0, 2), (4, 2)]
    lines = drawn(Scatter([Dot(x, y, "", marker="abcd"[i]) for i, (x, y) in enumerate(corners)], [], "x", "y"), 42)
    at = {mark: (line.index(mark), row) for row, line in enumerate(lines[1:-2]) for mark in "abcd" if mark in line}
    across, down = at["b"][0] - at["a"][0], at["a"][1] - at["c"][1]
    assert at["a"][0] == at["c"][0]
    assert at["b"][1] == at["a"][1] > at["c"][1]  # y grows upwards
    assert across == pytest.approx(4 * down, abs=3)  # twice as wide, in cells twice as high
    assert lines[0] == "↑ y"
    assert lines[-1].endswith("x →")


@pytest.mark.parametrize(
    ("end", "head"), [((1, 0), "→"), ((1, 1), "↗"), ((0, 1), "↑"), ((-1, 1), "↖"), ((-1, -1), "↙"), ((1, -1), "↘")]
)
def test_arrows_point_from_the_first_to_the_second(end: tuple[float, float], head: str) -> None:
    lines = "\n".join(drawn(Scatter([Dot(0, 0, "a"), Dot(*end, "b")], [(0, 1, "")], "x", "y"), 40)[1:-2])
    assert [found for found in "→↗↑↖←↙↓↘" if found in lines] == [head]
    assert lines.count("●") == 2
    assert re.search("[⠁-⣿]", lines)


POINTS = st.lists(
    st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.text("abc日é ", min_size=1, max_size=12).map(str.strip)),
    min_size=1,
)


@pytest.mark.slow
@given(POINTS, st.integers(4, 30))
def test_a_narrow_plot_stays_within_its_width(points: list, width: int) -> None:
    dots = [Dot(*point) for point in points]
    assert max(map(cell_len, drawn(Scatter(dots, [(0, len(dots) - 1, "")], "x", "y"), width))) <= width


@pytest.mark.slow
@given(POINTS, st.integers(30, 100))
def test_labels_are_whole_or_counted_and_lines_never_outgrow_the_width(points: list, width: int) -> None:
    """Each point's label is made unique, so that it can be looked for."""
    dots = [Dot(x, y, f"<{place}{label}>") for place, (x, y, label) in enumerate(points)]
    lines = drawn(Scatter(dots, [(0, len(dots) - 1, "")], "x", "y"), width)
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    shown = sum(dot.label in text for dot in dots)
    left_out = re.search(r"(\d+) of \d+ labels", " ".join(lines))
    assert shown == len(dots) - (int(left_out[1]) if left_out else 0)
    assert len(re.findall("<", text)) == shown  # none is cut short by another
    assert not re.search("[>●]<|>●", text)  # and none touches another, or a marker


@pytest.mark.parametrize(
    "picture",
    [
        Scatter([Dot(0, 0, "a", style=DARK.series[0]), Dot(1, 1, "b")], [(0, 1, DARK.series[1])], "x", "y"),
        LinePlot([Line("a", [0, 1])], "12", "x", "y"),
    ],
    ids=["scatter", "lines"],
)
def test_only_the_frame_is_dim(picture: RenderableType) -> None:
    """A dimmed colour is no longer the one that was chosen to stand out."""
    out = io.StringIO()
    Console(file=out, width=40, force_terminal=True, color_system="truecolor").print(picture)
    styled = re.findall(r"\x1b\[([0-9;]*)m([^\x1b]+)", out.getvalue())
    coloured = [codes for codes, _ in styled if "38;2" in codes]
    assert len(coloured) > 3
    assert not any(re.match(r"(1;)?2;", codes) for codes in coloured)
    assert any(codes == "2" and text.strip()[-1:] in "│┤" for codes, text in styled if text.strip())


def test_a_crowd_keeps_its_first_labels() -> None:
    dots = [Dot(0, 0, f"word{place}") for place in range(9)] + [Dot(1, 1, "far")]
    text = "\n".join(drawn(Scatter(dots, [], "x", "y", hint="; a hint"), 60))
    assert "word0" in text
    assert "word8" not in text
    assert "far" in text
    assert re.search(r"\d of 10 labels left out for lack of space; a hint", text)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-0.3, 0.97, ["-0.5", "0.0", "0.5", "1.0"]),
        (0.991, 0.999, ["0.990", "0.992", "0.994", "0.996", "0.998", "1.000"]),
        (5, 5, ["5.0", "5.1"]),
        (12, 340, ["0", "100", "200", "300", "400"]),
    ],
)
def test_ticks_by_hand(low: float, high: float, expected: list[str]) -> None:
    assert list(nice_ticks(low, high).values()) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_span_the_values_with_few_figures(low: float, span: float) -> None:
    ticks = list(nice_ticks(low, low + span))
    assert 2 <= len(ticks) <= 6
    slack = 1e-6 * (ticks[1] - ticks[0]) + 1e-9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack


def test_lines_end_at_their_labels_and_start_at_their_values() -> None:
    plot = LinePlot([Line("up", [0, 0.5, 1]), Line("down", [1, 0.5, 0])], ["embed", "1", "2"], "layer", "cosine")
    lines = drawn(plot, 60)
    assert lines[0] == "cosine"
    assert "1.0 ┤▲" in lines[1]
    assert lines[1].endswith("● ● up")
    bottom = next(row for row, line in enumerate(lines) if line.startswith("0.0 ┤●"))
    assert lines[bottom].endswith("▲ ▲ down")
    assert lines[bottom + 2].split() == ["embed", "1", "2"]
    assert lines[bottom + 3].rstrip().endswith("layer")


@pytest.mark.slow
@given(
    st.integers(1, 30).flatmap(
        lambda steps: st.lists(st.lists(st.floats(-1, 1), min_size=steps, max_size=steps), min_size=1, max_size=20)
    ),
    st.integers(12, 120),
)
def test_line_plots_never_outgrow_the_width(values: list[list[float]], width: int) -> None:
    plot = LinePlot(
        [Line(str(place), line) for place, line in enumerate(values)], list(map(str, range(len(values[0])))), "x", "y"
    )
    assert max(map(cell_len, drawn(plot, width))) <= width


@pytest.mark.slow
@given(st.lists(st.integers(-999, 999).map(lambda n: n / 1000), min_size=2, max_size=9), st.integers(40, 120))
def test_ticks_are_equally_far_apart(values: list[float], width: int) -> None:
    steps = [str(step) for step in range(len(values))]
    lines = drawn(LinePlot([Line("a", values)], steps, "x", "y"), width)
    ticks = [row for row, line in enumerate(lines) if "┤" in line]
    assert len({after - before for before, after in pairwise(ticks)}) <= 1
    assert len(ticks) == len(nice_ticks(min(values), max(values)))


class Screen(io.StringIO):
    """A terminal that keeps what it was sent."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("height", "below"), [(24, 3), (30, 10), (60, 3), (12, 3)])
def test_a_map_is_no_taller_than_the_screen(height: int, below: int) -> None:
    dots = [Dot(0, 0, "a"), Dot(1, 9, "b")]
    console = Console(file=Screen(), width=150, height=height, color_system=None)
    console.print(Scatter(dots, [], "x", "y", below=below))
    assert isinstance(console.file, Screen)
    lines = console.file.getvalue().count("\n")
    assert lines + below < height or lines == 8 + 3  # no less than eight rows
    assert lines <= 32 + 3
    assert len(drawn(Scatter(dots, [], "x", "y", below=below), 150)) == 32 + 3  # in a file there is no screen

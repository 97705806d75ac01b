"""Maps of figures around zero: every column is shown, whatever the width."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gptcli.show.blocks.signed_map import SignedMap, signed


def drawn(made: SignedMap, width: int, *, colours: bool = False) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, color_system="truecolor" if colours else None, force_terminal=colours
    )
    with console.capture() as captured:
        console.print(made)
    return Text.from_ansi(captured.get()).plain.splitlines()


@pytest.mark.parametrize("width", [20, 60, 80, 200])
@pytest.mark.parametrize("colours", [False, True])
def test_columns_that_do_not_fit_come_below(width: int, colours: bool) -> None:
    values = [[row * 40 + column / 100 for column in range(40)] for row in range(3)]
    lines = drawn(SignedMap(["1", "2", "10"], [f"h{column}" for column in range(40)], values), width, colours=colours)
    assert max(map(cell_len, lines)) <= width
    assert [word for line in lines for word in line.split() if word.startswith("h")] == [f"h{i}" for i in range(40)]
    shown = [line.split()[1:] for line in lines if line.split()[:1] == ["10"]]
    assert [float(figure) for row in shown for figure in row] == pytest.approx(values[2])


def test_figures_and_gaps() -> None:
    made = SignedMap(["embedding", "1"], ["·a→·the", "一"], [[0.5, None], [-0.001, -12.346]])
    assert [line.rstrip() for line in drawn(made, 60)] == [
        "           ·a→·the      一",
        "embedding    +0.50",
        "        1     0.00  -12.35",
    ]
    assert (signed(0.004), signed(-0.004), signed(1)) == ("0.00", "0.00", "+1.00")

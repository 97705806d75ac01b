"""Text that streams: whole words on a terminal, and every byte in a pipe."""

import io
import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from gptcli.show.terminal.flow import Flow


def sent(pieces: list[str | tuple[str, str]], width: int) -> str:
    """What a terminal of this width is sent."""
    out = io.StringIO()
    flow = Flow(Console(file=out, force_terminal=True, width=width, color_system="truecolor", highlight=False))
    for piece in pieces:
        flow.write(piece) if isinstance(piece, str) else flow.write(*piece)
    return out.getvalue()


def seen(pieces: list[str | tuple[str, str]], width: int, height: int = 60) -> list[str]:
    """The lines that the terminal then shows."""
    screen = pyte.Screen(width, height)
    pyte.Stream(screen).feed(sent(pieces, width).replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display[: screen.cursor.y + 1]]


def test_a_word_that_grows_over_the_edge_moves_to_the_next_line() -> None:
    pieces: list[str | tuple[str, str]] = ["Once upon a", " time", " there", " was", " a", " sub", "mar", "ine", "."]
    assert seen(pieces, 21) == ["Once upon a time", "there was a", "submarine."]


def test_each_piece_is_shown_at_once() -> None:
    assert seen(["one two", " thr"], 20) == ["one two thr"]
    assert seen(["one two", " three", "four"], 14) == ["one two", "threefour"]


def test_a_word_of_two_styles_moves_with_both() -> None:
    shown = sent([("one tw", "bold"), "ofold", " x"], 10)
    assert shown.endswith("\n\x1b[1mtw\x1b[0mofold x") or "\x1b[1mtw\x1b[0m" in shown.split("\n")[-1]
    assert seen([("one tw", "bold"), "ofold", " x"], 10) == ["one", "twofold x"]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("abcdefghijkl", 6, ["abcde", "fghij", "kl"]),
        ("x abcdefghijkl", 6, ["x", "abcde", "fghij", "kl"]),
        ("日本語のテキスト", 10, ["日本語の", "テキスト"]),
        ("ab 日本語", 7, ["ab 日", "本語"]),
        ("one  two", 20, ["one  two"]),
        ("one two", 4, ["one", "two"]),
        ("a\n\nb", 10, ["a", "", "b"]),
    ],
)
def test_by_hand(text: str, width: int, lines: list[str]) -> None:
    assert seen([text], width) == lines


WORDS = st.lists(st.text("ab日é ", min_size=1, max_size=9), max_size=25)


@pytest.mark.slow
@given(WORDS, st.integers(8, 40))
def test_no_word_that_fits_is_cut_and_nothing_is_lost(pieces: list[str], width: int) -> None:
    lines = seen(list(pieces), width)
    whole = "".join(pieces)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", whole)
    assert all(cell_len(line) < width for line in lines)
    if "日" not in whole:  # which may break anywhere
        words = [word for line in lines for word in line.split()]
        assert words == whole.split() or max(map(cell_len, whole.split())) >= width - 1


@given(st.lists(st.text(), max_size=9))
def test_a_pipe_gets_every_byte(pieces: list[str]) -> None:
    out = io.StringIO(newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        flow = Flow(None)
        for piece in pieces:
            flow.write(piece, "bold")
    assert out.getvalue() == "".join(pieces)


def test_controls_are_made_visible() -> None:
    assert "\\x1b[31m" in sent(["\x1b[31mred"], 40)
    assert seen(["a\tb"], 40) == ["a       b"]

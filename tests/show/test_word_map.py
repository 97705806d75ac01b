"""Maps with words on both sides, heads of attention at every width, and the arcs of a word."""

import math
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from gptcli.inspection.attention import attention, linked
from gptcli.show.attention import draw
from gptcli.show.blocks.word_map import WordMap, downwards, plain, shortened
from tests.show.test_pictures import drawn
from tests.tales import HEADS, LAYERS

TEXT = "The king took his crown and the queen took her"
NOTHING = -math.inf


def test_words_downwards_stand_on_the_map() -> None:
    assert downwards(["·king", "a", "·of"], 2, 6) == ["k     ", "i     ", "n   o ", "g a f "]
    assert downwards(["·castle"], 1, 4) == ["c", "a", "s", "…"]
    assert downwards(["·castle", "·", "日本"], 1, 1) == ["c·?"]
    assert downwards(["e\u0301a"], 1, 3) == ["e\u0301", "a"]
    assert downwards([], 1, 3) == []


def test_words_are_shortened_and_not_dropped() -> None:
    assert [shortened("·castle", width) for width in (9, 7, 6, 4, 3, 1)] == [
        "·castle",
        "·castle",
        "·cast…",
        "·ca…",
        "·ca",
        "·",
    ]
    assert (plain("·king"), plain("·"), plain("ing")) == ("king", "·", "ing")


def test_a_map_has_words_on_both_sides_in_colour_and_without() -> None:
    made = WordMap(["·one", "·two"], ["·one", "·two"], [[1.0, NOTHING], [0.0, 0.5]], (0, 1), 5, 2, 3)
    assert drawn(made).splitlines() == ["     o t", "     n w", "     e o", "one  ██", "two  ··▒▒"]
    coloured = drawn(made, colour=True).splitlines()
    assert len(coloured) == 5
    assert coloured[3].startswith("one  ")
    halved = replace(made, halved=True)
    assert drawn(halved) == drawn(made)  # without colour each row has a line
    assert drawn(halved, colour=True).splitlines()[3].startswith("o/t  ")


@pytest.fixture(scope="module")
def whole(tales: Any) -> Any:
    return attention(tales, TEXT, layers="all")


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
def test_every_head_has_the_words_at_every_width(whole: Any, width: int) -> None:
    answer = replace(whole, heads=whole.heads[: 2 * HEADS])  # two layers
    shown = drawn(draw(answer), width)
    lines = shown.splitlines()
    assert max(map(cell_len, lines)) <= width
    for number in range(1, HEADS + 1):
        assert sum(line.count(f"head {number} ") for line in lines) >= 2
    rows = [line for line in lines if "█" in line or "·" in line]
    for start in ("k", "cr", "qu"):  # each head has each row
        assert sum(line.count(f"{start}") for line in rows) >= 8
    if width >= 200:
        assert max(map(cell_len, lines)) > 150  # the width is used
    assert "Most striking" in shown


@pytest.fixture(scope="module")
def one_head(tales: Any) -> Any:
    return attention(tales, TEXT, layers="4", heads="1")


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_one_head_has_its_columns_named_downwards_or_across(one_head: Any, width: int) -> None:
    shown = drawn(draw(one_head), width)
    assert max(map(cell_len, shown.splitlines())) <= width
    assert "No single kind" not in shown
    (head,) = one_head.heads
    assert f"token before {head.in_text.previous_token:.2f}" in " ".join(shown.split())
    if width == 200:
        assert "·queen" in shown.split("blank: the mask")[1].splitlines()[2]
    if width == 80:
        head = [line.ljust(80) for line in shown.split("blank: the mask")[1].splitlines()[2:7]]
        column = head[0].index("c")
        assert "".join(line[column] for line in head) == "crown"


@pytest.mark.parametrize("width", [24, 60, 100])
def test_arcs_end_at_their_words(tales: Any, width: int) -> None:
    answer = linked(tales, TEXT, ["queen"], [])
    lines = drawn(draw(answer), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    word = next(index for index, line in enumerate(lines) if "·queen" in line)
    arcs = [line for line in lines[:word] if "─" in line]
    assert arcs
    end = lines[word].index("·queen") + 3
    assert all(line[end] in "╮┤" for line in arcs)
    first = lines[word][arcs[0].index("╭") - 2 :]
    assert first.strip()
    assert "Further back: ·queen looks back at" in " ".join(" ".join(lines).split())


def test_a_word_that_is_looked_at_has_its_arcs_to_the_right(tales: Any) -> None:
    lines = drawn(draw(linked(tales, TEXT, [], ["king"])), 80).splitlines()
    word = next(index for index, line in enumerate(lines) if "·crown" in line)
    start = lines[word].index("·king") + 2
    assert all(line[start] in "╭├" for line in lines[:word] if "─" in line)


def test_query_heads_that_share_a_key_head_say_so(whole: Any) -> None:
    heads = [replace(head, key_head=1 + (head.head > 2)) for head in whole.heads[:4]]
    shown = drawn(draw(replace(whole, heads=heads)), 200)
    assert "head 2, key head 1" in shown
    assert "head 3, key head 2" in shown
    assert "(key head 2)" in drawn(draw(replace(whole, heads=heads[2:3])), 80)


def test_a_text_in_which_nothing_stands_out_says_what_dominates(whole: Any) -> None:
    shown = drawn(draw(replace(whole, striking=None, heads=whole.heads[:1])), 100)
    assert "stands out; on average" in " ".join(shown.split())


@pytest.mark.slow
def test_of_many_large_maps_those_are_drawn_that_look_furthest(tales: Any) -> None:
    text = TEXT + " and the old man saw a small dog near the big river in the dark wood" * 2
    answer = attention(tales, text, layers="all")
    shown = drawn(draw(answer), 60)
    assert len(shown.splitlines()) < 320  # and in colour, where two rows share a line, more heads
    assert len(drawn(draw(answer), 60, colour=True).splitlines()) < 320
    assert f"of {LAYERS * HEADS} heads that look most at other tokens" in " ".join(shown.split())

"""The pictures of --explain: what fits, what is said without colour, and what a terminal must not obey."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from gptcli.generation.explaining import explain
from gptcli.generation.loop import ChosenToken, Sample
from gptcli.probability.choice import Explanation
from gptcli.sampling.settings import Kept, Sampling
from gptcli.show import explain as pictures
from gptcli.show.blocks.palette import colour
from gptcli.show.blocks.passage import Passage, short_percent
from gptcli.tokenizer import gpt2_tokenizer

GPT2 = gpt2_tokenizer()
SAMPLING = Sampling(temperature=0.8, top_k=40)
TABLE = np.random.default_rng(2).normal(0, 2, (8, 3000)).astype(np.float32)


def steps(ids: Sequence[int], top: int = 10, sampling: Sampling = SAMPLING) -> list[Explanation]:
    """Explanations of a text whose logits are rows of a random table."""
    made, sample = [], Sample(0, 0, [1], [])
    for place, token in enumerate(ids):
        logits = TABLE[place % len(TABLE)]
        sample.ids.append(token)
        kept = Kept.of(sampling.filter(logits, [1]))
        made.append(explain(ChosenToken(sample, logits, kept, token), GPT2, sampling, top=top))
    return made


def shown(picture: Any, width: int = 80, height: int = 60, *, plain: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor", no_color=plain
    )
    console.print(picture)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


LILY = [383, 1310, 2576, 198, 6]  # " The little girl\n'"


def test_each_token_stands_on_the_colour_of_its_probability() -> None:
    made = steps(LILY)
    text = shown(Passage("Once", made))
    assert bare(text).startswith("Once The little girl")
    for step in made[:3]:
        hexes = colour(step.chosen.model_probability)
        red, green, blue = (int(hexes[place : place + 2], 16) for place in (1, 3, 5))
        assert re.search(rf"48;2;{red};{green};{blue}m{re.escape(step.chosen.token.decode())}", text)


def test_without_colour_the_probability_stands_below() -> None:
    probabilities = [step.chosen.model_probability for step in steps(LILY)]
    text = bare(shown(Passage("Once", steps(LILY)), plain=True))
    assert text.splitlines()[0] == "Once"
    assert text.splitlines()[1].split() == ["·The", "·little", "·girl", "⏎", "'"]
    assert text.splitlines()[2].split() == [short_percent(each) for each in probabilities]


@pytest.mark.parametrize(
    ("probability", "said"), [(0, "0%"), (1e-9, "<1%"), (0.0151, "2%"), (0.4149, "41%"), (0.9999, ">99%"), (1, "100%")]
)
def test_short_percentages_never_say_all_or_nothing_unless_it_is(probability: float, said: str) -> None:
    assert short_percent(probability) == said


def test_the_moment_names_the_token_the_candidates_and_the_cuts() -> None:
    step = steps([1310], top=3)[0]
    text = bare(shown(pictures.moment(step)))
    assert "token 1   ·little" in text
    assert f"rank {step.chosen.rank:,}" in text
    assert re.search(r"▶ [\d,]+ +·little +1310 .*top-k", text)
    assert f"cut: top-k {len(TABLE[0]) - 40:,} tokens" in text
    assert f"{len(TABLE[0]) - 3:,} more" in text
    unfiltered = bare(shown(pictures.moment(steps([1310], sampling=Sampling())[0])))
    assert "nothing is cut" in unfiltered


@pytest.mark.slow
@settings(max_examples=60)
@given(st.integers(20, 220), st.integers(5, 60), st.integers(1, 80), st.integers(1, 30), st.booleans())
def test_a_frame_fits_the_terminal(width: int, height: int, length: int, top: int, plain: bool) -> None:
    made = steps([(place * 37 + 11) % 1400 for place in range(min(length, 8))], top) * max(length // 8, 1)
    text = bare(shown(pictures.frame("Once upon a time", made), width, height, plain=plain))
    lines = text.removesuffix("\n").split("\n")
    assert len(lines) < height  # one line is the cursor's
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize(("width", "beside"), [(80, False), (119, False), (120, True), (200, True)])
def test_the_candidates_stand_beside_the_text_where_there_is_room(width: int, beside: bool) -> None:
    lines = bare(shown(pictures.frame("Once upon a time", steps(LILY)), width)).splitlines()
    assert lines[0].startswith("Once upon a time")
    assert ("the model gave it" in lines[0]) == beside
    assert sum("the model gave it" in line for line in lines) == 1


@pytest.mark.parametrize("width", [60, 80, 130, 200])
def test_a_frame_ends_its_lines_where_their_text_ends(width: int) -> None:
    """What a terminal writes behind a full line goes to the next one, and the picture would be taken away amiss."""
    last = bare(shown(pictures.frame("Once upon a time", steps(LILY)), width)).splitlines()[-1]
    assert last == last.rstrip()
    assert last.endswith("kept by top-k")


@pytest.mark.parametrize(("width", "missing"), [(80, ""), (58, "id, logit"), (45, "id, logit, raw")])
def test_a_narrow_terminal_gets_fewer_columns_and_is_told_which(width: int, missing: str) -> None:
    text = bare(shown(pictures.moment(steps([1310], top=3)[0]), width))
    assert ("not shown:" in text) == bool(missing)
    assert not missing or f"not shown: {missing}\n" in re.sub(" +\n", "\n", text)
    assert re.search(r"▶ [\d,]+ +·little ", text)
    assert "…" not in text


def test_a_long_text_shows_its_end() -> None:
    made = steps([383] * 7 + [1310]) * 200
    text = bare(shown(Passage("Once", made, lines=4)))
    assert text.count("\n") == 4
    assert text.rstrip().endswith("little")
    assert "Once" not in text


def test_control_characters_are_seen_and_not_obeyed() -> None:
    escape = GPT2.encode("\x1b")
    for plain in (False, True):
        picture = shown(pictures.draw("a\x1b[2J[bold]", steps(escape)), plain=plain)
        assert "\x1b[2J" not in picture
        assert "\\x1b" in picture
        assert "[bold]" in picture


@pytest.mark.slow
@given(st.integers(60, 300), st.integers(0, 1400), st.integers(1, 30))
def test_a_row_is_as_wide_as_allowed_and_counts_what_it_leaves_out(width: int, token: int, top: int) -> None:
    step = steps([token], top)[0]
    row = pictures.row(step, width)
    left = re.search(r"  \+(\d+)$", row)
    names = len(re.findall(r" ([<>]?\d+%|top-k)(?=  |$)", row[len(pictures.row(step, 0)) - len(f"  +{top}") :]))
    assert names + (int(left[1]) if left else 0) == top
    assert cell_len(row) <= width or names == 0
    assert "\n" not in row


def test_rows_stand_under_their_headings() -> None:
    heading = pictures.row_heading()
    for step in steps(LILY):
        figures = re.match(r" +\d+  \S+ +-?\d+\.\d+ +\S+ +\S+% +[\d,]+(?=  )", pictures.row(step, 120))
        assert figures is not None
        assert figures.end() == heading.index("  candidates")

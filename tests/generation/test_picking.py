"""What the keys of --pick do, without a terminal."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.generation.loop import Limits
from gptcli.generation.pick.draft import Draft
from gptcli.generation.pick.keys import DEFAULT_RUN, Picker
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import gpt2_tokenizer
from tests.toy_engine import ToyEngine, random_table

GPT2 = gpt2_tokenizer()
KEYS = ["up", "down", "home", "end", "enter", "backspace", "escape", " ", *"0123456789utrqxé", "\x1b[15~"]


def picker(n: int = 30, eos: Sequence[int] = (), sampling: Sampling | None = None) -> Picker:
    engine, limits = ToyEngine(random_table(300, seed=4), 20), Limits(n, eos)
    return Picker(Draft(engine, GPT2, "p", [5], sampling or Sampling(top_k=50), limits, seed=3, n_vocab=300))


def press(made: Picker, *keys: str) -> Picker:
    for key in keys:
        made.press(key)
        while made.pending:
            made.work()
    return made


def listed(made: Picker) -> list[int]:
    return [candidate.id for candidate in made.offer.distribution.candidates]


def test_arrows_go_round_and_enter_takes() -> None:
    made = picker()
    ids = listed(made)
    assert len(ids) == 12
    assert press(made, "down", "down", "up").selected == 1
    assert press(made, "home", "up").selected == 11
    assert press(made, "down").selected == 0
    assert press(made, "end").selected == 11
    press(made, "enter")
    assert (made.draft.sample.ids, made.draft.origins, made.selected) == ([ids[11]], ["picked"], 0)
    assert listed(made) != ids


@pytest.mark.parametrize(
    ("digits", "selected"), [("3", 2), ("1", 0), ("12", 11), ("10", 9), ("13", 2), ("0", 0), ("20", 1), ("123", 2)]
)
def test_a_number_goes_to_its_candidate(digits: str, selected: int) -> None:
    assert press(picker(), *digits).selected == selected


def test_space_draws_and_run_draws_many() -> None:
    one_by_one, at_once, by_default = (picker() for _ in range(3))
    press(one_by_one, *" " * 12)
    press(at_once, "r", "1", "3", "backspace", "2", "enter")
    assert at_once.draft.sample.ids == one_by_one.draft.sample.ids
    assert at_once.draft.origins == ["drawn"] * 12
    assert len(press(by_default, "r", "enter").draft.origins) == DEFAULT_RUN
    assert press(picker(), "r", "5", "escape").draft.origins == []
    stopped = picker()
    for key in ("r", "9", "enter"):
        stopped.press(key)
    stopped.work()
    stopped.stop()
    assert (len(stopped.draft.origins), stopped.pending) == (1, 0)


def test_typing_takes_every_key_as_text() -> None:
    made = press(picker(), "t", *"1q", "backspace", "up", "2", "\x07")
    assert (made.mode, made.entry) == ("type", "12")
    assert press(made, "enter").draft.origins == []  # "12" is one token, which this model lacks
    assert "lacks" in made.message
    assert press(made, "t", "1", "enter").draft.origins == ["typed"]
    assert press(made, "t", "1", "escape").draft.origins == ["typed"]
    assert press(made, "t", "enter").mode == "choose"
    assert press(made, "u").draft.origins == []


def test_undo_and_the_end() -> None:
    made = picker(n=2)
    assert "nothing to take back" in press(made, "u").message
    press(made, "enter", "enter")
    assert made.draft.finished
    assert "u takes the last token back" in made.message
    press(made, "enter", " ", "t", "r", "down")
    assert (len(made.draft.origins), made.mode, made.pending) == (2, "choose", 0)
    assert len(press(made, "backspace", "u").draft.origins) == 0
    assert press(made, "q").done
    ended = picker()
    last = listed(ended)[0]
    ended = press(picker(eos=[last]), "enter")
    assert "the text has ended" in ended.message
    assert not press(ended, "u").draft.finished


def test_filters_that_leave_nothing_are_told() -> None:
    forbidding = picker(sampling=Sampling(logit_bias={token: float("-inf") for token in range(300)}))
    assert "leave no token" in press(forbidding, " ").message
    assert press(forbidding, "r", "enter").draft.origins == []
    assert press(forbidding, "enter", "u", "q").done


@pytest.mark.slow
@settings(max_examples=80)
@given(st.lists(st.sampled_from(KEYS), max_size=60))
def test_no_keys_can_break_it(keys: list[str]) -> None:
    made = picker(n=8)
    for key in keys:
        made.press(key)
        for _ in range(3):
            if made.pending:
                made.work()
        made.stop()
        assert 0 <= made.selected < len(made.offer.distribution.candidates)
        assert len(made.draft.origins) == len(made.draft.sample.ids) == len(made.draft.steps) <= 8
        if made.done:
            break

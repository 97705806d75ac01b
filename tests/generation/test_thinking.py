"""Thinking told from the answer, however the pieces come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.generation.chat.thinking import AnswerOnly, Thinking, split_thinking
from gptcli.generation.streaming import TextStream
from gptcli.tokenizer import gpt2_tokenizer

CASES = [
    # text, whether the prompt began it, what is thought (tags and all), what is answered
    ("Hello", False, "", "Hello"),
    ("<think>\nhm\n</think>\n\nHello", False, "<think>\nhm\n</think>", "\n\nHello"),
    ("  \n<think>hm</think>Hello", False, "  \n<think>hm</think>", "Hello"),
    ("hm\n</think>\n\nHello", True, "hm\n</think>", "\n\nHello"),
    ("<think>hm", False, "<think>hm", ""),
    ("hm", True, "hm", ""),
    ("hm </thi", True, "hm </thi", ""),
    ("<thin air", False, "", "<thin air"),
    ("<thi", False, "", "<thi"),
    ("Use <think>x</think>", False, "", "Use <think>x</think>"),
    ("<think></think>a</think><think>b", False, "<think></think>", "a</think><think>b"),
    ("", False, "", ""),
    ("", True, "", ""),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "begun", "thought", "answer"), CASES)
@given(cuts=st.lists(st.integers(0, 40), max_size=6))
def test_however_the_pieces_come(text: str, begun: bool, thought: str, answer: str, cuts: list[int]) -> None:
    cut = Thinking(begun=begun)
    places = [0, *sorted(cuts), len(text)]
    pieces = [pair for one, two in itertools.pairwise(places) for pair in cut.push(text[one:two])]
    pieces += cut.finish()
    assert "".join(piece for piece, thinking in pieces if thinking) == thought
    assert "".join(piece for piece, thinking in pieces if not thinking) == answer
    for hide in (False, True):
        only = AnswerOnly(begun=begun, hide=hide)
        shown = "".join(only(text[one:two]) for one, two in itertools.pairwise(places)) + only("", True)
        assert shown == (answer.lstrip() if hide else (thought + answer).lstrip())


def test_thought_and_answer() -> None:
    assert split_thinking("Hello") == (None, "Hello")
    assert split_thinking("<think>\nhm\n</think>\n\nHello") == ("hm", "Hello")
    assert split_thinking("hm</think>\nHello", begun=True) == ("hm", "Hello")
    assert split_thinking("hm", begun=True) == ("hm", "")
    assert split_thinking("Hello </think>") == (None, "Hello </think>")


def test_as_a_stream_of_tokens_with_a_stop_text() -> None:
    tokenizer = gpt2_tokenizer()
    text = "<think>\nhm </think>\n\nHello there. And more"
    for hide, shown in ((True, "Hello there"), (False, "<think>\nhm </think>\n\nHello there")):
        stream = TextStream(tokenizer, ["."], cut=AnswerOnly(begun=False, hide=hide))
        pieces = [stream.push(token) for token in tokenizer.encode(text)]
        assert "".join(pieces) + stream.finish() == stream.text == shown
        assert stream.stopped

"""The text and its tokens stay the same text, whatever is typed, taken and undone."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.errors import InputError
from gptcli.explore.document import Document, char_starts

EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.text(max_size=6)),
        st.tuples(st.just("caret"), st.integers(-3, 30)),
        st.tuples(st.just("erase"), st.integers(0, 20), st.integers(0, 20)),
        st.tuples(st.just("take"), st.integers(0, 50256), st.integers(0, 10)),
        st.tuples(st.just("cursor"), st.integers(-2, 30)),
    ),
    max_size=12,
)


@pytest.fixture
def document(model: Any) -> Document:
    made = Document(model.tokenizer, model.encode_prompt)
    made.replace("")
    return made


def bytes_of(document: Document) -> bytes:
    return b"".join(document.tokens[document.now.start :])


@given(edits=EDITS)
@settings(max_examples=25)
def test_the_tokens_are_those_of_the_text(model: Any, edits: list[Any]) -> None:
    document = Document(model.tokenizer, model.encode_prompt)
    document.replace("")
    versions = []
    for name, *arguments in edits:
        document.keep()
        versions.append((document.now.text, document.now.ids))
        if name == "insert":
            document.insert(*arguments)
        elif name == "caret":
            document.move_caret(*arguments)
        elif name == "erase":
            document.erase(*arguments)
        elif name == "take":
            document.take(arguments[0], min(arguments[1], len(document.now.ids) - 1))
        else:
            document.move_cursor(*arguments)
        assert bytes_of(document).decode(errors="replace") == document.now.text
        assert 0 <= document.now.caret <= len(document.now.text)
        assert 0 <= document.now.cursor < len(document.now.ids)
    while versions:
        version = versions.pop()
        if version != (document.now.text, document.now.ids):
            assert document.undo()
            assert (document.now.text, document.now.ids) == version
    assert document.now.text == ""


def test_taking_a_token_cuts_what_followed(document: Document) -> None:
    document.replace("The king and the queen")
    document.keep()
    token = document.tokenizer.encode(" dog")[0]
    assert document.take(token, after=1) == 3
    assert document.now.text == "The king dog"
    assert document.now.cursor == 2
    assert document.undo()
    assert document.now.text == "The king and the queen"
    assert not document.undo()


def test_words_and_places(document: Document) -> None:
    document.replace("one  two three", caret=9)
    assert (document.word_left(), document.word_right()) == (9 - 1 - 3, 14)
    document.insert("x")
    assert (document.now.text, document.now.caret) == ("one  two xthree", 10)
    document.erase(3, 100)
    assert (document.now.text, document.now.caret) == ("one", 3)


def test_a_text_that_cannot_be_read_keeps_its_characters(model: Any) -> None:
    def refuse(text: str) -> list[int]:
        raise InputError("no token for it")

    document = Document(model.tokenizer, refuse)
    document.replace("hello")
    assert (document.now.text, document.now.ids, document.now.error) == ("hello", (), "no token for it")


def test_the_character_of_each_token() -> None:
    assert char_starts([b"<s>", b"a", " é".encode()[:2], " é".encode()[2:]], 1, "a é") == [0, 0, 1, 2, 3]
    assert char_starts([b"A"], 0, "a") is None

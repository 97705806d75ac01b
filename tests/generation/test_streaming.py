"""Text as it becomes certain: whole characters, and nothing that a stop text takes back."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gptcli.generation.streaming import TextStream
from gptcli.tokenizer import RankTokenizer, gpt2_tokenizer

# A vocabulary of byte pieces: token i is PIECES[i]. So a text can be cut into tokens anywhere, inside characters too.
PIECES = [bytes([byte]) for byte in range(256)]
WHOLE = RankTokenizer("bytes", {piece: rank for rank, piece in enumerate(PIECES)}, r"[\s\S]")


class Cut:
    """A tokenizer whose tokens are whatever pieces it is given."""

    name = "cut"
    bytewise = True

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces

    def token_bytes(self, token: int) -> bytes:
        return self.pieces[token]


def stream(pieces: Sequence[bytes], stops: Sequence[str]) -> tuple[list[str], TextStream]:
    """What is handed out, token by token and at the end; nothing is pushed once it has stopped."""
    made = TextStream(Cut(pieces), stops)  # type: ignore[arg-type]
    out = []
    for token in range(len(pieces)):
        out.append(made.push(token))
        assert made.text == "".join(out)
        if made.stopped:
            break
    out.append(made.finish())
    assert made.text == "".join(out)
    return out, made


def expected(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A character at a time: the text before the first stop text that is complete, the longest of those that are."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


TEXTS = st.text(st.sampled_from("abé🙂"), max_size=14)
STOPS = st.lists(st.text(st.sampled_from("abé🙂"), min_size=1, max_size=4), max_size=3)


@pytest.mark.slow
@given(TEXTS, STOPS, st.data())
@settings(max_examples=600)
def test_how_a_text_is_cut_into_tokens_does_not_matter(text: str, stops: list[str], data: st.DataObject) -> None:
    encoded = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(encoded)))) | {0, len(encoded)})
    pieces = [encoded[start:end] for start, end in pairwise(cuts)]

    out, made = stream(pieces, stops)

    assert ("".join(out), made.stopped) == expected(text, stops)
    assert "\ufffd" not in made.text
    # Nothing more is held back than could still be a stop text.
    if not stops:
        for count in range(len(out)):
            sent = b"".join(pieces[: count + 1]).decode(errors="ignore")
            assert "".join(out[: count + 1]) == sent


@given(st.lists(st.binary(max_size=4), max_size=8))
@example([b"\xf0\x9f", b"\x99", b"\x82"])
@example([b"\xe2\x82"])
@example([b"\xff", b"a"])
def test_invalid_bytes_become_replacement_characters(pieces: list[bytes]) -> None:
    out, _ = stream(pieces, [])
    assert "".join(out) == b"".join(pieces).decode(errors="replace")


def test_characters_appear_whole() -> None:
    made = TextStream(WHOLE)
    assert [made.push(byte) for byte in "a🙂é".encode()] == ["a", "", "", "", "🙂", "", "é"]
    assert made.finish() == ""
    assert [made.push(byte) for byte in "🙂".encode()[:2]] == ["", ""]
    assert made.finish() == "\ufffd"


@pytest.mark.parametrize(
    ("tokens", "stops", "handed_out"),
    [
        (["The", " end", " of", " it"], ["end of"], ["Th", "e ", ""]),
        (["a", "b", "c"], ["abc"], ["", "", ""]),
        (["a", "b", "d"], ["abc"], ["", "", "abd"]),
        (["aab", "c"], ["abc"], ["a", ""]),
        (["ab", "ab", "c"], ["ababd", "abc"], ["", "", "ab"]),
        (["x\n", "\n", "y"], ["\n\n"], ["x", ""]),
        (["abc"], ["abc", "b"], ["a"]),  # as it would with a, b, c: the b is complete before the c is there
        (["abc"], ["c", "bc"], ["a"]),
        (["abc", "abc"], ["abc"], [""]),
    ],
)
def test_stop_texts_by_hand(tokens: list[str], stops: list[str], handed_out: list[str]) -> None:
    out, made = stream([token.encode() for token in tokens], stops)
    assert out[: len(handed_out)] == handed_out
    assert made.stopped == (tokens[-1] != "d")
    assert out[len(handed_out) :] in ([], [""])


def test_what_is_held_at_the_end_comes_out() -> None:
    made = TextStream(WHOLE, ["xyz"])
    assert [made.push(byte) for byte in b"axy"] == ["a", "", ""]
    assert made.finish() == "xy"
    assert (made.text, made.stopped) == ("axy", False)


def test_a_stop_text_that_ends_in_a_broken_character() -> None:
    made = TextStream(WHOLE, ["\ufffd"])
    assert [made.push(byte) for byte in b"a\xe2\x82"] == ["a", "", ""]
    assert made.finish() == ""
    assert (made.text, made.stopped) == ("a", True)


def test_pieces_of_gpt2_join_to_what_was_encoded() -> None:
    tokenizer = gpt2_tokenizer()
    text = "naïve 🏳️‍🌈 日本語 \u200fx\n\ttabs ''' <|endoftext|>"
    ids = tokenizer.encode(text)
    made = TextStream(tokenizer)
    out = [made.push(token) for token in ids]
    assert "" in out  # some characters take more than one token
    assert "".join(out) + made.finish() == text

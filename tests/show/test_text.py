"""Untrusted text is seen and never obeyed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.text import token_text, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100%", "plain text, 100%"),
        ("naïve 日本語 é e\u0301", "naïve 日本語 é e\u0301"),
        ("👩\u200d👩\u200d👧 🏳\ufe0f", "👩\u200d👩\u200d👧 🏳\ufe0f"),
        ("a\nb\tc", "a\nb\tc"),
        ("a\rb", "a\\x0db"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m \x85", "\\x9b31m \\x85"),
        ("\x00\x08\x7f", "\\x00\\x08\\x7f"),
        ("abc\u202edef\u2066\u200f", "abc\\u202edef\\u2066\\u200f"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ufeff\u200b\xad", "\\ufeff\\u200b\\xad"),
        ("\udcff\ue000\U000e0041", "\\udcff\\ue000\\U000e0041"),
        ("[bold]not markup[/bold] :smile:", "[bold]not markup[/bold] :smile:"),
    ],
)
def test_visible_by_hand(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = visible(text, keep="")
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert all(
        unicodedata.bidirectional(c) not in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
        for c in shown
    )
    assert visible(shown, keep="") == shown
    shown.encode()  # and it can be written anywhere


@given(st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs"))))
def test_text_that_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"word", "word"),
        (b" the", "·the"),
        (b"\n\n", "⏎⏎"),
        (b"\t", "\\x09"),
        (b"\r\n", "\\x0d⏎"),
        (b"\x1b[0m", "\\x1b[0m"),
        ("é".encode(), "é"),
        (b"\xe2\x82", "\\xE2\\x82"),
        (b"\xffa\xc3", "\\xFFa\\xC3"),
        ("€".encode() + b"\x80 ", "€\\x80·"),
        (b"", ""),
    ],
)
def test_tokens_by_hand(data: bytes, shown: str) -> None:
    assert token_text(data) == shown


@given(st.binary(max_size=12))
def test_a_token_is_on_one_line_and_safe(data: bytes) -> None:
    shown = token_text(data)
    assert len(shown.splitlines()) <= 1
    assert visible(shown, keep="") == shown
    assert bool(shown) == bool(data)

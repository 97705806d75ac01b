"""Characters that take several tokens, in words."""

import pytest

from gptcli.show.tokenize import split_characters


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["hi", " there"], ""),
        ([b" \xf0\x9f\x98", b"\x80"], "😀 takes 2 tokens: shown as bytes"),
        (
            [b"\xe6", b"\x97", b"\xa5", "x", b"\xe6\x9c", b"\xac", b"\xe6\x9c", b"\xac"],
            "日 takes 3 tokens, 本 2: shown as bytes",
        ),
        ([b"\xff", b"\xfe", b"a", b"b", b"c", b"d"], ""),  # no text at all
        ([b"\xf0\x9f"], ""),  # cut off
    ],
)
def test_what_takes_several_tokens_is_named(tokens: list[str | bytes], said: str) -> None:
    assert split_characters([token.encode() if isinstance(token, str) else token for token in tokens]) == said


def test_no_more_than_a_line_of_them() -> None:
    tokens = [part for code in range(0x4E00, 0x4E20) for part in (chr(code).encode()[:1], chr(code).encode()[1:])]
    assert split_characters(tokens).endswith(", and 24 more: shown as bytes")

"""Bytes as text of a page: they come back in JavaScript, and nothing of them is obeyed."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from gptcli.show.live.text_encoding import UNHELD, encode_bytes
from tests.show.live.node import run


def decoded(text: str, size: int) -> bytes:
    """Written from the description alone."""
    bits = "".join(
        f"{UNHELD[(code - 0xA0) // 128]:07b}{(code - 0xA0) % 128:07b}" if code >= 0xA0 else f"{code:07b}"
        for code in map(ord, text)
    )
    return bytes(int(bits[place : place + 8], 2) for place in range(0, 8 * size, 8))


@given(st.binary(max_size=60) | st.lists(st.sampled_from([0, 1, 26, 60, 255]), max_size=60).map(bytes))
def test_they_come_back(data: bytes) -> None:
    text = encode_bytes(data)
    assert decoded(text, len(data)) == data
    assert not any(chr(code) in text for code in UNHELD)
    assert not any(0x80 <= ord(character) < 0xA0 or ord(character) > 0x7FF for character in text)
    assert len(text.encode()) <= 8 * -(-len(data) // 7) + 2


def test_they_come_back_in_javascript() -> None:
    some = [
        bytes(range(256)) * 9,
        bytes(50),
        b"\xff" * 50,
        b"",
        b"<script>\r\n\x1b[2J</script><!-- \0",
        b"\x3c\x79\xe0" * 40,
    ]
    script = "return given.map(([text, size]) => numbers(gptcliUnpack().decodeText(text, size)));"
    said = run(script, [[encode_bytes(data), len(data)] for data in some])
    assert list(map(base64.b64decode, said)) == some

"""Values and texts that no healthy file holds."""

import random
from typing import Any

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 7, 255, 256, 299, 300, 301, 1024, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1),
    *(2**64, 10**9, 10**12, 10**18, 10**30, 10**400, -(10**12), 0.5, -0.0, 1e-300, 1e300, 1e-8, 3.0, 1e308),
    *(float("nan"), float("inf"), float("-inf"), True, False),
)
TEXTS: tuple[str, ...] = (
    *("", " ", "a", "0", "-1", "nan", "null", "gpt2", "opt", "word-vectors", "F32", "../..", "/etc/passwd", "\0"),
    *("\x1b[2J\x1b]0;owned\x07", "[bold red]x[/]", "\u202eabc\u2066", "\ud800", "\udfff\ud800", "é", "e\u0301", "日本"),
    *("\ufeff", "\u2028", "%s%n{0}", "$(id)", "x" * 10_000, "\U0010ffff", "\x85", "\r\n", "__metadata__", "h.999.x"),
)
SHAPES: tuple[Any, ...] = (None, [], {}, [[]], {"": ""}, [None], [0] * 1000, {"a": {"b": {"c": []}}})


def any_text(rng: random.Random) -> str:
    """A text from the list, or a few random characters."""
    if rng.random() < 0.8:
        return rng.choice(TEXTS)
    return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0x3000), rng.randrange(0x110000)))) for _ in "abc")


def any_value(rng: random.Random, like: Any = None) -> Any:
    """A JSON value; mostly of the same type as another, and near it where that is a number."""
    if isinstance(like, int) and not isinstance(like, bool) and rng.random() < 0.5:
        return rng.choice((like + 1, like - 1, like * 2, like // 2, -like, like * 10**6))
    if isinstance(like, int | float) and rng.random() < 0.7:
        return rng.choice(NUMBERS)
    if isinstance(like, str) and rng.random() < 0.7:
        return any_text(rng)
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(NUMBERS)
    return any_text(rng) if kind < 0.8 else rng.choice(SHAPES)


def broken_json(rng: random.Random, data: bytes) -> bytes:
    """JSON that a parser chokes on: cut, nested without end, not UTF-8, with endless numbers."""
    place = rng.randrange(len(data) or 1)
    insertion = rng.choice(
        (
            *(b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"9" * 10_000, b"1e99999"),
            *(
                b"NaN",
                b"-Infinity",
                b"\0",
                b"/*",
                b",",
                b"}",
                b'"',
                b"\\",
                b"\xef\xbb\xbf",
                b"\n" * 1000,
                b"-0",
                b"0x1",
            ),
        )
    )
    action = rng.randrange(4)
    if action == 0:
        return data[:place]
    if action == 1:
        return insertion + data
    if action == 2:
        return data[:place] + insertion
    return data[:place] + insertion + data[place:]

"""Back through the tokens of an explained text, key by key."""

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from gptcli.show import look_back as module
from gptcli.show.look_back import can_look_back, look_back, picture
from tests.show.test_explain import LILY, steps

TEXTS = [("Once upon a time", steps(LILY)), ("A", steps(LILY[:2]))]


def walked(monkeypatch: pytest.MonkeyPatch, *keys: str, texts: object = None, typed: bool = False) -> list[str]:
    """The frames of a walk by these keys, without colours; the last one is what is left on the screen."""
    out, drawn = io.StringIO(), []
    console = Console(file=out, width=80, height=30, force_terminal=True, color_system=None)
    left = list(keys)

    @contextmanager
    def keyboard() -> Iterator[Callable[[float], list[str]]]:
        yield lambda seconds: [left.pop(0)]

    def shown(texts: object, number: int, step: int) -> str:
        drawn.append(f"{number}.{step}")
        return ""

    monkeypatch.setattr(module, "keyboard", keyboard)
    monkeypatch.setattr(module, "stdout_console", lambda: console)
    monkeypatch.setattr(module, "picture", shown)
    monkeypatch.setattr("select.select", lambda *_: ([1] if typed else [], [], []))
    monkeypatch.setattr(sys, "stdout", out)
    look_back(TEXTS if texts is None else texts)  # type: ignore[arg-type]
    assert not left or typed
    return [*drawn, out.getvalue()]


def test_left_and_right_go_through_the_tokens_of_all_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    last = len(LILY) - 1
    keys = ["\x1b[D", "\x1b[D", "\x1bOD", "\x1b[C", "home", "\x1b[D", "end", "x", "q"]
    drawn = walked(monkeypatch, *keys)[:-1]
    assert drawn == ["1.0", f"0.{last}", f"0.{last - 1}", f"0.{last}", "0.0", "1.1"]


@pytest.mark.parametrize("key", ["q", "enter", "x", "\x1b[C"])
def test_any_other_key_ends_it_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    (screen,) = walked(monkeypatch, key)
    assert "any other key ends" in screen
    assert re.search(r"\r +\r$", screen)


def test_who_has_typed_ahead_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert walked(monkeypatch, "q", typed=True) == [""]


def test_without_tokens_there_is_nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert walked(monkeypatch, texts=[("A", [])]) == [""]


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 24), (130, 40)])
def test_each_frame_fits_and_says_where_one_is(width: int, height: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, height=height, force_terminal=True, color_system=None).print(picture(TEXTS, 0, 2))
    lines = out.getvalue().removesuffix("\n").split("\n")
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    assert f"text 1 of 2, token 3 of {len(LILY)}" in lines[-1]
    assert sum("▶" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("keyboard", "screen", "term", "possible"),
    [
        (True, True, "xterm", True),
        (False, True, "xterm", False),
        (True, False, "xterm", False),
        (True, True, "dumb", False),
    ],
)
def test_it_needs_a_keyboard_and_a_screen(
    keyboard: bool, screen: bool, term: str, possible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: keyboard))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=lambda: 77))
    monkeypatch.setattr("os.isatty", lambda descriptor: screen and descriptor == 77)
    monkeypatch.setenv("TERM", term)
    assert can_look_back() == possible
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # recorded
    assert not can_look_back()

"""Answers as they are drawn: names bold, thinking dim, what a template wrote told from what was typed."""

import io
import re
from contextlib import nullcontext
from typing import Any

import pytest
from rich.console import Console

from gptcli.generation.chat.conversation import Chat
from gptcli.generation.chat.scenes import Scene, scene_of
from gptcli.generation.chat.script import Format
from gptcli.generation.chat.turns import Prompt, PromptPart
from gptcli.sampling.settings import Sampling
from gptcli.show import chat as module
from gptcli.show.blocks.palette import DARK
from gptcli.show.chat import Conversation
from gptcli.show.transcript import draw_prompt
from tests.generation.test_chatting import BYTES, Speaker


class Screen(io.StringIO):
    """A terminal that keeps what it was sent."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, says: str, *, color: str | None = "standard", **options: Any) -> str:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    console = Console(file=screen, force_terminal=True, color_system=color, width=60, highlight=False)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "stdout_console", lambda: console)
    talk = Chat(Speaker(says, 1000), BYTES, Format("script", "U", "A"), Sampling(), seed=1, n_vocab=257, eos_ids=(256,))
    Conversation(talk, "x", ["hi"], **options).run(None)
    return screen.getvalue()


def test_thinking_is_dim_or_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "<think>hm</think>\n\nyes$"
    shown = drawn(monkeypatch, says)
    assert "".join(shown.split("\x1b[2m")).replace("\x1b[0m", "") == "<think>hm</think>\n\nyes\n"
    dim = [piece.partition("\x1b[0m")[0] for piece in shown.split("\x1b[2m")[1:]]
    assert "".join(dim) == "<think>hm</think>"
    assert drawn(monkeypatch, says, color=None) == "<think>hm</think>\n\nyes\n"
    assert drawn(monkeypatch, says, hide_thinking=True) == "yes\n"
    assert drawn(monkeypatch, "yes$") == "yes\n"


@pytest.mark.parametrize("width", [20, 60, 80])
def test_a_prompt_that_a_template_wrote(width: int) -> None:
    parts = [
        PromptPart("user", "old\x1b[31m", (1, 2), 2, "old"),
        PromptPart("assistant", "older", (1,), 1, "older"),
        PromptPart("special", "<|im_start|>", (7,)),
        PromptPart("text", "user\nsay <|im_end|>", (1, 2, 3)),
        PromptPart("special", "<|im_end|>", (8,)),
        PromptPart("text", "\n", (4,)),
    ]
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(draw_prompt(Prompt(parts, 100)))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert all(len(line) <= width for line in lines)
    if width > 20:  # too narrow for a line to stay one
        assert lines[:5] == [
            "✗ user: old\\x1b[31m",
            "✗ assistant: older",
            "│ «<|im_start|>»user",
            "│ say <|im_end|>«<|im_end|>»",
            "│",
        ]
        assert " ".join(lines[5:]) == (
            "the model sees 6 tokens, of a context of 100; 3 have fallen out (✗); «…» are special tokens"
        )


def at_terminal(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], scene: Scene | None, **console: Any
) -> tuple[str, Chat]:
    """What is shown to somebody who types these lines, and the chat."""
    screen, typed = Screen(), iter(lines)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdin", Screen())
    monkeypatch.setattr(module, "typed_ahead", nullcontext)

    def asked(prompt: str = "") -> str:
        screen.write(prompt.replace("\x01", "").replace("\x02", ""))
        line = next(typed, None)
        if line is None:
            raise EOFError
        screen.write(line + "\n")
        return line

    monkeypatch.setattr("builtins.input", asked)
    shown = Console(file=screen, force_terminal=True, color_system="truecolor", width=40, highlight=False, **console)
    monkeypatch.setattr(module, "stdout_console", lambda: shown)
    layout = Format("script", "User", "Assistant")
    talk = Chat(Speaker("no$", 1000), BYTES, layout, Sampling(), seed=1, n_vocab=257, eos_ids=(256,))
    Conversation(talk, "tales", [], scene=scene).run(None)
    return screen.getvalue(), talk


def test_enter_begins_the_scene_of_a_model_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of("tales")
    assert scene is not None
    shown, talk = at_terminal(monkeypatch, ["", "Play?"], scene)
    assert "Enter begins a scene: you are a girl" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "User: \n" in plain  # before the scene
    assert "Girl: Play?\nWolf: no\n" in plain
    assert talk.system == scene.system
    assert [turn.text for turn in talk.turns] == ["Play?", "no"]


def test_without_enter_there_is_no_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, talk = at_terminal(monkeypatch, ["Hello", "", "/help"], scene_of("tales"))
    assert "User: Hello" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert talk.layout.assistant == "Assistant"
    assert "/scene " in shown
    plain, _ = at_terminal(monkeypatch, ["", "/help", "/scene"], None)
    assert "Enter begins" not in plain
    assert "/scene  " not in plain
    assert "error: /scene: this model has no scene" in plain


def test_both_speakers_have_a_colour_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, _ = at_terminal(monkeypatch, ["Hello"], None)
    yours, its = (f"38;2;{int(c[1:3], 16)};{int(c[3:5], 16)};{int(c[5:], 16)}m" for c in DARK.series[:2])
    assert f"\x1b[{yours}User: Hello\n\x1b[0m" in shown
    assert f"{its}Assistant: \x1b[0mno" in shown
    plain, _ = at_terminal(monkeypatch, ["Hello"], None, no_color=True)
    assert "38;2" not in plain

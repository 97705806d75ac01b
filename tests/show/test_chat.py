"""Answers as they are drawn: names bold, thinking dim, what a template wrote told from what was typed."""

import io
from typing import Any

import pytest
from rich.console import Console

from gptcli.generation.chat.conversation import Chat
from gptcli.generation.chat.turns import Format, Prompt, PromptPart
from gptcli.sampling.settings import Sampling
from gptcli.show import chat as module
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

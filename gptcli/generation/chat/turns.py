"""The turns of a chat, and the prompt that they make."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Turn:
    """One turn of a chat.

    Attributes:
        role: the speaker.
        text: the text.
        ids: for an answer: the generated tokens.
        logprobs: for an answer: natural logarithm of the probability that the model gave each of them.
        finish_reason: for an answer: ``eos``, ``stop`` (the next turn began), ``length`` or ``interrupted``.
    """

    role: Role
    text: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True)
class PromptPart:
    """A part of the prompt.

    Attributes:
        role: the role of the turn; ``cue`` for the text that the answer continues. In a prompt that a template wrote:
            ``special`` for a special token, ``text`` for the text between special tokens.
        text: the text as it is in the prompt.
        ids: its tokens.
        fallen: how many of its first tokens were dropped from the context.
        fallen_text: the text of the dropped tokens.
    """

    role: Literal["system", "user", "assistant", "cue", "special", "text"]
    text: str
    ids: tuple[int, ...]
    fallen: int = 0
    fallen_text: str = ""


@dataclass(frozen=True)
class Prompt:
    """The whole conversation as a prompt.

    Attributes:
        parts: its parts, in order.
        n_positions: the context length.
        mid_thought: whether it ends with ``<think>``, so that the answer begins with thinking.
    """

    parts: list[PromptPart]
    n_positions: int
    mid_thought: bool = False

    @property
    def ids(self) -> list[int]:
        """The tokens that the model sees."""
        return [token for part in self.parts for token in part.ids[part.fallen :]]

    @property
    def fallen(self) -> int:
        """The number of tokens that were dropped from the context."""
        return sum(part.fallen for part in self.parts)

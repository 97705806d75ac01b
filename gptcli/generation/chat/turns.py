"""The turns of a chat, and how they become one text that a model can continue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gptcli.errors import InputError
from gptcli.text import quoted

Role = Literal["system", "user", "assistant"]
_SYSTEM = "This is a conversation between a person and a kind, well-read AI assistant."


@dataclass(frozen=True)
class Format:
    """How turns become one text.

    Attributes:
        kind: ``script``: each turn is a line that begins with who speaks; ``eos``: turns are separated by the token
            that ends a text, and nobody is named (Zhang et al. 2020, DialoGPT).
        user, assistant: who speaks.
    """

    kind: Literal["script", "eos"] = "script"
    user: str = "User"
    assistant: str = "Assistant"

    def __post_init__(self) -> None:
        """Refuse names that could not be told from the rest of the script.

        Raises:
            InputError: says which.
        """
        for option, name in (("--user", self.user), ("--assistant", self.assistant)):
            if not name.strip() or "\n" in name or name != name.strip():
                raise InputError(f"{option} {quoted(name)}: a name on one line, without spaces around it")
        if self.user == self.assistant:
            raise InputError(f"--user and --assistant are both {quoted(self.user)}: nobody could tell whose turn it is")

    @property
    def system(self) -> str:
        """What sets the scene where nobody says so."""
        return _SYSTEM if self.kind == "script" else ""

    @property
    def cue(self) -> str:
        """What asks for the answer."""
        return f"{self.assistant}:" if self.kind == "script" else ""

    @property
    def stops(self) -> tuple[str, ...]:
        """Where the next turn begins."""
        return (f"\n{self.user}:", f"\n{self.assistant}:") if self.kind == "script" else ()

    def lay_out(self, role: Role, text: str) -> str:
        """A turn as it stands in the prompt, without what separates it from the others."""
        return text if self.kind == "eos" or role == "system" else f"{getattr(self, role)}: {text}"

    def between(self, before: Role | None) -> str:
        """What separates a turn from the one before it; white space goes with what follows, as GPT-2 cuts texts."""
        if self.kind == "eos" or before is None:
            return ""
        return "\n\n" if before == "system" else "\n"


def format_for(
    kind: Literal["auto", "script", "eos"], name: str, config: Mapping[str, Any] | None, *, user: str, assistant: str
) -> Format:
    """The layout that was asked for; ``auto`` is the one that the model was trained on, else a script.

    Args:
        kind: what was asked for.
        name: what the model is called; DialoGPT is known by it,
        config: or by its config.json.
        user, assistant: who speaks.

    Raises:
        InputError: a name could not be told from the rest of the script.
    """
    if kind == "auto":
        tasks = (config or {}).get("task_specific_params")
        conversational = isinstance(tasks, Mapping) and "conversational" in tasks
        kind = "eos" if conversational or "dialogpt" in name.lower() else "script"
    return Format(kind, user, assistant)


@dataclass(frozen=True)
class Turn:
    """What somebody said.

    Attributes:
        role: who.
        text: what.
        ids, logprobs: of an answer: the tokens that the model gave, and their log-probabilities.
        finish_reason: of an answer: ``eos``, ``stop`` (the next turn began), ``length`` or ``interrupted``.
    """

    role: Role
    text: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True)
class PromptPart:
    """A piece of the prompt.

    Attributes:
        role: whose turn it is; ``cue`` asks for the answer.
        text: as it is laid out.
        ids: its tokens.
        fallen: how many of them, from the front, the model does not see any more.
        fallen_text: and what these say.
    """

    role: Literal["system", "user", "assistant", "cue"]
    text: str
    ids: tuple[int, ...]
    fallen: int = 0
    fallen_text: str = ""


@dataclass(frozen=True)
class Prompt:
    """All that was said, as the model reads it.

    Attributes:
        parts: in order.
        n_positions: the context length.
    """

    parts: list[PromptPart]
    n_positions: int

    @property
    def ids(self) -> list[int]:
        """The tokens that the model sees."""
        return [token for part in self.parts for token in part.ids[part.fallen :]]

    @property
    def fallen(self) -> int:
        """How many tokens it does not see any more."""
        return sum(part.fallen for part in self.parts)

"""The turns of a chat, and how they become one text that a model can continue."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gptcli.errors import InputError
from gptcli.text import quoted
from gptcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    from gptcli.generation.chat.script import ScriptPrompts

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

    usual_length: ClassVar[int] = 100
    """Tokens that an answer may have where nobody says how many."""

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

    def facts(self) -> dict[str, Any]:
        """What is saved of it with a conversation."""
        return asdict(self)

    def prompts(self, tokenizer: Tokenizer, n_vocab: int) -> "ScriptPrompts":
        """What lays out prompts for a model with this tokenizer and so many ids.

        Raises:
            InputError: the layout needs a token that ends a text and there is none.
        """
        from gptcli.generation.chat.script import ScriptPrompts

        return ScriptPrompts(self, tokenizer, n_vocab)


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
        role: whose turn it is; ``cue`` asks for the answer. In a prompt that a template wrote: ``special`` for a
            special token, ``text`` for what stands between them.
        text: as it is laid out.
        ids: its tokens.
        fallen: how many of them, from the front, the model does not see any more.
        fallen_text: and what these say.
    """

    role: Literal["system", "user", "assistant", "cue", "special", "text"]
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
        mid_thought: whether it ends with ``<think>``, so that the answer begins inside.
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
        """How many tokens it does not see any more."""
        return sum(part.fallen for part in self.parts)

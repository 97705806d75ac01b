"""The turns of a chat, and the formats that join them into one text for a model to continue."""

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
        kind: ``script``: each turn is a line that begins with the speaker's name; ``eos``: turns are separated by the
            end-of-text token, without names (Zhang et al. 2020, DialoGPT).
        user, assistant: the speakers' names.
    """

    kind: Literal["script", "eos"] = "script"
    user: str = "User"
    assistant: str = "Assistant"

    def __post_init__(self) -> None:
        """Refuse names that could not be told apart from the rest of the script.

        Raises:
            InputError: a name is invalid; the message says which.
        """
        for option, name in (("--user", self.user), ("--assistant", self.assistant)):
            if not name.strip() or "\n" in name or name != name.strip():
                raise InputError(f"{option} {quoted(name)}: a name on one line, without spaces around it")
        if self.user == self.assistant:
            raise InputError(f"--user and --assistant are both {quoted(self.user)}: nobody could tell whose turn it is")

    usual_length: ClassVar[int] = 100
    """The default maximum length of an answer, in tokens."""

    @property
    def system(self) -> str:
        """The default system text."""
        return _SYSTEM if self.kind == "script" else ""

    @property
    def cue(self) -> str:
        """The text at the end of the prompt that the answer continues."""
        return f"{self.assistant}:" if self.kind == "script" else ""

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that begin the next turn and so end the answer."""
        return (f"\n{self.user}:", f"\n{self.assistant}:") if self.kind == "script" else ()

    def lay_out(self, role: Role, text: str) -> str:
        """A turn as it is written in the prompt, without separators."""
        return text if self.kind == "eos" or role == "system" else f"{getattr(self, role)}: {text}"

    def between(self, before: Role | None) -> str:
        """The separator before a turn. It begins the turn's text because GPT-2 joins a space to the word after it."""
        if self.kind == "eos" or before is None:
            return ""
        return "\n\n" if before == "system" else "\n"

    def facts(self) -> dict[str, Any]:
        """The layout's fields in a saved conversation."""
        return asdict(self)

    def prompts(self, tokenizer: Tokenizer, n_vocab: int) -> "ScriptPrompts":
        """The prompt builder for a model with this tokenizer and vocabulary size.

        Raises:
            InputError: the layout needs an end-of-text token and there is none.
        """
        from gptcli.generation.chat.script import ScriptPrompts

        return ScriptPrompts(self, tokenizer, n_vocab)


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

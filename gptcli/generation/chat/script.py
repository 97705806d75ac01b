"""Prompts for models that only continue texts: the system text, the turns as a script, and a cue for the answer.

If the turns no longer fit into the context, the oldest ones are dropped; the system text stays.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

from gptcli.errors import InputError
from gptcli.generation.chat.turns import Prompt, PromptPart, Role, Turn
from gptcli.text import quoted
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import known

_SYSTEM = "This is a conversation between a person and a kind, well-read AI assistant."


@dataclass(frozen=True)
class Format:
    """How turns become one text.

    Attributes:
        kind: ``script``: each turn is a line that begins with the speaker's name; ``eos``: turns are separated by the
            end-of-text token, without names (Zhang et al. 2020, DialoGPT); ``story``: as a scene has it (``scenes``).
        user, assistant: the speakers' names.
    """

    kind: Literal["script", "eos", "story"] = "script"
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
        return ScriptPrompts(self, tokenizer, n_vocab)


class ScriptPrompts:
    """Builds prompts according to a ``Format``.

    Args:
        layout: the format.
        tokenizer: the model's tokenizer.
        n_vocab: the size of the model's vocabulary.

    Raises:
        InputError: the layout needs an end-of-text token and there is none.
    """

    def __init__(self, layout: Format, tokenizer: Tokenizer, n_vocab: int) -> None:
        self._layout, self._tokenizer, self._n_vocab = layout, tokenizer, n_vocab
        self._encoded: dict[str, tuple[int, ...]] = {}
        if layout.kind == "eos" and tokenizer.eos_id is None:
            raise InputError(f"--format eos: the tokenizer {tokenizer.name} has no token that ends a text")

    def prompt(self, system: str | None, turns: list[Turn], room: int, n_positions: int) -> Prompt:
        """The system text, as many of the newest turns as fit, and the cue.

        Args:
            system: the system text; may be empty.
            turns: the turns so far.
            room: the maximum number of tokens of the prompt.
            n_positions: the context length.

        Raises:
            InputError: the system text leaves no space for turns.
        """
        system = system or ""
        first = max(len(turns) - 1, 0)  # the first turn in the prompt; as many as fit are kept
        parts = self._parts(system, turns[first:])
        while first > 0 and _tokens(longer := self._parts(system, turns[first - 1 :])) <= room:
            first, parts = first - 1, longer
        newest = next((place for place, part in enumerate(parts) if part.role in ("user", "assistant")), None)
        excess = _tokens(parts) - room
        if newest is not None and excess > 0:  # too long by itself: its beginning is dropped
            fallen = min(excess, len(parts[newest].ids) - 1)
            gone = self._tokenizer.decode(parts[newest].ids[:fallen])
            parts[newest] = replace(parts[newest], fallen=fallen, fallen_text=gone)
            excess -= fallen
        if excess > 0 or (newest is None and excess == 0):
            fixed = sum(len(part.ids) for part in parts if part.role in ("system", "cue"))
            raise InputError(
                f"--system takes {fixed:,} tokens of the {room:,} that the context has next to an answer: shorten "
                "it, or let answers be shorter (-n)"
            )
        scene = sum(part.role == "system" for part in parts)
        before: Role | None = "system" if system else None
        forgotten = [
            replace(part, fallen=len(part.ids), fallen_text=part.text) for part in self._said(turns[:first], before)
        ]
        return Prompt([*parts[:scene], *forgotten, *parts[scene:]], n_positions)

    def end_ids(self) -> tuple[int, ...]:
        """Ids that end an answer, in addition to the end-of-text ids."""
        return ()

    def _parts(self, system: str, turns: Sequence[Turn]) -> list[PromptPart]:
        """The parts of a prompt with the system text, these turns and the cue."""
        prefix = self._tokenizer.prefix_ids
        parts = [PromptPart("system", self._tokenizer.decode(prefix), tuple(prefix))] if prefix else []
        if system:
            parts += self._said([Turn("system", system)], None)
        parts += self._said(turns, "system" if system else None)
        if self._layout.cue:
            last: Role | None = turns[-1].role if turns else "system" if system else None
            text = self._layout.between(last) + self._layout.cue
            parts.append(PromptPart("cue", text, self._encode(text)))
        return parts

    def _said(self, turns: Sequence[Turn], before: Role | None) -> list[PromptPart]:
        """The parts of some turns; ``before`` is the role of the turn before the first."""
        parts = []
        for turn in turns:
            text = self._layout.between(before) + self._layout.lay_out(turn.role, turn.text)
            ids = self._encode(text)
            if self._layout.kind == "eos":
                assert self._tokenizer.eos_id is not None, "looked at when the chat began"
                text += self._tokenizer.decode([self._tokenizer.eos_id])
                ids = (*ids, self._tokenizer.eos_id)
            parts.append(PromptPart(turn.role, text, ids))
            before = turn.role
        return parts

    def _encode(self, text: str) -> tuple[int, ...]:
        """The ids of a text, cached: each turn is part of every later prompt but is encoded once."""
        if text not in self._encoded:
            ids = known(self._tokenizer, self._tokenizer.encode(text), self._n_vocab, "the text")
            self._encoded[text] = tuple(ids)
        return self._encoded[text]


def _tokens(parts: Sequence[PromptPart]) -> int:
    return sum(len(part.ids) for part in parts)

"""Prompts for models that were trained on conversations, built with the model's own chat template.

If the turns no longer fit into the context, the oldest question is dropped together with its answer: templates require
the first turn to be a question.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, ClassVar, Literal

from gptcli.checkpoint.chat_templates import ChatTemplate
from gptcli.errors import GptcliError, InputError
from gptcli.generation.chat import sandbox
from gptcli.generation.chat.marks import Marks, spelled
from gptcli.generation.chat.renderer import Renderer
from gptcli.generation.chat.thinking import BEGIN
from gptcli.generation.chat.turns import Prompt, PromptPart, Turn
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import known

# The template variables that switch thinking on or off.
_SWITCHES = ("enable_thinking", "thinking")
# Characters per token, for an upper bound on the text that fits into a context: few tokens are longer.
_LONGEST_TOKEN = 100


@dataclass
class TemplateLayout:
    """A model's own template, and its settings.

    Attributes:
        template: the template.
        renderer: renders it.
        user, assistant: the names shown on the screen; the model does not see them.
        thinking: whether the model thinks before it answers; None leaves it to the template.
    """

    kind: ClassVar[Literal["template"]] = "template"
    system: ClassVar[None] = None
    stops: ClassVar[tuple[str, ...]] = ()
    usual_length: ClassVar[int] = 1000

    template: ChatTemplate
    renderer: Renderer
    user: str = "User"
    assistant: str = "Assistant"
    thinking: bool | None = None

    @property
    def can_switch_thinking(self) -> bool:
        """Whether the template has a switch for thinking."""
        return any(re.search(rf"\b{name}\b", self.template.text) for name in _SWITCHES)

    def facts(self) -> dict[str, Any]:
        """The layout's fields in a saved conversation."""
        named = {"kind": self.kind, "user": self.user, "assistant": self.assistant}
        return {**named, "template": self.template.name, "thinking": self.thinking}

    def prompts(self, tokenizer: Tokenizer, n_vocab: int) -> "TemplatePrompts":
        """The prompt builder for a model with this tokenizer and vocabulary size."""
        return TemplatePrompts(self, tokenizer, n_vocab)


class TemplatePrompts:
    """Builds prompts with the model's template.

    Args:
        layout: the template and its settings.
        tokenizer: the model's tokenizer.
        n_vocab: the size of the model's vocabulary.
    """

    def __init__(self, layout: TemplateLayout, tokenizer: Tokenizer, n_vocab: int) -> None:
        self._layout, self._tokenizer, self._n_vocab = layout, tokenizer, n_vocab
        end = {} if tokenizer.eos_id is None else {"eos_token": tokenizer.decode([tokenizer.eos_id])}
        self._roles = end | dict(tokenizer.roles)
        # Added tokens that are not special, for example <think>, also steer the model if the template writes them.
        steering = [token for token in tokenizer.added if token.special or token.content in layout.template.text]
        self._steering = {token.content: token.id for token in steering if token.content.strip()}
        self._verbatim: dict[Turn, bool] = {}
        self._encoded: dict[str, tuple[int, ...]] = {}

    def prompt(self, system: str | None, turns: list[Turn], room: int, n_positions: int) -> Prompt:
        """The prompt with the system text, as many of the newest turns as fit, and the generation prompt.

        Args:
            system: the system text; None leaves it to the template.
            turns: the turns so far; if no question is open, an empty one is appended.
            room: the maximum number of tokens of the prompt.
            n_positions: the context length.

        Raises:
            InputError: the template refuses this conversation, or its newest turn does not fit.
            CheckpointError: the template cannot be used.
        """
        asked = turns if turns and turns[-1].role == "user" else [*turns, Turn("user", "")]
        starts = self._starts(asked, room)
        made = {0: self._made(system, asked[starts[0] :])}
        low, high = 0, len(starts) - 1  # the first start that fits is between these
        while low < high:
            middle = 0 if len(made[0][1]) <= room else (low + high) // 2
            made[middle] = made.get(middle) or self._made(system, asked[starts[middle] :])
            low, high = (low, middle) if len(made[middle][1]) <= room else (middle + 1, high)
        text, ids = made.get(low) or self._made(system, asked[starts[low] :])
        if not ids and asked == turns:
            raise InputError("the model's chat template makes an empty prompt (--no-template does without it)")
        if len(ids) > room:
            raise InputError(
                f"the turn makes a prompt of {len(ids):,} tokens, and the context of {n_positions:,} holds "
                f"{room:,} next to an answer: shorten it (or --system), or let answers be shorter (-n)"
            )
        parts = [self._forgotten(turn) for turn in asked[: starts[low]]] + list(self._parts(ids))
        return Prompt(parts, n_positions, mid_thought=text.rstrip().endswith(BEGIN))

    @staticmethod
    def _starts(turns: Sequence[Turn], room: int) -> list[int]:
        """The turns that a prompt may start at, oldest first: questions, except those too far back to fit."""
        left, starts = min(_LONGEST_TOKEN * room, sandbox.MOST_CHARACTERS // 2), list[int]()
        for place in reversed(range(len(turns))):
            left -= len(turns[place].text)
            if starts and left < 0:
                break
            if turns[place].role == "user":
                starts.insert(0, place)
        return starts

    def end_ids(self) -> tuple[int, ...]:
        """Ids that end an answer: the token that the template writes after one, if it is a special token."""
        answer = "What is said."
        try:
            text = self._render(None, [Turn("user", "?"), Turn("assistant", answer)], asks=False)
        except GptcliError:
            return ()
        behind = text.rpartition(answer)[2].lstrip()
        ends = [token for token in self._tokenizer.special_tokens if token.strip() and behind.startswith(token)]
        return (self._tokenizer.special_tokens[max(ends, key=len)],) if ends else ()

    def _made(self, system: str | None, turns: Sequence[Turn]) -> tuple[str, list[int]]:
        """The text and the ids of a prompt."""
        marks = Marks(self._steering, [self._layout.template.text, system or "", *(turn.text for turn in turns)])
        pieces = list(marks.reveal(self._render(system, turns, marks)))
        ids = known(self._tokenizer, self._encode(pieces), self._n_vocab, "the conversation")
        return "".join(text for text, _ in pieces), ids

    def _render(
        self, system: str | None, turns: Sequence[Turn], marks: Marks | None = None, *, asks: bool = True
    ) -> str:
        layout = self._layout
        messages = [] if system is None else [{"role": "system", "content": marks.hide(system) if marks else system}]
        for turn in turns:
            typed = marks is not None and not self._is_verbatim(turn)
            text = marks.hide(turn.text) if marks is not None and typed else turn.text
            messages.append({"role": turn.role, "content": text})
        given: dict[str, Any] = {"messages": messages, "add_generation_prompt": asks, "tools": None, "documents": None}
        if layout.thinking is not None:
            given |= dict.fromkeys(_SWITCHES, layout.thinking)
        variables = {**self._roles, **given}
        return layout.renderer.render(layout.template.text, variables, layout.template.place)

    def _is_verbatim(self, turn: Turn) -> bool:
        """Whether each text in an answer that spells a special token was that token, as with ``<think>``."""
        if turn.role != "assistant":
            return False
        if turn not in self._verbatim:
            spelled_there = ((text, token) for text, token in self._steering.items() if text in turn.text)
            self._verbatim[turn] = all(turn.text.count(text) == turn.ids.count(token) for text, token in spelled_there)
        return self._verbatim[turn]

    def _encode(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        """The ids of a prompt, encoded as one text, but without special tokens that contain the user's characters."""
        text = "".join(piece for piece, _ in pieces)
        special = self._tokenizer.special_tokens
        closed = spelled(pieces, special)
        # Added tokens that are not special are always recognised, so a text that spells one is split inside it.
        cuts = [place + 1 for place in spelled(pieces, [each for each in self._steering if each not in special])]
        ids = []
        for start, end in pairwise(sorted({0, *cuts, len(text)})):
            runs = groupby(range(start, end), closed.__contains__)
            parts = [("".join(text[place] for place in run), not shut) for shut, run in runs]
            ids += self._tokenizer.encode_parts(parts)
        return ids

    def _parts(self, ids: Sequence[int]) -> Iterator[PromptPart]:
        """The prompt in pieces: each special token by itself, and the texts between them."""
        special, before = set(self._steering.values()), tuple[int, ...]()
        for steers, group in groupby(ids, special.__contains__):
            run = tuple(group)
            if steers:
                yield from (PromptPart("special", self._tokenizer.decode([token]), (token,)) for token in run)
            else:  # inside a text: some tokenizers drop a leading space
                lead = self._tokenizer.decode(before)
                yield PromptPart("text", self._tokenizer.decode([*before, *run]).removeprefix(lead), run)
            before = run[-1:]

    def _forgotten(self, turn: Turn) -> PromptPart:
        """The part for a turn that was dropped."""
        if turn.text not in self._encoded:
            self._encoded[turn.text] = tuple(self._tokenizer.encode(turn.text))
        ids = self._encoded[turn.text]
        return PromptPart(turn.role, turn.text, ids, len(ids), turn.text)

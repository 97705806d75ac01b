"""A chat with a model that only continues texts: the turns are laid out as a script, and the next line is the answer.

What does not fit into the context any more falls out from the front, turn by turn; the scene stays.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace

from gptcli.errors import InputError
from gptcli.generation.chat.turns import Format, Part, Prompt, Role, Turn
from gptcli.generation.loop import Limits, Sample, generate
from gptcli.generation.streaming import TextStream
from gptcli.generation.writing import text_of
from gptcli.model.engine import Engine
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import known


class Chat:
    """A conversation.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        layout: how turns become a prompt.
        sampling: how tokens are chosen.
        seed: with the number of the answer it fixes its draws.
        n_vocab: ids from here on are never chosen.
        eos_ids: ids that end an answer.
        system: sets the scene, and may be empty; None: one that suits the layout.
        max_new_tokens: an answer has at most so many.

    Attributes:
        layout, sampling, seed, system: as given; the sampling may be changed between answers.
        turns: what was said.

    Raises:
        InputError: the scene leaves no room in the context, or holds tokens that the model lacks; or the layout needs
            a token that ends a text and there is none.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        layout: Format,
        sampling: Sampling,
        *,
        seed: int,
        n_vocab: int,
        eos_ids: tuple[int, ...] = (),
        system: str | None = None,
        max_new_tokens: int = 100,
    ) -> None:
        self._engine, self._tokenizer, self._n_vocab = engine, tokenizer, n_vocab
        self.layout, self.sampling, self.seed = layout, sampling, seed
        self.system = layout.system if system is None else system
        self.turns: list[Turn] = []
        if layout.kind == "eos" and tokenizer.eos_id is None:
            raise InputError(f"--format eos: the tokenizer {tokenizer.name} has no token that ends a text")
        self._limits = Limits(max_new_tokens, eos_ids, "stop")
        self._encoded: dict[str, tuple[int, ...]] = {}
        # An answer has room for all of its tokens, but never more than half of the context.
        self._room = engine.n_positions - min(max_new_tokens, engine.n_positions // 2)
        self.prompt()

    def prompt(self) -> Prompt:
        """What the model would be asked now: the scene, as many of the newest turns as fit, and the cue.

        Raises:
            InputError: the scene leaves no room.
        """
        first = max(len(self.turns) - 1, 0)  # of the turns that are seen, which are as many as fit
        parts = self._parts(self.turns[first:])
        while first > 0 and self._excess(longer := self._parts(self.turns[first - 1 :])) <= 0:
            first, parts = first - 1, longer
        newest = next((place for place, part in enumerate(parts) if part.role in ("user", "assistant")), None)
        excess = self._excess(parts)
        if newest is not None and excess > 0:  # too long by itself: it loses its beginning
            fallen = min(excess, len(parts[newest].ids) - 1)
            gone = self._tokenizer.decode(parts[newest].ids[:fallen])
            parts[newest] = replace(parts[newest], fallen=fallen, fallen_text=gone)
            excess -= fallen
        if excess > 0 or (newest is None and excess == 0):
            fixed = sum(len(part.ids) for part in parts if part.role in ("system", "cue"))
            raise InputError(
                f"--system takes {fixed:,} tokens of the {self._room:,} that the context has beside an answer: shorten "
                "it, or let answers be shorter (-n)"
            )
        scene = sum(part.role == "system" for part in parts)
        before: Role | None = "system" if self.system else None
        forgotten = [
            replace(part, fallen=len(part.ids), fallen_text=part.text)
            for part in self._said(self.turns[:first], before)
        ]
        return Prompt([*parts[:scene], *forgotten, *parts[scene:]], self._engine.n_positions)

    def ask(self, text: str) -> Generator[str, None, None]:
        """Say something, and read the answer as it comes. What was read when one stops is the answer.

        Raises:
            InputError: the model lacks a token of the text. The conversation is then as before.
        """
        before = list(self.turns)
        self.turns.append(Turn("user", text))
        try:
            ids = self.prompt().ids
        except InputError:
            self.turns = before
            raise
        number = sum(turn.role == "assistant" for turn in before)
        sample, stream = (
            Sample(0, number, ids),
            TextStream(self._tokenizer, self.layout.stops),
        )
        try:
            yield from _trimmed(self._pieces(sample, stream))
        finally:
            reason = sample.finish_reason or "interrupted"
            answer = Turn("assistant", stream.text.strip(), tuple(sample.ids), tuple(sample.logprobs), reason)
            self.turns.append(answer)

    def reset(self) -> None:
        """Forget what was said; the scene stays."""
        self.turns.clear()
        self._encoded.clear()

    def _pieces(self, sample: Sample, stream: TextStream) -> Iterator[str]:
        how = (self.sampling, self._limits)
        for step in generate(self._engine, [sample], *how, seed=self.seed, n_vocab=self._n_vocab):
            yield text_of(step, stream)
        yield stream.finish()

    def _excess(self, parts: list[Part]) -> int:
        """By how many tokens a prompt is too long."""
        return sum(len(part.ids) for part in parts) - self._room

    def _parts(self, turns: list[Turn]) -> list[Part]:
        """A prompt of the scene, these turns and the cue."""
        prefix = self._tokenizer.prefix_ids
        parts = [Part("system", self._tokenizer.decode(prefix), tuple(prefix))] if prefix else []
        if self.system:
            parts += self._said([Turn("system", self.system)], None)
        parts += self._said(turns, "system" if self.system else None)
        if self.layout.cue:
            last: Role | None = turns[-1].role if turns else "system" if self.system else None
            text = self.layout.between(last) + self.layout.cue
            parts.append(Part("cue", text, self._encode(text)))
        return parts

    def _said(self, turns: list[Turn], before: Role | None) -> list[Part]:
        """The parts of some turns, of which the first comes after ``before``."""
        parts = []
        for turn in turns:
            text = self.layout.between(before) + self.layout.lay_out(turn.role, turn.text)
            ids = self._encode(text)
            if self.layout.kind == "eos":
                assert self._tokenizer.eos_id is not None, "looked at when the chat began"
                text += self._tokenizer.decode([self._tokenizer.eos_id])
                ids = (*ids, self._tokenizer.eos_id)
            parts.append(Part(turn.role, text, ids))
            before = turn.role
        return parts

    def _encode(self, text: str) -> tuple[int, ...]:
        """The ids of a text; each turn is a part of every prompt after it, and encoded once."""
        if text not in self._encoded:
            ids = known(self._tokenizer, self._tokenizer.encode(text), self._n_vocab, "the text")
            self._encoded[text] = tuple(ids)
        return self._encoded[text]


def _trimmed(pieces: Iterable[str]) -> Iterator[str]:
    """Pieces of a text as they come, without the white space at its beginning and at its end."""
    begun, held = False, ""
    for piece in pieces:
        text = held + piece if begun else piece.lstrip()
        kept = text.rstrip()
        begun, held = begun or bool(kept), text[len(kept) :]
        yield kept

"""A chat: the turns are laid out as one prompt, by the model's template or as a script, and continued by the model."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from gptcli.errors import GptcliError
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.thinking import Thinking
from gptcli.generation.chat.turns import Format, Prompt, Turn
from gptcli.generation.loop import Limits, Sample, generate
from gptcli.generation.streaming import TextStream
from gptcli.generation.writing import text_of
from gptcli.model.engine import Engine
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer


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
        system: sets the scene, and may be empty; None: one that suits the layout, or what the template has.
        max_new_tokens: an answer has at most so many.

    Attributes:
        layout, sampling, seed, system: as given; the sampling may be changed between answers.
        turns: what was said.
        asked: the prompt of the newest answer.

    Raises:
        InputError: the scene leaves no room in the context, or holds tokens that the model lacks; or the layout needs
            a token that ends a text and there is none; or the model's template refuses the system text.
        CheckpointError: the model's template cannot be used.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        layout: Format | TemplateLayout,
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
        self._prompts = layout.prompts(tokenizer, n_vocab)
        # An answer has room for all of its tokens, but never more than half of the context.
        self._room = engine.n_positions - min(max_new_tokens, engine.n_positions // 2)
        self.asked = self.prompt()
        self._limits = Limits(max_new_tokens, {*eos_ids, *self._prompts.end_ids()}, "stop")

    def prompt(self) -> Prompt:
        """What the model would be asked now.

        Raises:
            InputError: it does not fit into the context, or the model's template refuses it.
        """
        return self._prompts.prompt(self.system, self.turns, self._room, self._engine.n_positions)

    def set_system(self, text: str | None) -> None:
        """Change what stands before the first turn (see ``Chat``), for this and all that follows.

        Raises:
            InputError: as ``prompt``; it is then as before.
        """
        before, self.system = self.system, text
        try:
            self.prompt()
        except GptcliError:
            self.system = before
            raise

    def ask(self, text: str) -> Generator[str, None, None]:
        """Say something, and read the answer as it comes. What was read when one stops is the answer.

        Raises:
            InputError: the model lacks a token of the text. The conversation is then as before.
        """
        before = list(self.turns)
        self.turns.append(Turn("user", text))
        try:
            self.asked = self.prompt()
        except GptcliError:
            self.turns = before
            raise
        number = sum(turn.role == "assistant" for turn in before)
        sample, stream = Sample(0, number, self.asked.ids), TextStream(self._tokenizer, self.layout.stops)
        try:
            yield from _trimmed(self._pieces(sample, stream))
        finally:
            reason = sample.finish_reason or "interrupted"
            answer = Turn("assistant", stream.text.strip(), tuple(sample.ids), tuple(sample.logprobs), reason)
            self.turns.append(answer)

    def answer(self, text: str) -> Generator[tuple[str, bool], None, None]:
        """The same, each piece with whether the model thinks before it answers (see ``Thinking``)."""
        with closing(self.ask(text)) as pieces:
            thinking = None
            for piece in pieces:
                thinking = thinking or Thinking(begun=self.asked.mid_thought)
                yield from thinking.push(piece)
            if thinking is not None:
                yield from thinking.finish()

    def reset(self) -> None:
        """Forget what was said; the scene stays."""
        self.turns.clear()

    def _pieces(self, sample: Sample, stream: TextStream) -> Iterator[str]:
        how = (self.sampling, self._limits)
        for step in generate(self._engine, [sample], *how, seed=self.seed, n_vocab=self._n_vocab):
            yield text_of(step, stream)
        yield stream.finish()


def _trimmed(pieces: Iterable[str]) -> Iterator[str]:
    """Pieces of a text as they come, without the white space at its beginning and at its end."""
    begun, held = False, ""
    for piece in pieces:
        text = held + piece if begun else piece.lstrip()
        kept = text.rstrip()
        begun, held = begun or bool(kept), text[len(kept) :]
        yield kept

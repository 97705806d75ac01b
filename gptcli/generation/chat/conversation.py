"""A chat: the turns become one prompt, by the model's template or as a script, and the model continues it."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from gptcli.errors import GptcliError
from gptcli.generation.chat.scenes import Scene
from gptcli.generation.chat.script import Format
from gptcli.generation.chat.template import TemplateLayout
from gptcli.generation.chat.thinking import Thinking
from gptcli.generation.chat.turns import Prompt, Turn
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
        seed: determines the sampling, together with the number of the answer.
        n_vocab: ids from this number on are never chosen.
        eos_ids: ids that end an answer.
        system: the system text, which may be empty; None: the layout's or the template's default.
        max_new_tokens: the maximum length of an answer.

    Attributes:
        layout, sampling, seed, system: as given; the sampling may be changed between answers.
        turns: the turns so far.
        asked: the prompt of the newest answer.

    Raises:
        InputError: the system text leaves no space in the context, or has tokens that the model lacks; or the layout
            needs an end-of-text token and there is none; or the model's template refuses the system text.
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
        # Space for max_new_tokens is reserved for the answer, but at most half of the context.
        self._room = engine.n_positions - min(max_new_tokens, engine.n_positions // 2)
        self.asked = self.prompt()
        self._limits = Limits(max_new_tokens, {*eos_ids, *self._prompts.end_ids()}, "stop")

    def prompt(self) -> Prompt:
        """The prompt of the turns so far.

        Raises:
            InputError: it does not fit into the context, or the model's template refuses it.
        """
        return self._prompts.prompt(self.system, self.turns, self._room, self._engine.n_positions)

    def set_system(self, text: str | None) -> None:
        """Change the system text (see ``Chat``) from the next answer on.

        Raises:
            InputError: as ``prompt``; the system text is then unchanged.
        """
        before, self.system = self.system, text
        try:
            self.prompt()
        except GptcliError:
            self.system = before
            raise

    def begin_scene(self, scene: Scene) -> None:
        """Forget all turns, and play a scene from here on.

        Raises:
            InputError: it does not fit into the context.
        """
        self.layout, self.turns = scene.layout, []
        self._prompts = scene.layout.prompts(self._tokenizer, self._n_vocab)
        self.set_system(scene.system)

    def ask(self, text: str) -> Generator[str, None, None]:
        """Add a question and stream the answer. If the caller stops early, the answer is what it has read so far.

        Raises:
            InputError: the model lacks a token of the text. The conversation is then unchanged.
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
        """The same as ``ask``, each piece with whether it is thinking (see ``Thinking``)."""
        with closing(self.ask(text)) as pieces:
            thinking = None
            for piece in pieces:
                thinking = thinking or Thinking(begun=self.asked.mid_thought)
                yield from thinking.push(piece)
            if thinking is not None:
                yield from thinking.finish()

    def reset(self) -> None:
        """Forget all turns; the system text stays."""
        self.turns.clear()

    def _pieces(self, sample: Sample, stream: TextStream) -> Iterator[str]:
        how = (self.sampling, self._limits)
        for step in generate(self._engine, [sample], *how, seed=self.seed, n_vocab=self._n_vocab):
            yield text_of(step, stream)
        yield stream.finish()


def _trimmed(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a text as they arrive, without leading and trailing white space of the whole text."""
    begun, held = False, ""
    for piece in pieces:
        text = held + piece if begun else piece.lstrip()
        kept = text.rstrip()
        begun, held = begun or bool(kept), text[len(kept) :]
        yield kept

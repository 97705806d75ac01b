"""Texts from a GPT: prompts in, continuations out, piece by piece.

Joins the tokenizer, the engine and the generation loop. How a text is shown is decided elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from gptcli.errors import InputError
from gptcli.generation.clock import Clock
from gptcli.generation.loop import ChosenToken, Limits, Sample, each_sample, generate, window
from gptcli.generation.records import CompletionRecord
from gptcli.generation.streaming import TextStream
from gptcli.model.engine import Engine, rows_at_once
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import prompt_ids

if TYPE_CHECKING:
    from gptcli.checkpoint.open import Changes


@dataclass(frozen=True)
class Questions:
    """Prompts that a chat's layout makes of questions: what is written are the answers.

    Attributes:
        ids: what the model reads for each.
        streams: for each, what makes the text of an answer.
    """

    ids: Sequence[list[int]]
    streams: Sequence[Callable[[], TextStream]]


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        prompts: the texts to continue.
        sampling: how tokens are chosen.
        limits: when a text ends.
        seed: fixes all draws.
        num_samples: continuations of each prompt.
        stops: texts that end a continuation, and are left out of it.
        bos: put ``<|endoftext|>`` before each prompt.
        scored: keep the log-probabilities of what is chosen.
        questions: the prompts as questions; None: they are continued as they are.
    """

    prompts: Sequence[str]
    sampling: Sampling
    limits: Limits
    seed: int
    num_samples: int = 1
    stops: Sequence[str] = ()
    bos: bool = False
    scored: bool = True
    questions: Questions | None = None


@dataclass
class Completion:
    """One continuation: the text of a ``Sample`` while it grows.

    Attributes:
        prompt: the text it continues.
        sample: its tokens.
        stream: its text.
        interrupted: the user stopped it.
    """

    prompt: str
    sample: Sample
    stream: TextStream
    interrupted: bool = False

    @property
    def finish_reason(self) -> str | None:
        """``eos``, ``stop``, ``length``, ``interrupted``, or None while it grows."""
        return "interrupted" if self.interrupted else self.sample.finish_reason


@dataclass(frozen=True)
class Piece:
    """A token, and the text that became certain with it (possibly none yet)."""

    completion: Completion
    step: ChosenToken
    text: str


class Writing:
    """The continuations of a request. Iterate over it to generate them.

    As many are generated at a time as fit into memory; the others follow in order. A continuation does not depend on
    the others of its batch.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        request: what to write.
        n_vocab: ids from here on are never chosen.
        load_s: how long the model took to load, for the timings.
        model: its name, for the records.
        changes: what is changed in it; None: nothing.

    Attributes:
        completions: the current batch, by prompt, then by sample. They grow with the iteration, keep their text when it
            is left early, and are replaced by the next batch when all are done.
        prompt_tokens: how many tokens all prompts have.
        slid: whether a finished text outgrew the context.
        clock: the timings.
        tokenizer, request, model: as given.
        changes: what is changed in the model, as typed; None: nothing.
        n_positions: the context length.

    Raises:
        InputError: a stop text is empty; or a prompt is, and the tokenizer has no end-of-text token to start from; or
            a prompt does not fit into the context, holds a token that the model does not have, or lacks a position or a
            word that is changed.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        request: Request,
        *,
        n_vocab: int,
        load_s: float = 0.0,
        model: str = "",
        changes: "Changes | None" = None,
    ) -> None:
        if "" in request.stops:
            raise InputError("--stop '': an empty text would stop everything; give it some characters")
        self._engine, self._n_vocab = engine, n_vocab
        self.tokenizer, self.request, self.model = tokenizer, request, model
        self.n_positions = engine.n_positions
        if request.questions is None:
            ids = [prompt_ids(tokenizer, prompt, bos=request.bos, n_vocab=n_vocab) for prompt in request.prompts]
        else:
            ids = list(request.questions.ids)
        self.changes = None if changes is None else list(changes.told)
        # What does not fit a prompt should be told before anything is shown.
        if changes is not None:
            for prompt in ids:
                changes.check(window(prompt, engine.n_positions, request.limits.overflow))
        longest = max(len(window(prompt, engine.n_positions, request.limits.overflow)) for prompt in ids)
        self.prompt_tokens, self.slid = sum(map(len, ids)), False
        self._at_once = rows_at_once(engine, min(longest + request.limits.max_new_tokens, engine.n_positions))
        self._waiting = each_sample(ids, request.num_samples, scored=request.scored)
        self.completions = self._next()
        self.clock = Clock(load_s)

    def _next(self) -> list[Completion]:
        """As many of those that are left as can be written at once."""
        return [_completion(self.request, sample, self.tokenizer) for sample in islice(self._waiting, self._at_once)]

    @property
    def guessed(self) -> int | None:
        """Tokens that the engine guessed correctly in advance; None where it does not guess."""
        return self._engine.guessed

    @property
    def why_not_c(self) -> str | None:
        """Why the engine in C is not used, as a sentence without a full stop (see ``EngineFacts``)."""
        return self._engine.facts().why_not_c

    def __iter__(self) -> Iterator[Piece]:
        """Generate the pieces; with the last piece of a completion its text is complete."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[Iterator[Piece]]:
        """The pieces batch by batch; ``completions`` are those of the next batch."""
        self.clock.start()
        following = self.completions
        while following:
            self.completions = following
            yield self._pieces()
            self.slid = self.slid or any(completion.sample.slid for completion in self.completions)
            following = self._next()

    def _pieces(self) -> Iterator[Piece]:
        by_sample = {id(completion.sample): completion for completion in self.completions}
        steps = generate(
            self._engine,
            [completion.sample for completion in self.completions],
            self.request.sampling,
            self.request.limits,
            seed=self.request.seed,
            n_vocab=self._n_vocab,
        )
        for step in steps:
            self.clock.tick()
            completion = by_sample[id(step.sample)]
            text = text_of(step, completion.stream)
            if completion.finish_reason is not None:
                text += completion.stream.finish()
            yield Piece(completion, step, text)

    def interrupt(self) -> None:
        """Mark unfinished completions as stopped by the user."""
        for completion in self.completions:
            if completion.finish_reason is None:
                completion.interrupted = True
                completion.stream.finish()

    def record(self, completion: Completion) -> CompletionRecord:
        """What ``--json`` prints of one completion."""
        return CompletionRecord(
            model=self.model,
            prompt=completion.prompt,
            completion=completion.stream.text,
            prompt_ids=completion.sample.prompt_ids,
            ids=completion.sample.ids,
            logprobs=completion.sample.logprobs,
            finish_reason=completion.finish_reason,
            seed=self.request.seed,
            sample=completion.sample.number + 1,
            timings=self.clock.timings(),
            changes=self.changes,
        )


def text_of(step: ChosenToken, stream: TextStream) -> str:
    """The text that becomes certain with a token: none for an end-of-text token. A stop text ends the sample."""
    if step.sample.finish_reason == "eos":
        return ""
    text = stream.push(step.token)
    if stream.stopped:
        step.sample.finish_reason = "stop"
    return text


def _completion(request: Request, sample: Sample, tokenizer: Tokenizer) -> Completion:
    prompt = request.prompts[sample.prompt]
    if request.questions is not None:
        return Completion(prompt, sample, request.questions.streams[sample.prompt]())
    return Completion(prompt, sample, TextStream(tokenizer, request.stops, sample.prompt_ids, prompt))

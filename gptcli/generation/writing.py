"""Texts from a GPT: prompts in, continuations out, piece by piece.

Joins the tokenizer, the engine and the generation loop. It decides nothing about how a text is shown.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from gptcli.errors import InputError
from gptcli.generation.loop import Limits, Sample, Step, each_sample, generate, window
from gptcli.generation.streaming import TextStream
from gptcli.model.engine import Engine, rows_at_once
from gptcli.sampling.settings import Sampling
from gptcli.text import quoted
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import prompt_ids, quoted_tokens


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
    """What is to be written.

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
    """One continuation: the text of a ``Sample``, growing.

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
    step: Step
    text: str


@dataclass
class Clock:
    """When things happened, in seconds of a monotonic clock."""

    load_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    last_token: float | None = None
    tokens: int = 0

    def tick(self) -> None:
        """Count one token."""
        self.last_token = time.perf_counter()
        self.first_token = self.first_token or self.last_token
        self.tokens += 1

    def timings(self) -> dict[str, float | None]:
        """Seconds to load, to the first token, and in all; and tokens per second, of all samples together."""
        if self.first_token is None or self.last_token is None:
            return {"load_s": self.load_s, "first_token_s": None, "total_s": None, "tokens_per_s": None}
        total = self.last_token - self.started
        return {
            "load_s": self.load_s,
            "first_token_s": self.first_token - self.started,
            "total_s": total,
            "tokens_per_s": self.tokens / total,
        }


class Writing:
    """The continuations of a request. Iterate over it to have them written.

    They are written side by side, as many at a time as there is memory for; the others follow in their order. What a
    continuation says does not depend on which others are written with it.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        request: what to write.
        n_vocab: ids from here on are never chosen.
        load_s: how long the model took to load, for the timings.

    Attributes:
        completions: those at hand, by prompt, then by sample; they grow as the iteration goes on, keep what they have
            when it is left early, and make room for the next when all of them are done.
        prompt_tokens: how many tokens all prompts have.
        slid: whether a text outgrew the context, of those that are done.
        clock: when things happened.
        tokenizer, request: as given.
        n_positions: the context length.

    Raises:
        InputError: a stop text is empty; or a prompt is, and the tokenizer has no end-of-text token to start from; or
            a prompt does not fit into the context, or holds a token that the model does not have.
    """

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, request: Request, *, n_vocab: int, load_s: float = 0.0
    ) -> None:
        if "" in request.stops:
            raise InputError("--stop '': an empty text would stop everything; give it some characters")
        self._engine, self._n_vocab = engine, n_vocab
        self.tokenizer, self.request = tokenizer, request
        self.n_positions = engine.n_positions
        if request.questions is None:
            ids = [prompt_ids(tokenizer, prompt, bos=request.bos, n_vocab=n_vocab) for prompt in request.prompts]
        else:
            ids = list(request.questions.ids)
        # A prompt that does not fit should be told before anything is shown.
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
        """Tokens that the engine had read before they were chosen; None where it does not guess."""
        return self._engine.guessed

    @property
    def why_not_c(self) -> str | None:
        """Why the engine in C does not write this, in a sentence without its full stop (see ``EngineFacts``)."""
        return self._engine.facts().why_not_c

    def __iter__(self) -> Iterator[Piece]:
        """Write; the last piece of a completion has all of its text out."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[Iterator[Piece]]:
        """Write some texts after the others; ``completions`` are those that come next."""
        self.clock.started = time.perf_counter()
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
        """Mark what is unfinished as stopped by the user."""
        for completion in self.completions:
            if completion.finish_reason is None:
                completion.interrupted = True
                completion.stream.finish()

    def record(self, completion: Completion) -> dict[str, Any]:
        """What ``--json`` prints of one completion."""
        return {
            "prompt": completion.prompt,
            "completion": completion.stream.text,
            "prompt_ids": completion.sample.prompt_ids,
            "ids": completion.sample.ids,
            "logprobs": completion.sample.logprobs,
            "finish_reason": completion.finish_reason,
            "seed": self.request.seed,
            "sample": completion.sample.number,
            "timings": self.clock.timings(),
        }


def text_of(step: Step, stream: TextStream) -> str:
    """The text that becomes certain with a step: nothing of an end-of-text token, and a stop text ends the sample."""
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


def with_logit_bias(sampling: Sampling, tokenizer: Tokenizer, entries: Sequence[str]) -> Sampling:
    """Add ``TEXT=+5`` entries to a sampling: the id of TEXT, which must be one token, and what to add to its logit.

    Raises:
        InputError: an entry has no number, or its text is not one token.
    """
    biases = dict(sampling.logit_bias)
    for entry in entries:
        text, _, number = entry.rpartition("=")
        bias = _bias(number)
        if not text or bias is None:
            raise InputError(f"--logit-bias {quoted(entry)}: write TEXT=NUMBER, such as ' dragon=+5' or ' dragon=-inf'")
        ids = tokenizer.encode(text, special=True)
        if len(ids) != 1:
            raise InputError(
                f"--logit-bias {quoted(entry)}: the text is {len(ids):,} tokens ({quoted_tokens(tokenizer, ids)}), and "
                "has to be one"
            )
        biases[ids[0]] = bias
    return sampling.changed(logit_bias=biases)


def _bias(number: str) -> float | None:
    """A finite number or -inf, which forbids a token."""
    try:
        bias = float(number)
    except ValueError:
        return None
    return bias if bias < math.inf else None

"""Texts from a GPT: prompts in, continuations out, piece by piece.

Joins the tokenizer, the engine and the generation loop. It decides nothing about how a text is shown.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gptcli.errors import InputError
from gptcli.generation.loop import Limits, Sample, Step, generate, new_samples, window
from gptcli.generation.streaming import TextStream
from gptcli.model.engine import Engine
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import Tokenizer


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
    """

    prompts: Sequence[str]
    sampling: Sampling
    limits: Limits
    seed: int
    num_samples: int = 1
    stops: Sequence[str] = ()
    bos: bool = False
    scored: bool = True


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

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        request: what to write.
        n_vocab: ids from here on are never chosen.
        load_s: how long the model took to load, for the timings.

    Attributes:
        completions: by prompt, then by sample; they grow as the iteration goes on, and keep what they have when it is
            left early.
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
        ids = [prompt_ids(tokenizer, prompt, bos=request.bos, n_vocab=n_vocab) for prompt in request.prompts]
        for prompt in ids:  # a prompt that does not fit should be told before anything is shown
            window(prompt, engine.n_positions, request.limits.overflow)
        self.completions = [
            _completion(request.prompts[sample.prompt], sample, tokenizer, request.stops)
            for sample in new_samples(ids, request.num_samples, scored=request.scored)
        ]
        self.clock = Clock(load_s)

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
        by_sample = {id(completion.sample): completion for completion in self.completions}
        steps = generate(
            self._engine,
            [completion.sample for completion in self.completions],
            self.request.sampling,
            self.request.limits,
            seed=self.request.seed,
            n_vocab=self._n_vocab,
        )
        self.clock.started = time.perf_counter()
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


def _completion(prompt: str, sample: Sample, tokenizer: Tokenizer, stops: Sequence[str]) -> Completion:
    lead = "" if not prompt or prompt[-1].isspace() else tokenizer.word_gap
    return Completion(prompt, sample, TextStream(tokenizer, stops, lead))


def prompt_ids(tokenizer: Tokenizer, prompt: str, *, bos: bool = False, n_vocab: int | None = None) -> list[int]:
    """The ids that a model reads for a prompt.

    What the checkpoint's own tokenizer puts before every text comes first (nothing for GPT-2). ``bos``, or an empty
    prompt, starts from the end-of-text token, which is what GPT-2 saw before every document.

    Raises:
        InputError: the end-of-text token is needed and the tokenizer has none; or an id is not below ``n_vocab``, so
            that the model has no row for it.
    """
    ids = known(tokenizer, [*tokenizer.prefix_ids, *tokenizer.encode(prompt)], n_vocab)
    begun = bool(tokenizer.prefix_ids) and tokenizer.prefix_ids[-1] == tokenizer.eos_id
    if ids and (begun or not bos):
        return ids
    if n_vocab is not None and tokenizer.eos_id is not None and tokenizer.eos_id >= n_vocab:
        raise InputError(f"the end-of-text token of {tokenizer.name} is one that the model lacks: give a prompt")
    if tokenizer.eos_id is None:
        raise InputError(f"the tokenizer {tokenizer.name} has no end-of-text token to start from: give a prompt")
    return [tokenizer.eos_id, *ids]


def known(tokenizer: Tokenizer, ids: list[int], n_vocab: int | None, what: str = "the prompt") -> list[int]:
    """The ids of a text as they are, all of which the model knows.

    Raises:
        InputError: one is not below ``n_vocab``; ``what`` says what the text is.
    """
    unknown = next((token for token in ids if n_vocab is not None and token >= n_vocab), None)
    if unknown is not None:
        shown = f"{tokenizer.decode([unknown])!r} (id {unknown:,})"
        raise InputError(f"{what} holds {shown}, a token of {tokenizer.name} that the model lacks")
    return ids


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
            raise InputError(f"--logit-bias {entry!r}: write TEXT=NUMBER, such as ' dragon=+5' or ' dragon=-inf'")
        ids = tokenizer.encode(text, special=True)
        if len(ids) != 1:
            pieces = ", ".join(repr(tokenizer.decode([token])) for token in ids)
            raise InputError(f"--logit-bias {entry!r}: {text!r} is {len(ids)} tokens ({pieces}), and has to be one")
        biases[ids[0]] = bias
    return sampling.changed(logit_bias=biases)


def _bias(number: str) -> float | None:
    """A finite number or -inf, which forbids a token."""
    try:
        bias = float(number)
    except ValueError:
        return None
    return bias if bias < math.inf else None

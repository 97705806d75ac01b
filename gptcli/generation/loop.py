"""The loop: read the prompts, then choose one token at a time.

It knows an engine and ids, never text. It yields each chosen token with its logits, so that a caller can stream,
explain, or stop a sample early.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gptcli.errors import InputError
from gptcli.model.engine import Engine
from gptcli.sampling.draw import draw_token, generator_for
from gptcli.sampling.filters import Logits
from gptcli.sampling.settings import Kept, Sampling
from gptcli.sampling.shortlist import shortlist

Overflow = Literal["slide", "stop"]
FinishReason = Literal["eos", "stop", "length"]


@dataclass
class Sample:
    """One text while it is generated.

    Attributes:
        prompt: index of its prompt.
        number: which sample of that prompt; with the seed it fixes the draws.
        prompt_ids: the prompt's tokens.
        ids: the tokens chosen so far.
        logprobs: natural logarithm of the probability that the model itself gave to each of ``ids``, before
            temperature and filters.
        finish_reason: ``eos``, ``stop`` (set by the caller), ``length``, or None while it is not finished.
        slid: how often the oldest half of the context was dropped.
        scored: whether to record ``logprobs``: normalizing takes longer than choosing.
    """

    prompt: int
    number: int
    prompt_ids: list[int]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    slid: int = 0
    scored: bool = True

    @property
    def all_ids(self) -> list[int]:
        """Prompt and completion together."""
        return self.prompt_ids + self.ids


@dataclass(frozen=True)
class ChosenToken:
    """A token that was chosen.

    Attributes:
        sample: that it belongs to; it is already the last of ``sample.ids``.
        logits: of the model, [V].
        kept: the logits that the filters left.
        token: the chosen id.
    """

    sample: Sample
    logits: Logits
    kept: Kept
    token: int


@dataclass(frozen=True)
class Limits:
    """When a sample ends.

    Attributes:
        max_new_tokens: the most that are added to a prompt.
        eos_ids: ids that end a text; the last of ``Sample.ids`` when one is chosen.
        overflow: at the end of the context, ``slide`` drops the oldest half and reads the newest again (at the first
            positions, as the model was trained), ``stop`` ends with reason ``length``.
    """

    max_new_tokens: int
    eos_ids: Collection[int] = ()
    overflow: Overflow = "slide"


@dataclass
class Row:
    """A row of the engine's batch: its sample, the sample's generator, and how many positions it has read."""

    sample: Sample
    generator: np.random.Generator
    used: int


def each_sample(prompts: Sequence[Sequence[int]], num_samples: int = 1, *, scored: bool = True) -> Iterator[Sample]:
    """Empty samples for ``generate``: ``num_samples`` of each prompt, by prompt and then by number."""
    for index, ids in enumerate(prompts):
        number = 0
        while number < num_samples:  # may be more than a range can count
            yield Sample(prompt=index, number=number, prompt_ids=list(ids), scored=scored)
            number += 1


def new_samples(prompts: Sequence[Sequence[int]], num_samples: int = 1, *, scored: bool = True) -> list[Sample]:
    """``each_sample`` as a list."""
    return list(each_sample(prompts, num_samples, scored=scored))


def generate(
    engine: Engine,
    samples: Sequence[Sample],
    sampling: Sampling,
    limits: Limits,
    *,
    seed: int,
    n_vocab: int | None = None,
) -> Iterator[ChosenToken]:
    """Continue the samples, all in one batch, one token each at a time.

    A sample ends early where the caller sets its ``finish_reason`` between two steps.

    Args:
        engine: the model.
        samples: from ``new_samples``; they are filled in as tokens are chosen.
        sampling: how to choose.
        limits: when to end.
        seed: with the sample's number, determines its draws, whatever else is in the batch.
        n_vocab: ids from here on are padding of the embedding and never chosen; None: there is none.

    Yields:
        A ``ChosenToken`` for each token, samples in turn.

    Raises:
        InputError: a prompt is empty, or longer than the context and ``overflow`` is ``stop``; or the filters leave no
            token to choose.
        GptcliError: the model's numbers overflowed.
    """
    windows = {sample.prompt: window(sample.prompt_ids, engine.n_positions, limits.overflow) for sample in samples}
    if limits.max_new_tokens < 1:
        for sample in samples:
            sample.finish_reason = "length"
    rows = [
        Row(sample, generator_for(seed, sample.number), len(windows[sample.prompt]))
        for sample in samples
        if sample.finish_reason is None
    ]
    if not rows:
        return
    longest = max(map(len, windows.values()))
    logits = engine.prefill(list(windows.values()), min(longest + limits.max_new_tokens, engine.n_positions))
    row_of = {prompt: index for index, prompt in enumerate(windows)}
    kept = [row_of[row.sample.prompt] for row in rows]
    engine.select(kept)
    logits = logits[kept]
    for row in rows:
        row.sample.slid = int(len(row.sample.prompt_ids) > row.used)
    while True:
        for row, offered in zip(rows, logits, strict=True):
            step = choose(row, offered[:n_vocab], sampling)
            row.sample.finish_reason = finish_reason(step, row, engine.n_positions, limits)
            yield step
        going = [index for index, row in enumerate(rows) if row.sample.finish_reason is None]
        if not going:
            return
        if len(going) < len(rows):
            engine.select(going)
            rows = [rows[index] for index in going]
        logits = read_newest(engine, rows)


def window(ids: list[int], n_positions: int, overflow: Overflow) -> list[int]:
    """The part of a prompt that is read: all of it, or its end, as long as half the context.

    Raises:
        InputError: it is empty, or longer than the context and ``overflow`` is ``stop``.
    """
    if not ids:
        raise InputError("the prompt is empty, and a GPT needs at least one token (--bos starts from <|endoftext|>)")
    if len(ids) <= n_positions:
        return ids
    if overflow == "stop":
        raise InputError(
            f"the prompt has {len(ids):,} tokens and the model's context is {n_positions:,}: shorten it, or use "
            "--overflow slide to read only its end"
        )
    return ids[-max(n_positions // 2, 1) :]


def choose(row: Row, logits: Logits, sampling: Sampling, token: int | None = None) -> ChosenToken:
    """Add one token to a row's sample.

    Args:
        row: its sample grows.
        logits: of the model, [V].
        sampling: how to choose.
        token: the caller's choice. A random number is drawn anyway, so that each position has its own.

    Raises:
        InputError: the filters leave no token to choose.
        GptcliError: the model's numbers overflowed.
    """
    sample = row.sample
    listed = shortlist(logits, sampling.shortlist_size, normalize=sample.scored)
    kept = sampling.keep(logits, lambda: sample.all_ids, listed.ids)
    if not kept.ids.size:
        raise InputError("the filters leave no token to choose: loosen --no-repeat-ngram or --logit-bias")
    drawn = draw_token(kept, row.generator)
    token = drawn if token is None else token
    sample.ids.append(token)
    if listed.log_sum is not None:
        sample.logprobs.append(float(logits[token]) - listed.log_sum)
    return ChosenToken(sample, logits, kept, token)


def finish_reason(step: ChosenToken, row: Row, n_positions: int, limits: Limits) -> FinishReason | None:
    """Why a sample ends with the token that was just added, or None where it goes on."""
    if step.token in limits.eos_ids:
        return "eos"
    full = limits.overflow == "stop" and row.used == n_positions
    return "length" if full or len(step.sample.ids) >= limits.max_new_tokens else None


def read_newest(engine: Engine, rows: list[Row]) -> Logits:
    """Have the engine read each row's newest token, after dropping half of the context where a row is full."""
    for index, row in enumerate(rows):
        if row.used == engine.n_positions:
            half = max(engine.n_positions // 2, 1)
            engine.refill(index, row.sample.all_ids[-half:-1])
            row.used = half - 1
            row.sample.slid += 1
        row.used += 1
    return engine.step([row.sample.ids[-1] for row in rows])

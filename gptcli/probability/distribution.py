"""The distribution behind the next token: what the model offers, at which odds, and what a sampler leaves of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.generation.writing import known
from gptcli.sampling.filters import Logits
from gptcli.sampling.settings import Sampling
from gptcli.sampling.softmax import log_softmax, softmax
from gptcli.tokenizer import Tokenizer


@dataclass(frozen=True)
class Candidate:
    """A token that may come next.

    Attributes:
        rank: 1 is the most probable; equal logits rank by id.
        token: the bytes it stands for.
        id: its place in the vocabulary.
        logit: what the model gave it.
        model_probability: softmax of the logits as they are.
        probability: with which it would be drawn, after temperature and filters; 0 when cut.
        cut_by: the filter that removed it, or None.
    """

    rank: int
    token: bytes
    id: int
    logit: float
    model_probability: float
    probability: float
    cut_by: str | None


@dataclass(frozen=True)
class Rest:
    """The tokens that are not listed: how many, and the probability they have together."""

    count: int
    probability: float


@dataclass(frozen=True)
class Distribution:
    """The odds of the next token under one way of choosing.

    Attributes:
        temperature: that the logits were divided by; 0: all on the first.
        filters: names of the filters that took part, in order.
        kept: how many tokens can be drawn.
        entropy_bits: of the probabilities after the filters.
        candidates: the most probable tokens.
        rest: all others.
        watched: tokens that were asked for by name.
    """

    temperature: float
    filters: tuple[str, ...]
    kept: int
    entropy_bits: float
    candidates: list[Candidate]
    rest: Rest
    watched: list[Candidate]


def distribution(
    logits: Logits,
    tokenizer: Tokenizer,
    sampling: Sampling,
    *,
    top: int,
    watch: Sequence[int] = (),
    seen: Sequence[int] = (),
) -> Distribution:
    """Describe what may come next.

    Args:
        logits: of one position, [V], without padding ids.
        tokenizer: to name the tokens.
        sampling: temperature and filters.
        top: how many candidates to list.
        watch: ids to report in any case.
        seen: the ids so far, for the filters that look back.
    """
    cut = cut_by_filters(logits, sampling, seen)
    filtered = sampling.filter(logits, seen)
    # Filters that look back may cut everything.
    probabilities = softmax(filtered) if filtered.max() > -np.inf else np.zeros(filtered.shape)
    model_probabilities = softmax(logits)
    order = np.argsort(-logits, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(1, order.size + 1)

    def candidate(token: int) -> Candidate:
        return Candidate(
            rank=int(ranks[token]),
            token=tokenizer.token_bytes(token),
            id=token,
            logit=float(logits[token]),
            model_probability=float(model_probabilities[token]),
            probability=float(probabilities[token]),
            cut_by=next((name for name, tokens in cut.items() if tokens[token]), None),
        )

    listed = [int(token) for token in order[:top]]
    return Distribution(
        temperature=sampling.temperature,
        filters=tuple(name for name, _ in sampling.filters(seen)),
        kept=int(np.count_nonzero(filtered > -np.inf)),
        entropy_bits=entropy_bits(filtered),
        candidates=[candidate(token) for token in listed],
        rest=Rest(order.size - len(listed), max(1.0 - float(probabilities[listed].sum()), 0.0)),
        watched=[candidate(token) for token in watch],
    )


def entropy_bits(logits: NDArray[np.floating]) -> float:
    """Shannon entropy of the softmax, in bits: -sum p log2 p. 0 when one token has all; log2 V when all are equal."""
    kept = logits[logits > -np.inf]
    if not kept.size:
        return 0.0
    return max(0.0, float(-np.sum(softmax(kept) * log_softmax(kept)) / np.log(2)))


def watched_ids(
    tokenizer: Tokenizer, words: Sequence[str], prompt: str, n_vocab: int, option: str = "--watch"
) -> list[int]:
    """The token with which each word would begin after a prompt.

    A word gets a leading space unless the prompt ends in white space or the word brings its own. ``option`` is where
    the words come from, for the error.

    Raises:
        InputError: a word is empty.
    """
    if "" in words:
        raise InputError(f"{option} '': name a word")
    ids = []
    for word in words:
        pieces = tokenizer.encode(_after(prompt, word))
        if not pieces:
            raise InputError(f"{option} {word!r}: {tokenizer.name} has no token for it")
        ids += known(tokenizer, pieces[:1], n_vocab, f"{option} {word!r}")
    return ids


def words_cut(tokenizer: Tokenizer, words: Sequence[str], prompt: str) -> list[str]:
    """A note for each word of which ``watched_ids`` gives a part only."""
    notes = []
    for word in words:
        pieces = [tokenizer.decode([token]) for token in tokenizer.encode(_after(prompt, word))]
        if len(pieces) > 1:
            notes.append(f"'{word}' is {len(pieces)} tokens, {' '.join(map(repr, pieces))}: the first is followed")
    return notes


def _after(prompt: str, word: str) -> str:
    """A word as it would stand after a prompt."""
    return word if word[0].isspace() or not prompt or prompt[-1].isspace() else f" {word}"


def cut_by_filters(logits: Logits, sampling: Sampling, seen: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
    """What each filter cuts of what those before it left: True in [V], by the filter's name, in their order."""
    cut: dict[str, NDArray[np.bool_]] = {}
    for name, apply in sampling.filters(seen):
        if logits.max() == -np.inf:
            break
        filtered = apply(logits)
        cut[name] = (filtered == -np.inf) & (logits > -np.inf)
        logits = filtered
    return cut

"""The distribution of the next token: the model's probabilities, and those after temperature and filters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.sampling.filters import Logits
from gptcli.sampling.settings import Sampling
from gptcli.sampling.softmax import log_softmax, softmax
from gptcli.text import clipped, quoted
from gptcli.tokenizer import Tokenizer
from gptcli.tokenizer.prompt import known, quoted_tokens


@dataclass(frozen=True)
class Guess:
    """The most probable next token.

    Attributes:
        id: in the vocabulary.
        token: the bytes it stands for.
        probability: from 0 to 1.
    """

    id: int
    token: bytes
    probability: float


@dataclass(frozen=True)
class Candidate:
    """A token that may come next.

    Attributes:
        rank: 1 is the most probable; equal logits rank by id.
        id: in the vocabulary.
        token: the bytes it stands for.
        logit: from the model.
        model_probability: softmax of the logits as they are.
        probability: after temperature and filters; 0 when cut.
        cut_by: the filter that removed it, or None.
    """

    rank: int
    id: int
    token: bytes
    logit: float
    model_probability: float
    probability: float
    cut_by: str | None


@dataclass(frozen=True)
class Rest:
    """The tokens that are not listed.

    Attributes:
        count: how many they are.
        probability: that they have together.
    """

    count: int
    probability: float


@dataclass(frozen=True)
class Distribution:
    """The distribution of the next token under one setting of sampling.

    Attributes:
        temperature: that the logits were divided by; 0: the most probable token has all.
        filters: names of the filters that were on, in order.
        kept: how many tokens can be drawn.
        entropy_bits: of the probabilities after the filters.
        candidates: the most probable tokens.
        rest: all others.
        watched: tokens that the caller asked for.
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
    """Describe the distribution of the next token.

    Args:
        logits: of one position, [V], without padding ids.
        tokenizer: to name the tokens.
        sampling: temperature and filters.
        top: how many candidates to list.
        watch: ids to report whatever their rank.
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
            id=token,
            token=tokenizer.token_bytes(token),
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
        rest=Rest(order.size - len(listed), float(probabilities[order[len(listed) :]].sum())),
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
            raise InputError(f"{option} {quoted(word)}: {tokenizer.name} has no token for it")
        ids += known(tokenizer, pieces[:1], n_vocab, f"{option} {quoted(word)}")
    return ids


def words_cut(tokenizer: Tokenizer, words: Sequence[str], prompt: str) -> list[str]:
    """A note for each word of several tokens, of which ``watched_ids`` has only the first."""
    notes = []
    for word in words:
        ids = tokenizer.encode(_after(prompt, word))
        if len(ids) > 1:
            pieces = quoted_tokens(tokenizer, ids)
            notes.append(f"'{clipped(word)}' is {len(ids):,} tokens, {pieces}: the first is followed")
    return notes


def _after(prompt: str, word: str) -> str:
    """A word as it would be written after a prompt."""
    return word if word[0].isspace() or not prompt or prompt[-1].isspace() else f" {word}"


def cut_by_filters(logits: Logits, sampling: Sampling, seen: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
    """The tokens that each filter cuts of those that earlier filters left: masks [V] by name, in order."""
    cut: dict[str, NDArray[np.bool_]] = {}
    for name, apply in sampling.filters(seen):
        if logits.max() == -np.inf:
            break
        filtered = apply(logits)
        cut[name] = (filtered == -np.inf) & (logits > -np.inf)
        logits = filtered
    return cut

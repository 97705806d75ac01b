"""From the logits of one step to one token: filters in a documented order, then the draw.

Everything works on one row of logits [V] on the host, so that every device and engine is served alike and the same seed
gives the same draw everywhere. A filter returns new logits in which what it cuts is -inf; what it computes is float64
and stays finite, whatever numbers it is given. The order, which is also that of Hugging Face transformers:

    logit bias, repetition penalty, no-repeat n-gram, temperature, top-k, top-p, min-p, typical-p, draw
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.show.text import clipped

Logits: TypeAlias = NDArray[np.floating]
Filter: TypeAlias = Callable[[Logits], Logits]

# Logits are kept within this, so that no arithmetic that follows overflows to an infinity.
_LARGEST = 1e300

FILTER_ORDER = (
    "logit-bias",
    "repetition-penalty",
    "no-repeat-ngram",
    "temperature",
    "top-k",
    "top-p",
    "min-p",
    "typical-p",
)


@dataclass(frozen=True)
class Kept:
    """What the filters leave of a step's logits.

    Attributes:
        ids: of the tokens that may be drawn, ascending.
        logits: theirs, as the filters made them.
    """

    ids: NDArray[np.int64]
    logits: Logits

    @classmethod
    def of(cls, filtered: Logits) -> "Kept":
        """What is not cut of filtered logits [V]."""
        ids = np.flatnonzero(filtered > -np.inf)
        return cls(ids, filtered[ids])


@dataclass(frozen=True)
class Sampling:
    """How to choose the next token. The defaults change nothing: plain sampling from the model.

    Attributes:
        temperature: logits are divided by it; 0 takes the largest logit (greedy).
        top_k: keep the k largest; 0 keeps all.
        top_p: keep the smallest set whose probability reaches p (Holtzman et al. 2020); 1 keeps all.
        min_p: keep what has at least this share of the largest probability (Nguyen et al. 2024); 0 keeps all.
        typical_p: keep the tokens whose surprisal is nearest to the entropy, up to this probability (Meister et al.
            2023); 1 keeps all.
        repetition_penalty: divide positive logits of tokens already seen by it, multiply negative ones (Keskar et al.
            2019); 1 changes nothing.
        no_repeat_ngram: no n tokens in a row appear twice; 0 allows all.
        logit_bias: added to the logits of these ids.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no setting.

        Raises:
            InputError: says which one, and its range.
        """
        rules = (
            ("temperature", 0 <= self.temperature < math.inf, "a number from 0 up"),
            ("top-k", self.top_k >= 0, "0 (all) or more"),
            ("top-p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min-p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("typical-p", 0 < self.typical_p <= 1, "above 0 and at most 1"),
            ("repetition-penalty", 0 < self.repetition_penalty < math.inf, "a number above 0"),
            ("no-repeat-ngram", self.no_repeat_ngram >= 0, "0 (off) or more"),
        )
        for name, holds, wanted in rules:
            if not holds:
                value = clipped(str(getattr(self, name.replace("-", "_"))))
                raise InputError(f"--{name} {value}: it must be {wanted}")

    def filters(self, seen: Sequence[int]) -> list[tuple[str, Filter]]:
        """The filters that are switched on, by name, in the documented order.

        Args:
            seen: the ids so far, prompt included, which the repetition rules look back at.
        """
        greedy = self.temperature == 0
        wanted: list[tuple[str, bool, Filter]] = [
            ("logit-bias", bool(self.logit_bias), partial(add_bias, bias=self.logit_bias)),
            (
                "repetition-penalty",
                self.repetition_penalty != 1,
                partial(penalize_repetition, seen=seen, penalty=self.repetition_penalty),
            ),
            ("no-repeat-ngram", self.no_repeat_ngram > 0, partial(forbid_ngrams, seen=seen, n=self.no_repeat_ngram)),
            ("temperature", not greedy and self.temperature != 1, partial(scale, temperature=self.temperature)),
            (
                "greedy" if greedy else "top-k",
                greedy or self.top_k > 0,
                partial(keep_top_k, k=1 if greedy else self.top_k),
            ),
            ("top-p", self.top_p < 1, partial(keep_top_p, p=self.top_p)),
            ("min-p", self.min_p > 0, partial(keep_min_p, p=self.min_p)),
            ("typical-p", self.typical_p < 1, partial(keep_typical_p, p=self.typical_p)),
        ]
        return [(name, apply) for name, on, apply in wanted if on]

    def filter(self, logits: Logits, seen: Sequence[int]) -> Logits:
        """Apply every filter that is switched on: [V] -> [V] with -inf for what is cut.

        A bias or the n-gram rule may cut everything; all others leave at least one token.
        """
        for _, apply in self.filters(seen):
            logits = apply(logits)
            if logits.max() == -np.inf:
                break
        return logits

    @cached_property
    def few(self) -> int:
        """How many of the largest logits decide what ``keep`` gives; 0: all do."""
        cuts = self.top_p < 1 or self.min_p > 0 or self.typical_p < 1 or self.no_repeat_ngram > 0
        if cuts or self.logit_bias or self.repetition_penalty != 1:
            return 0
        if self.temperature == 0:
            return 1
        return self.top_k + 1 if self.top_k else 0  # one more: whether dividing made it equal to the last that is kept

    def keep(self, logits: Logits, seen: Callable[[], Sequence[int]], largest: NDArray[np.int64]) -> Kept:
        """What ``filter`` leaves, without the rest where ``few`` logits decide.

        Args:
            logits: of one step, [V].
            seen: gives the ids so far, where they are needed.
            largest: the ids of the ``few`` largest logits, from the largest down; of equal ones the lowest first.
        """
        few = self.few
        if 0 < few <= largest.size:
            values = logits[largest]
            if few == 1:
                return Kept(largest, values)
            last = few - 1
            if self.temperature not in (0, 1):
                values = scale(values, self.temperature)
            if values[last - 1] > values[last] or self.temperature == 1:
                order = np.argsort(largest[:last])
                order = order[values[order] > -np.inf]
                return Kept(largest[order], values[order])
        return Kept.of(self.filter(logits, seen()))


def add_bias(logits: Logits, bias: Mapping[int, float]) -> Logits:
    """Add a number to the logits of some ids; -inf forbids a token.

    Raises:
        InputError: the model has no such id, though its tokenizer has.
    """
    biased = logits.astype(np.float64)
    if bias and not 0 <= min(bias) <= max(bias) < len(biased):
        raise InputError(f"--logit-bias: the model has no logit for id {max(bias)}: its ids end at {len(biased) - 1}")
    for token, value in bias.items():
        biased[token] += value
    return _bounded(biased, cut=biased == -np.inf)


def penalize_repetition(logits: Logits, seen: Sequence[int], penalty: float) -> Logits:
    """Make tokens that were already used less likely: positive logits / penalty, negative ones * penalty."""
    penalized = logits.astype(np.float64)
    used = np.unique(np.asarray(seen, dtype=np.int64))
    values = penalized[used]
    with np.errstate(over="ignore"):
        penalized[used] = np.where(values > 0, values / penalty, values * penalty)
    return _bounded(penalized, cut=logits == -np.inf)


def forbid_ngrams(logits: Logits, seen: Sequence[int], n: int) -> Logits:
    """Forbid each token that would complete an n-gram that is already there."""
    if len(seen) < n:
        return logits
    tail = list(seen[len(seen) - n + 1 :])
    banned = [seen[i + n - 1] for i in range(len(seen) - n + 1) if list(seen[i : i + n - 1]) == tail]
    allowed = logits.copy()
    allowed[banned] = -np.inf
    return allowed


def scale(logits: Logits, temperature: float) -> Logits:
    """Divide by the temperature: above 1 flattens the distribution, below 1 sharpens it."""
    scaled = logits.astype(np.float64)
    scaled -= np.max(logits)
    with np.errstate(over="ignore"):
        scaled /= temperature
    return _bounded(scaled, cut=logits == -np.inf)


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Keep exactly the k largest; of equal logits the lowest ids."""
    if k >= logits.size:
        return logits
    if k == 1:
        kept = np.array([np.argmax(logits)])
    else:
        threshold = np.partition(logits, -k)[-k]
        above = np.flatnonzero(logits > threshold)
        kept = np.concatenate((above, np.flatnonzero(logits == threshold)[: k - above.size]))
    return _only(logits, kept)


def keep_top_p(logits: Logits, p: float) -> Logits:
    """Keep the most probable tokens until their probabilities sum to at least p; always one."""
    order, probabilities = _ranked(logits)
    before = np.cumsum(probabilities) - probabilities
    return _only(logits, order[: max(int(np.count_nonzero(before < p)), 1)])


def keep_min_p(logits: Logits, p: float) -> Logits:
    """Keep tokens with at least p times the largest probability."""
    probabilities = softmax(logits)
    return _only(logits, np.flatnonzero(probabilities >= p * probabilities.max()))


def keep_typical_p(logits: Logits, p: float) -> Logits:
    """Keep the tokens whose surprisal is nearest to the entropy until their probabilities sum to at least p."""
    probabilities = softmax(logits)
    surprisal = -log_softmax(logits)
    possible = probabilities > 0
    entropy = float(np.sum(probabilities[possible] * surprisal[possible]))
    distance = np.where(possible, np.abs(surprisal - entropy), np.inf)
    order = np.argsort(distance, kind="stable")
    reached = np.cumsum(probabilities[order])
    return _only(logits, order[: int(np.count_nonzero(reached < p)) + 1])


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """exp(x) / sum(exp(x)) along the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - np.max(logits, axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The natural logarithm of ``softmax``, in float64, without underflow."""
    shifted = logits.astype(np.float64) - np.max(logits, axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def draw(kept: "Kept", generator: np.random.Generator) -> int:
    """One token from the distribution that the kept logits describe, by inverting the cumulative sum.

    Uses exactly one uniform number of the generator, also when only one token is left, so that the draws of a sample
    do not depend on what the filters cut.
    """
    uniform = generator.random()
    if kept.ids.size == 1:
        return int(kept.ids[0])
    cumulative = np.cumsum(softmax(kept.logits))
    place = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
    return int(kept.ids[min(place, kept.ids.size - 1)])


def generator_for(seed: int, sample: int) -> np.random.Generator:
    """The generator of one sample: Philox, keyed by the seed and the sample's number (Salmon et al. 2011)."""
    # The type must be named: numpy would make floats of integers of which only some exceed 2^63.
    return np.random.Generator(np.random.Philox(key=np.array([seed, sample], dtype=np.uint64)))


def _ranked(logits: Logits) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ids from the most to the least probable (equal ones by id), and their probabilities."""
    # By logit: different logits may round to the same probability.
    order = np.argsort(-logits, kind="stable")
    return order, softmax(logits)[order]


def _bounded(logits: NDArray[np.float64], cut: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Finite logits, but -inf for what is cut."""
    bounded = np.clip(logits, -_LARGEST, _LARGEST, out=logits)
    bounded[cut] = -np.inf
    return bounded


def _only(logits: Logits, kept: NDArray[np.int64]) -> Logits:
    only = np.full_like(logits, -np.inf)
    only[kept] = logits[kept]
    return only

"""The filters of sampling, and the table that has them in the order in which they apply.

Filters work on one row of logits [V] on the host, so that the same seed gives the same draw on every device and engine.
A filter returns new logits in float64: -inf for the tokens that it cuts, and finite numbers for the others, whatever it
is given. The order is that of Hugging Face transformers.

A new filter is one entry in ``FILTERS``: the order, the checks, the fields of ``Sampling``, the options of ``generate``
and ``chat`` with their help, the completion scripts and the manual page follow from it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gptcli.errors import InputError

if TYPE_CHECKING:  # the command line reads the table for its options, and importing numpy would take longer than that
    import numpy as np
    from numpy.typing import NDArray

Logits: TypeAlias = "NDArray[np.floating]"

# Logits are clamped to this, so that later arithmetic does not overflow.
_LARGEST = 1e300


@dataclass(frozen=True)
class Filter:
    """One filter: its name, its range, and its function.

    Attributes:
        name: as an option (``top-p``) and, with underscores, as a field of ``Sampling``.
        neutral: the value that changes nothing.
        default: what ``generate`` and ``chat`` start with; None: the neutral value.
        apply: (logits [V], value, ids so far with the prompt) -> logits [V].
        holds: whether a value is in range.
        range: the range in words.
        help: what it does, on one line; "" where the option is written by hand.
        metavar: what stands for the value in the help.
        short: the option's letter, such as ``-k``.
        largest: value -> how many of the largest logits its result depends on; infinity where it keeps all tokens
            and their order; None: it depends on all.
        value_of: the settings -> the effective value, or None where the filter is off. By default the setting of its
            name, where that is not neutral.
    """

    name: str
    neutral: Any
    apply: Callable[[Logits, Any, Sequence[int]], Logits]
    default: Any = None
    holds: Callable[[Any], bool] = lambda value: True
    range: str = ""
    help: str = ""
    metavar: str = ""
    short: str = ""
    largest: Callable[[Any], float] | None = None
    value_of: Callable[[Any], Any] | None = None

    @property
    def field(self) -> str:
        """Its field of ``Sampling``."""
        return self.name.replace("-", "_")

    def value(self, settings: Any) -> Any:
        """The effective value under these settings, or None where the filter is off."""
        if self.value_of is not None:
            return self.value_of(settings)
        value = getattr(settings, self.field)
        return None if value == self.neutral else value


def _temperature(settings: Any) -> float | None:
    """0 means greedy, which is a filter of its own and replaces top-k; 1 changes nothing."""
    return None if settings.temperature in (0, 1) else settings.temperature


def _top_k(settings: Any) -> int | None:
    return settings.top_k or None if settings.temperature != 0 else None


def _greedy(settings: Any) -> int | None:
    return 1 if settings.temperature == 0 else None


FILTERS = (
    Filter(
        "logit-bias",
        neutral=None,
        apply=lambda logits, bias, seen: add_bias(logits, bias),
        value_of=lambda settings: settings.logit_bias or None,
    ),
    Filter(
        "repetition-penalty",
        neutral=1.0,
        apply=lambda logits, penalty, seen: penalize_repetition(logits, seen, penalty),
        holds=lambda penalty: 0 < penalty < math.inf,
        range="a number above 0",
        help="Above 1: avoid repeating tokens.",
        metavar="X",
    ),
    Filter(
        "no-repeat-ngram",
        neutral=0,
        apply=lambda logits, n, seen: forbid_ngrams(logits, seen, n),
        holds=lambda n: n >= 0,
        range="0 (off) or more",
        help="Never repeat so many tokens in a row.",
        metavar="N",
    ),
    Filter(
        "temperature",
        neutral=1.0,
        default=0.8,  # with top-k 40: a small model's text stays readable
        apply=lambda logits, temperature, seen: scale(logits, temperature),
        holds=lambda temperature: 0 <= temperature < math.inf,
        range="a number from 0 up",
        help="Divides the logits; 0 is greedy.",
        metavar="T",
        short="-t",
        largest=lambda temperature: math.inf,
        value_of=_temperature,
    ),
    Filter(
        "top-k",
        neutral=0,
        default=40,
        apply=lambda logits, k, seen: keep_top_k(logits, k),
        holds=lambda k: k >= 0,
        range="0 (all) or more",
        help="Keep the K largest; 0 keeps all.",
        metavar="K",
        short="-k",
        largest=lambda k: k + 1,  # one more, in case dividing made it equal to the last one kept
        value_of=_top_k,
    ),
    Filter(
        "top-p",
        neutral=1.0,
        apply=lambda logits, p, seen: keep_top_p(logits, p),
        holds=lambda p: 0 < p <= 1,
        range="above 0 and at most 1",
        help="Keep the fewest that reach this probability.",
        metavar="P",
        short="-p",
    ),
    Filter(
        "min-p",
        neutral=0.0,
        apply=lambda logits, p, seen: keep_min_p(logits, p),
        holds=lambda p: 0 <= p <= 1,
        range="from 0 to 1",
        help="Keep what has this share of the best one.",
        metavar="P",
    ),
    Filter(
        "typical-p",
        neutral=1.0,
        apply=lambda logits, p, seen: keep_typical_p(logits, p),
        holds=lambda p: 0 < p <= 1,
        range="above 0 and at most 1",
        help="Keep the most typical up to this probability.",
        metavar="P",
    ),
)
DEFAULTS = {each.field: each.default for each in FILTERS if each.default is not None}
"""What ``generate`` and ``chat`` start with, where it is not the neutral value."""

GREEDY = Filter(
    "greedy",
    neutral=None,
    apply=lambda logits, k, seen: keep_top_k(logits, k),
    largest=lambda k: k,
    value_of=_greedy,
)
"""Temperature 0: the largest logit alone. No setting of its own, so not in the table."""


def add_bias(logits: Logits, bias: Mapping[int, float]) -> Logits:
    """Add a number to the logits of some ids; -inf forbids a token.

    Raises:
        InputError: the model has no such id, though its tokenizer has.
    """
    import numpy as np

    biased = logits.astype(np.float64)
    if bias and not 0 <= min(bias) <= max(bias) < len(biased):
        raise InputError(f"--logit-bias: the model has no logit for id {max(bias)}: its ids end at {len(biased) - 1}")
    for token, value in bias.items():
        biased[token] += value
    return _bounded(biased, cut=biased == -np.inf)


def penalize_repetition(logits: Logits, seen: Sequence[int], penalty: float) -> Logits:
    """Make tokens that were already used less likely: positive logits / penalty, negative ones * penalty."""
    import numpy as np

    penalized = logits.astype(np.float64)
    used = np.unique(np.asarray(seen, dtype=np.int64))
    values = penalized[used]
    with np.errstate(over="ignore"):
        penalized[used] = np.where(values > 0, values / penalty, values * penalty)
    return _bounded(penalized, cut=logits == -np.inf)


def forbid_ngrams(logits: Logits, seen: Sequence[int], n: int) -> Logits:
    """Forbid each token that would complete an n-gram that is already there."""
    import numpy as np

    if len(seen) < n:
        return logits
    tail = list(seen[len(seen) - n + 1 :])
    banned = [seen[i + n - 1] for i in range(len(seen) - n + 1) if list(seen[i : i + n - 1]) == tail]
    allowed = logits.copy()
    allowed[banned] = -np.inf
    return allowed


def scale(logits: Logits, temperature: float) -> Logits:
    """Divide by the temperature: above 1 flattens the distribution, below 1 sharpens it."""
    import numpy as np

    scaled = logits.astype(np.float64)
    scaled -= np.max(logits)
    with np.errstate(over="ignore"):
        scaled /= temperature
    return _bounded(scaled, cut=logits == -np.inf)


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Keep exactly the k largest; of equal logits the lowest ids."""
    import numpy as np

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
    import numpy as np

    order, probabilities = _ranked(logits)
    before = np.cumsum(probabilities) - probabilities
    return _only(logits, order[: max(int(np.count_nonzero(before < p)), 1)])


def keep_min_p(logits: Logits, p: float) -> Logits:
    """Keep tokens with at least p times the largest probability."""
    import numpy as np

    from gptcli.sampling.softmax import softmax

    probabilities = softmax(logits)
    return _only(logits, np.flatnonzero(probabilities >= p * probabilities.max()))


def keep_typical_p(logits: Logits, p: float) -> Logits:
    """Keep the tokens whose surprisal is nearest to the entropy until their probabilities sum to at least p."""
    import numpy as np

    from gptcli.sampling.softmax import log_softmax, softmax

    probabilities = softmax(logits)
    surprisal = -log_softmax(logits)
    possible = probabilities > 0
    entropy = float(np.sum(probabilities[possible] * surprisal[possible]))
    distance = np.where(possible, np.abs(surprisal - entropy), np.inf)
    order = np.argsort(distance, kind="stable")
    reached = np.cumsum(probabilities[order])
    return _only(logits, order[: int(np.count_nonzero(reached < p)) + 1])


def _ranked(logits: Logits) -> tuple["NDArray[np.int64]", "NDArray[np.float64]"]:
    """Ids from the most to the least probable (equal ones by id), and their probabilities."""
    import numpy as np

    from gptcli.sampling.softmax import softmax

    # By logit: different logits may round to the same probability.
    order = np.argsort(-logits, kind="stable")
    return order, softmax(logits)[order]


def _bounded(logits: "NDArray[np.float64]", cut: "NDArray[np.bool_]") -> "NDArray[np.float64]":
    """Logits clamped to finite numbers, except -inf for tokens that are cut."""
    import numpy as np

    bounded = np.clip(logits, -_LARGEST, _LARGEST, out=logits)
    bounded[cut] = -np.inf
    return bounded


def _only(logits: Logits, kept: "NDArray[np.int64]") -> Logits:
    import numpy as np

    only = np.full_like(logits, -np.inf)
    only[kept] = logits[kept]
    return only

"""The settings of sampling: a value for each filter of the table, and the logits that the filters leave."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptcli.errors import InputError
from gptcli.sampling.filters import FILTERS, GREEDY, Filter, Logits, scale
from gptcli.system.answer import MaybeInfinite
from gptcli.text import clipped


@dataclass(frozen=True)
class Kept:
    """The logits of a step that the filters leave.

    Attributes:
        ids: of the tokens that may be drawn, ascending.
        logits: of these tokens, after the filters.
    """

    ids: NDArray[np.int64]
    logits: Logits

    @classmethod
    def of(cls, filtered: Logits) -> "Kept":
        """The tokens of filtered logits [V] that are not -inf."""
        ids = np.flatnonzero(filtered > -np.inf)
        return cls(ids, filtered[ids])


def _in_order() -> list[Filter]:
    """The filters in the order in which they apply; greedy comes right before top-k, which it replaces."""
    position = next(index for index, each in enumerate(FILTERS) if each.name == "top-k")
    return [*FILTERS[:position], GREEDY, *FILTERS[position:]]


def _declared(each: Filter) -> tuple[Any, Any]:
    """The type and the field of a filter's setting."""
    told = {"description": each.help or "added to the logits of these ids; null is -infinity"}
    if each.neutral is None:
        return dict[int, MaybeInfinite], field(default_factory=dict, metadata=told)
    return type(each.neutral), field(default=each.neutral, metadata=told)


_Settings: Any = make_dataclass(
    "_Settings",
    [(each.field, *_declared(each)) for each in FILTERS],
    frozen=True,
    kw_only=True,
)


@dataclass(frozen=True, kw_only=True)
class Sampling(_Settings):  # type: ignore[misc]  # its fields are those of the table
    """How to choose the next token: a field for each entry of ``FILTERS``, by name.

    The defaults change nothing: plain sampling from the model. ``logit_bias`` maps ids to what is added to their
    logits; temperature 0 takes the largest logit (greedy). The fields are read only.
    """

    def __post_init__(self) -> None:
        """Refuse values that are out of range.

        Raises:
            InputError: says which one, and its range.
        """
        for each in FILTERS:
            value = getattr(self, each.field)
            if not each.holds(value):
                raise InputError(f"--{each.name} {clipped(str(value))}: it must be {each.range}")

    def changed(self, **values: Any) -> "Sampling":
        """A copy with other values in some fields.

        Raises:
            InputError: one is out of range.
        """
        return replace(self, **values)

    def filters(self, seen: Sequence[int]) -> list[tuple[str, Callable[[Logits], Logits]]]:
        """The filters that are switched on, by name, in the documented order.

        Args:
            seen: the ids so far, prompt included, which the repetition rules look back at.
        """
        return [(each.name, partial(_apply, each, value, seen)) for each, value in self._on]

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
    def shortlist_size(self) -> int:
        """How many of the largest logits the result of ``keep`` depends on; 0: all of them."""
        if any(each.largest is None for each, _ in self._on):
            return 0
        size = min((each.largest(value) for each, value in self._on if each.largest is not None), default=math.inf)
        return 0 if size == math.inf else int(size)

    def keep(self, logits: Logits, seen: Callable[[], Sequence[int]], largest: NDArray[np.int64]) -> Kept:
        """The tokens that ``filter`` leaves, from the largest logits alone where ``shortlist_size`` allows that.

        Args:
            logits: of one step, [V].
            seen: returns the ids so far; called only where they are needed.
            largest: the ids of the ``shortlist_size`` largest logits, from the largest down; of equal ones the lowest
                first.
        """
        size = self.shortlist_size
        if 0 < size <= largest.size:
            values = logits[largest]
            if size == 1:
                return Kept(largest, values)
            last = size - 1
            if self.temperature not in (0, 1):
                values = scale(values, self.temperature)
            if values[last - 1] > values[last] or self.temperature == 1:
                order = np.argsort(largest[:last])
                order = order[values[order] > -np.inf]
                return Kept(largest[order], values[order])
        return Kept.of(self.filter(logits, seen()))

    @cached_property
    def _on(self) -> list[tuple[Filter, Any]]:
        """The filters that are on, in order, with their values."""
        found = [(each, each.value(self)) for each in _in_order()]
        return [(each, value) for each, value in found if value is not None]


def _apply(each: Filter, value: Any, seen: Sequence[int], logits: Logits) -> Logits:
    return each.apply(logits, value, seen)

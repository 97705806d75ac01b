"""Figures as people read them: probabilities, and how undecided a distribution is."""

import math
from collections.abc import Sequence
from itertools import pairwise

# Below this a percentage has more zeros than anyone counts.
_TINY = 1e-6
_MOST_DECIMALS = 6
_NAMES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1.0, ""))
_MOST_NAMED = 1e15


def percent(probability: float, decimals: int = 2) -> str:
    """A probability as a percentage; 0 and 100 only if exact.

    Small ones have two digits that count (``0.019%``), tiny ones are ``1 in 7 million``.

    Args:
        probability: from 0 to 1.
        decimals: of larger ones.
    """
    if 0 < probability < _TINY:
        return one_in(probability)
    if probability < 1 and round(probability * 100, decimals) >= 100:
        return f">{100 - 10**-decimals:.{decimals}f}%"
    if 0 < probability < 0.001:
        decimals = max(decimals, 1 - math.floor(math.log10(probability * 100)))
    return f"{probability * 100:.{decimals}f}%"


def percents(probabilities: Sequence[float]) -> list[str]:
    """A column of percentages with as many decimals as it takes to tell neighbours apart."""
    usual = [each for each in probabilities if each >= _TINY]
    neighbours = [(one, other) for one, other in pairwise(usual) if one != other]
    decimals = 2
    while decimals < _MOST_DECIMALS and any(
        _same(f"{one * 100:.{decimals}f}", f"{other * 100:.{decimals}f}") for one, other in neighbours
    ):
        decimals += 1
    return [percent(each, decimals) for each in probabilities]


def _same(one: str, other: str) -> bool:
    return one == other and float(one) < 100  # near 100 there is ">99.99%"


def one_in(probability: float) -> str:
    """A tiny probability as ``1 in 7 million``, rounded to a digit or two; 0 is ``never``."""
    if probability <= 0:
        return "never"
    times = 1 / probability
    if times >= _MOST_NAMED or not math.isfinite(times):
        return f"1 in 10^{-math.log10(probability):.0f}"
    # Rounded first: 999,999 is a million.
    digits = max(math.floor(math.log10(times)), 0)
    times = round(times, 1 - digits if digits % 3 else -digits)
    size, name = next(each for each in _NAMES if times >= each[0])
    return f"1 in {times / size:,.0f} {name}".rstrip()


def choices(entropy_bits: float) -> str:
    """How undecided a distribution is: the number of equally likely choices of the same entropy, 2 to its power."""
    count = 2.0**entropy_bits
    if count < 1.05:
        return "hardly any choice" if entropy_bits > 0 else "no choice"
    if count < 9.95:
        return f"about {count:.1f} equally likely choices"
    return f"about {round(count, 1 - math.floor(math.log10(count))):,.0f} equally likely choices"

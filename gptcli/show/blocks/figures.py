"""Figures as people read them: probabilities, and how undecided a distribution is."""

import math
from collections.abc import Sequence
from itertools import pairwise

# Below this a percentage has more zeros than anyone counts.
_TINY = 1e-6
# Below this, two decimals are too few.
_SMALL = 0.001
_MOST_DIGITS = 5
_NAMES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1.0, ""))
_MOST_NAMED = 1e15


def percent(probability: float, digits: int = 2) -> str:
    """A probability as a percentage; 0 and 100 only if exact.

    Small ones have two digits that count (``0.019%``), tiny ones are ``1 in 7 million``.

    Args:
        probability: from 0 to 1.
        digits: decimals, or of small ones the digits that count.
    """
    if 0 < probability < _TINY:
        return one_in(probability)
    if probability < 1 and round(probability * 100, digits) >= 100:
        return f">{100 - 10**-digits:.{digits}f}%"
    decimals = digits
    if 0 < probability < _SMALL:
        decimals = digits - 1 - math.floor(math.log10(probability * 100))
    return f"{probability * 100:.{decimals}f}%"


def percents(probabilities: Sequence[float]) -> list[str]:
    """A column of percentages, with as many digits as it takes to tell neighbours apart.

    What is small and what is not have their own number of digits.
    """
    digits = [_digits([each for each in probabilities if _TINY <= each < _SMALL])]
    digits.append(_digits([each for each in probabilities if each >= _SMALL]))
    return [percent(each, digits[each >= _SMALL]) for each in probabilities]


def _digits(probabilities: Sequence[float]) -> int:
    """The fewest digits, from two on, with which neighbours that differ look different."""
    different = [pair for pair in pairwise(probabilities) if pair[0] != pair[1]]
    for digits in range(2, _MOST_DIGITS):
        shown = [tuple(percent(each, digits) for each in pair) for pair in different]
        if all(one != other or one.startswith(">") for one, other in shown):
            return digits
    return _MOST_DIGITS


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


def number_text(number: float) -> str:
    """Six characters at the most."""
    if math.isinf(number):
        return "−∞" if number < 0 else "∞"
    if isinstance(number, int):
        return str(number)
    number += 0.0  # no -0
    if number and abs(number) < 0.001:
        return f"{number:.0e}".replace("e-0", "e-")
    return f"{number:.3f}"[:6].rstrip(".") if abs(number) < 1000 else f"{number:.0f}"

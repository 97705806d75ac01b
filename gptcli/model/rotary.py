"""The parameters of a table of rotary angles. ``positions`` computes the table."""

from dataclasses import dataclass, fields
from typing import Literal

RotaryKind = Literal["default", "linear", "dynamic", "llama3", "yarn", "longrope"]

# Upper bound of all parameters: angles are float32, and no model's base or factor is near this.
_LARGEST = 1e30
# The kinds that need the context length of the pretraining.
_NEEDS_ORIGINAL = ("dynamic", "llama3", "yarn", "longrope")


@dataclass(frozen=True)
class Rotary:
    """Rotary angles: p * f_i at position p for pair i, where f_i = base^(-2i/R) before scaling.

    To extend the context beyond that of the pretraining, the wavelengths 1 / f_i are stretched. The kinds are those of
    transformers' ``rope_type``; ``positions.frequencies`` has their formulas.

    Attributes:
        base: of the wavelengths (theta).
        kind: how the frequencies are scaled. ``default``: not at all. ``linear``: all are divided by ``factor``.
            ``dynamic``: the base grows with the sequence once that is longer than ``original``. ``llama3``: low
            frequencies are divided by ``factor``, high ones are unchanged, those between are interpolated. ``yarn``:
            the same with another interpolation (Peng et al. 2023). ``longrope``: each is divided by a factor of its
            own, from one list up to ``original`` positions and from another for longer sequences (Ding et al. 2024).
        factor: how many times longer the context becomes.
        original: the context length of the pretraining, in positions.
        low_frequency, high_frequency: llama3's bounds, in full rotations of a pair within ``original`` positions.
        beta_fast, beta_slow: yarn's bounds, in the same unit.
        truncate: whether yarn's bounds are rounded to whole pairs.
        short_factors, long_factors: longrope's two lists, R / 2 numbers each.
        attention_factor: cosines and sines are multiplied by it, and so scores by its square (yarn, longrope).
    """

    base: float = 10000.0
    kind: RotaryKind = "default"
    factor: float = 1.0
    original: int | None = None
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    attention_factor: float = 1.0

    def __post_init__(self) -> None:
        """Refuse impossible parameters.

        Raises:
            ValueError: says which number is impossible and why.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float) and not 0 < number < _LARGEST:
                    bounds = "a number above 0" if not number > 0 else f"a number below {_LARGEST:g}"
                    raise ValueError(f"rotary {field.name} must be {bounds}, not {number}")
        if self.kind in _NEEDS_ORIGINAL and (self.original is None or self.original < 1):
            raise ValueError(f"rotary kind {self.kind} needs original, the context of the first training, at least 1")
        if self.kind == "llama3" and self.low_frequency == self.high_frequency:
            raise ValueError(f"rotary low_frequency and high_frequency must differ: both are {self.low_frequency}")
        if self.kind == "yarn" and self.base == 1:
            raise ValueError("rotary base must not be 1 with yarn: all wavelengths would be the same")

    def check_width(self, rotated: int) -> None:
        """Refuse a rotated width R (numbers of each head) that does not fit this table.

        Raises:
            ValueError: says what does not fit.
        """
        if self.kind == "longrope":
            for name, listed in (("short_factors", self.short_factors), ("long_factors", self.long_factors)):
                if len(listed) != rotated // 2:
                    raise ValueError(f"rotary {name} has {len(listed)} numbers for {rotated // 2} rotated pairs")
        if self.kind == "dynamic" and rotated == 2:
            raise ValueError("rotary kind dynamic needs more than one rotated pair")

    def epoch(self, length: int) -> int:
        """Key of the table that sequences of this length use: two lengths with the same epoch have the same table.

        Args:
            length: of the sequence, in positions.
        """
        if self.kind == "dynamic":
            return max(length, self.original or 0)
        return int(length > (self.original or 0)) if self.kind == "longrope" else 0

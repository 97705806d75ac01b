"""What a table of rotary angles is made of. ``positions`` makes the table."""

from dataclasses import dataclass, fields
from typing import Literal

RotaryKind = Literal["default", "linear", "dynamic", "llama3", "yarn", "longrope"]

# Angles are kept in float32; no model's base or factor comes near this.
_LARGEST = 1e30
# The kinds that need to know the context that a model was first trained with.
_NEEDS_ORIGINAL = ("dynamic", "llama3", "yarn", "longrope")


@dataclass(frozen=True)
class Rotary:
    """How the angles of rotary positions grow: p * f_i at position p for pair i, with f_i = base^(-2i/R) at first.

    Contexts longer than those of the first training stretch the wavelengths 1 / f_i. The kinds are those of
    transformers' ``rope_type``; ``positions.frequencies`` has their formulas.

    Attributes:
        base: of the wavelengths.
        kind: what is done to the frequencies. ``default``: nothing. ``linear``: all are divided by ``factor``.
            ``dynamic``: the base grows with the sequence once that is longer than ``original``. ``llama3``: long
            wavelengths are divided by ``factor``, short ones stay, those between go over smoothly. ``yarn``: the same
            by another rule (Peng et al. 2023). ``longrope``: each is divided by a number of its own, from one list
            up to ``original`` positions and from another where the sequence is longer (Ding et al. 2024).
        factor: how many times longer the context becomes.
        original: the context of the first training, in positions.
        low_frequency, high_frequency: llama3's borders, in turns that a pair makes within ``original`` positions.
        beta_fast, beta_slow: yarn's borders, in the same turns.
        truncate: whether yarn's borders are rounded to whole pairs.
        short_factors, long_factors: longrope's two lists, R / 2 numbers each.
        attention_factor: cosines and sines are multiplied by it, and so are scores by its square (yarn, longrope).
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
        """Refuse numbers that make no table.

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
        """Refuse a number of rotated numbers of each head that this table cannot have.

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
        """Which frequencies a sequence has, as a number: two lengths of one epoch have the same table.

        Args:
            length: of the sequence, in positions.
        """
        if self.kind == "dynamic":
            return max(length, self.original or 0)
        return int(length > (self.original or 0)) if self.kind == "longrope" else 0

"""Places in a model, as typed (``place_text`` reads them) and as found in a model.

``Place.within`` checks the numbers against a model's shape, and ``Positions.indices`` finds the positions in a text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gptcli.errors import ExpressionError, InputError
from gptcli.model.config import GPTConfig
from gptcli.text import clipped, quoted, token_text

Kind = Literal["head", "attention", "mlp", "layer", "neuron", "embedding"]
Point = tuple[Kind, int]
"""A point of the model: a kind, and the layer from 0 (0 for the embedding)."""
_SPACES = (b"\xc2\xb7", b" ")  # what stands for a leading space in a word: the sign for it, or itself


@dataclass(frozen=True)
class Numbers:
    """Numbers as typed, from 1.

    Attributes:
        ranges: the first and the last of each range; empty for ``*``, which is all.
        column: where they stand in the line, for errors.
    """

    ranges: tuple[tuple[int, int], ...]
    column: int

    def within(self, count: int) -> tuple[int, ...] | None:
        """The numbers of ``count`` that are meant, in order; None where one is larger than ``count``."""
        if not self.ranges:
            return tuple(range(1, count + 1))
        if max(last for _, last in self.ranges) > count:
            return None
        return tuple(sorted({each for first, last in self.ranges for each in range(first, last + 1)}))


@dataclass(frozen=True)
class Positions:
    """Positions of a text as typed.

    Attributes:
        ranges: first and last, from 1, negative ones from the end.
        words: whose tokens are meant.
        every: ``*``: all positions.
        text: as typed, for errors.
    """

    ranges: tuple[tuple[int, int], ...]
    words: tuple[str, ...]
    every: bool
    text: str

    def indices(self, tokens: Sequence[bytes]) -> tuple[int, ...]:
        """The positions in a text, from 0, in order.

        Args:
            tokens: the bytes of each token of the text.

        Raises:
            InputError: there is no such position, or no token of that word.
        """
        found = set(range(len(tokens))) if self.every else set()
        for first, last in self.ranges:
            low, high = (self._index(each, len(tokens)) for each in (first, last))
            if low > high:
                raise InputError(f"@{clipped(self.text)}: this range runs backwards in {len(tokens):,} tokens")
            found |= set(range(low, high + 1))
        for word in self.words:
            where = set(_spelled(tokens, word))
            if not where:
                shown = " ".join(token_text(token) for token in tokens[:12])
                more = " …" if len(tokens) > 12 else ""
                raise InputError(f"@{clipped(self.text)}: the text has no token {quoted(word)}; it has {shown}{more}")
            found |= where
        return tuple(sorted(found))

    def _index(self, position: int, length: int) -> int:
        if not 1 <= abs(position) <= length:
            raise InputError(f"@{clipped(self.text)}: the text has positions 1 to {length:,} (-1 is the last)")
        return position - 1 if position > 0 else length + position


@dataclass(frozen=True)
class Place:
    """A place, or several of one kind, as typed.

    Attributes:
        text: the place as typed.
        kind: what it is.
        layers: which layers; None for the embedding.
        members: which heads or neurons of each; None for other kinds.
        positions: at which positions of the text; None: at all, also those that are generated.
        line: the line that it was read from, for errors.
    """

    text: str
    kind: Kind
    layers: Numbers | None
    members: Numbers | None
    positions: Positions | None
    line: str

    def within(self, config: GPTConfig) -> "Located":
        """The place in a model of this shape.

        Raises:
            ExpressionError: the model has no such layer, head or neuron; points at the number.
        """
        layers: tuple[int, ...] = ()
        members: tuple[int, ...] = ()
        if self.layers is not None:
            layers = self._checked(self.layers, config.n_layer, "layer")
        if self.members is not None:
            count = config.n_head if self.kind == "head" else config.mlp_width
            members = self._checked(self.members, count, self.kind)
        return Located(self, self.kind, layers, members)

    def _checked(self, numbers: Numbers, count: int, name: str) -> tuple[int, ...]:
        made = numbers.within(count)
        if made:
            return made
        has = f"{name}s 1 to {count:,}" if count else f"no {name}s"
        raise ExpressionError(f"this model has {has}", self.line, numbers.column)


@dataclass(frozen=True)
class Located:
    """A place in a model.

    Attributes:
        place: as typed.
        kind: what it is.
        layers: which layers, from 1; empty for the embedding.
        members: which heads or neurons of each, from 1; empty for other kinds.
    """

    place: Place
    kind: Kind
    layers: tuple[int, ...]
    members: tuple[int, ...]

    def each(self) -> Iterator[tuple[int, int | None]]:
        """The single places: layer, and head or neuron (None for other kinds), all from 1; layer 0: the embedding."""
        for layer in self.layers or (0,):
            for member in self.members or (None,):
                yield layer, member


def check_layers(config: GPTConfig) -> None:
    """Check that a model has points to look at.

    Raises:
        InputError: it has no layers.
    """
    if not config.n_layer:
        raise InputError("this model has no layers: there is nothing to look at or to change")


def _spelled(tokens: Sequence[bytes], word: str) -> Iterator[int]:
    """The positions of the tokens that spell a word, alone or together, with or without a leading space."""
    data = word.encode(errors="surrogateescape")
    for mark in _SPACES:
        if data.startswith(mark) and len(data) > len(mark):
            spellings = [b" " + data.removeprefix(mark)]
            break
    else:
        spellings = [data, b" " + data]
    for start in range(len(tokens)):
        for spelling in spellings:
            end, length = start, 0
            while end < len(tokens) and spelling.startswith(tokens[end], length) and length < len(spelling):
                length += len(tokens[end])
                end += 1
            if length == len(spelling) and tokens[start]:
                yield from range(start, end)

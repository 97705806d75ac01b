"""Places in a model as typed: ``4.1``, ``mlp:2-5``, ``layer:5@-1``, ``neuron:3.117``.

The grammar::

    place     = site [ "@" position { "," position } ]
    site      = "embedding"
              | ( "attention" | "mlp" | "layer" ) ":" numbers
              | [ "head" ":" ] numbers "." numbers          a layer, and heads of it
              | "neuron" ":" numbers "." numbers            a layer, and neurons of its MLP
    numbers   = "*" | range { "," range }
    range     = number [ "-" number ]
    position  = "*" | integer [ "-" integer ] | word | quoted

All numbers count from 1; a negative position counts from the end of the text. ``layer:5`` is the residual stream after
layer 5, and ``embedding`` the stream before the first. ``@Tom`` is every token ``Tom`` or ``·Tom`` of the text, or all
tokens that spell it together; with ``·`` or a space in front, only the latter. A word that has a space, a comma, a
colon or nothing but digits is written in quotes.

``parse`` needs no model, so that a mistake is reported before one is loaded; ``Place.within`` checks the numbers
against a model's shape, and ``Positions.indices`` finds the positions in a text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

from gptcli.errors import ExpressionError, InputError
from gptcli.model.config import GPTConfig
from gptcli.text import clipped, quoted, token_text

Kind = Literal["head", "attention", "mlp", "layer", "neuron", "embedding"]
Point = tuple[Kind, int]
"""A point of the model: a kind, and the layer from 0 (0 for the embedding)."""
_PAIRS = ("head", "neuron")
_EXAMPLES = "4.1, attention:4, mlp:3, layer:5, neuron:3.117 or embedding"
_MOST_LENGTH = 1000
_MOST_DIGITS = 9
_NAME = re.compile(r"[A-Za-z_]+")
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_POSITION = re.compile(r"(-?[0-9]+)(?:-(-?[0-9]+))?(?![^\s,:])", re.ASCII)
_WORD = re.compile(r"""[^\s,:"'][^\s,:"]*""")
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")
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


def parse(text: str, *, bare: Literal["head", "neuron"] = "head") -> Place:
    """Read a place.

    Args:
        text: as typed.
        bare: what ``3.117`` without a name is.

    Raises:
        ExpressionError: it does not follow the grammar; points at the first position that does not fit.
        InputError: it is too long.
    """
    if len(text) > _MOST_LENGTH:
        raise InputError(f"'{clipped(text, 60)}' is no place: {_MOST_LENGTH:,} characters are the most")
    line = re.sub(r"\s", " ", text).rstrip()
    reader = _Reader(line, bare)
    place = reader.place()
    if reader.at < len(line):
        reader.wrong("one place ends here: give the option again for another one")
    return place


def parse_before_colon(line: str) -> tuple[Place, int]:
    """Read a place that a colon follows, as in ``layer:4: happy - sad``.

    Args:
        line: without line breaks.

    Returns:
        The place, and the index behind the colon.

    Raises:
        ExpressionError: as ``parse``; or there is no colon.
    """
    reader = _Reader(line, "head")
    place = reader.place()
    reader.spaces()
    if not reader.took(":"):
        reader.wrong("expected ':' behind the place, as in layer:4: happy - sad")
    return place, reader.at


class _Reader:
    """Reads a line from left to right: one method for each rule of the grammar."""

    def __init__(self, line: str, bare: Literal["head", "neuron"]) -> None:
        self.line, self.bare, self.at = line, bare, 0

    def place(self) -> Place:
        self.spaces()
        start = self.at
        kind = self.kind()
        layers = None if kind == "embedding" else self.numbers("a layer")
        members = None
        if kind in _PAIRS:
            if not self.took("."):
                number = self.line[start : self.at].rpartition(":")[2].strip()
                whole = f"all of attention is attention:{number}" if kind == "head" else f"all of them are mlp:{number}"
                self.wrong(f"expected '.' and the number of a {kind} here ({whole})")
            members = self.numbers(f"a {kind}")
        elif self.line.startswith(".", self.at):
            self.wrong(f"{kind} has no parts: a head is 4.1, a neuron neuron:3.117")
        positions = self.positions() if self.took("@") else None
        return Place(self.line[start : self.at], kind, layers, members, positions, self.line)

    def kind(self) -> Kind:
        found = _NAME.match(self.line, self.at)
        if found is None:
            if self.line[self.at : self.at + 1] not in ("*", *"0123456789"):
                self.wrong(f"expected a place here, such as {_EXAMPLES}")
            return self.bare
        name = found[0].lower()
        for kind in get_args(Kind):
            if name == kind:
                self.at = found.end()
                if kind != "embedding" and not self.took(":"):
                    self.wrong(f"expected ':' and a number, as in {kind}:{'3.1' if kind in _PAIRS else '3'}")
                return kind  # type: ignore[no-any-return]
        self.wrong(f"there is no place of this name: write {_EXAMPLES}")

    def numbers(self, what: str) -> Numbers:
        column = self.at
        if self.took("*"):
            return Numbers((), column)
        ranges = [self.range(what)]
        while self.took(","):
            ranges.append(self.range(what))
        return Numbers(tuple(ranges), column)

    def range(self, what: str) -> tuple[int, int]:
        column = self.at
        first = self.number(what)
        last = self.number(what) if self.took("-") else first
        if last < first:
            self.wrong(f"this range runs backwards: write {last}-{first}", column)
        return first, last

    def number(self, what: str) -> int:
        found = _NUMBER.match(self.line, self.at)
        if found is None:
            self.wrong(f"expected the number of {what} here, or '*' for all")
        if len(found[0]) > _MOST_DIGITS:
            self.wrong("this number is too large")
        if int(found[0]) == 0:
            self.wrong("numbers count from 1")
        self.at = found.end()
        return int(found[0])

    def positions(self) -> Positions:
        start = self.at
        ranges: list[tuple[int, int]] = []
        words: list[str] = []
        every = False
        while True:
            if self.took("*"):
                every = True
            elif found := _POSITION.match(self.line, self.at):
                ranges.append(self.position_range(found))
            else:
                words.append(self.word())
            if not self.took(","):
                return Positions(tuple(ranges), tuple(words), every, self.line[start : self.at])

    def position_range(self, found: re.Match[str]) -> tuple[int, int]:
        if any(len(number.lstrip("-")) > _MOST_DIGITS for number in found.groups() if number):
            self.wrong("this number is too large")
        first, last = int(found[1]), int(found[2] or found[1])
        if first == 0 or last == 0:
            self.wrong("positions count from 1, and from the end with -1")
        if last < first and (first > 0) == (last > 0):
            self.wrong(f"this range runs backwards: write {last}-{first}")
        self.at = found.end()
        return first, last

    def word(self) -> str:
        if self.line[self.at : self.at + 1] in ('"', "'"):
            found = _QUOTED.match(self.line, self.at)
            if found is None:
                self.wrong("this quote is never closed")
            word = found[1] if found[1] is not None else found[2]
        else:
            found = _WORD.match(self.line, self.at)
            if found is None:
                self.wrong("expected a position here: a number, -1 for the last, or a word of the text")
            word = found[0]
        if not word:
            self.wrong("there is no word between these quotes")
        self.at = found.end()
        return word

    def spaces(self) -> None:
        while self.line.startswith(" ", self.at):
            self.at += 1

    def took(self, character: str) -> bool:
        """Whether the next character is this one, which is then read."""
        if not self.line.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def wrong(self, message: str, column: int | None = None) -> NoReturn:
        raise ExpressionError(message, self.line, self.at if column is None else column)


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

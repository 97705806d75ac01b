"""Read places as they are typed: ``4.1``, ``mlp:2-5``, ``layer:5@-1``, ``neuron:3.117``.

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

``parse`` needs no model, so that a mistake is reported before one is loaded; ``places`` has the rest.
"""

import re
from typing import Literal, NoReturn, get_args

from gptcli.errors import ExpressionError, InputError
from gptcli.inspection.places import Kind, Numbers, Place, Positions
from gptcli.text import clipped

_PAIRS = ("head", "neuron")
_EXAMPLES = "4.1, attention:4, mlp:3, layer:5, neuron:3.117 or embedding"
_MOST_LENGTH = 1000
_MOST_DIGITS = 9
_NAME = re.compile(r"[A-Za-z_]+")
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_POSITION = re.compile(r"(-?[0-9]+)(?:-(-?[0-9]+))?(?![^\s,:])", re.ASCII)
_WORD = re.compile(r"""[^\s,:"'][^\s,:"]*""")
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")


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
    """Read a place that a colon follows, as in ``layer:7: happy - sad``.

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
        reader.wrong("expected ':' behind the place, as in layer:7: happy - sad")
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

"""Word arithmetic as typed, ``king - man + woman``, into weighted words.

The grammar::

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = { "+" | "-" } ( "(" sum ")" | number | word | quoted )

``parse`` returns a sum of words, each times a number. A number next to ``*`` or ``/`` is a factor (``2*big``,
``(king + queen)/2``); elsewhere it is the word of that name (``1990-1980``).
Words end at a space, an operator or a parenthesis; a word that contains one is written in double or
single quotes (``"new-york"``). An apostrophe inside a word belongs to it (``o'brien``).
"""

import math
import re
from dataclasses import dataclass, field, replace

from gptcli.errors import ExpressionError, InputError
from gptcli.text import clipped

_MAX_DEPTH = 50
# The most characters of an expression, or of an arrow between words.
_MAX_LENGTH = 10_000
# Typographic signs -> the keyboard's.
_TYPED = str.maketrans({"−": "-", "×": "*", "÷": "/"})
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)
_TOKEN = re.compile(
    r"""(?P<quoted>"[^"]*"|'[^']*')|(?P<unclosed>["'])|(?P<operator>[-+*/()−×÷])|(?P<word>[^-+*/()−×÷\s"]+)|(?P<end>$)"""
)
# A path of a file as one word, where files stand for vectors: it may hold hyphens and slashes.
_PATH = re.compile(r"""[./~]*\w[^+*()×\s"']*\.safetensors(?![^+*/()−×÷\s-])""")


@dataclass(frozen=True)
class Term:
    """One word of an expression, times a number.

    Attributes:
        word: the word as it was typed, without its quotes.
        weight: its factor.
        quoted: whether it was in quotes.
    """

    word: str
    weight: float = 1.0
    quoted: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Expression:
    """A weighted sum of words.

    Attributes:
        text: the expression as it was typed, on one line.
        terms: its words in order, with repetitions.
    """

    text: str
    terms: tuple[Term, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The words, each once, in order."""
        return tuple(dict.fromkeys(term.word for term in self.terms))


def parse(text: str, *, files: bool = False) -> Expression:
    """Read an expression.

    Args:
        text: as typed.
        files: a path that ends in ``.safetensors`` is one word, with its hyphens and slashes.

    Raises:
        ExpressionError: it does not follow the grammar; points at the first position that does not fit.
        InputError: it is too long.
    """
    check_length(text)
    line = re.sub(r"\s", " ", text).rstrip()
    tokens = _scan(line, files=files)
    if tokens[0].kind == "end":
        raise ExpressionError("the expression is empty: try king-man+woman", line, 0)
    return Expression(line.strip(), _Parser(line, tokens).whole())


def check_length(text: str) -> None:
    """Refuse a text that is too long for a word or an expression.

    Raises:
        InputError: it has more than 10,000 characters.
    """
    if len(text) > _MAX_LENGTH:
        raise InputError(f"'{clipped(text, 60)}' is no word, and an expression has {_MAX_LENGTH:,} characters at most")


@dataclass(frozen=True)
class _Token:
    kind: str  # "operator", "word", "quoted", "number" or "end"
    text: str
    position: int


def _scan(line: str, *, files: bool) -> list[_Token]:
    """Cut a line into tokens; the last is of kind "end"."""
    tokens, read = [], 0
    for match in _TOKEN.finditer(line):
        kind, text, position = str(match.lastgroup), match[0], match.start()
        if position < read:
            continue  # inside of a path
        if files and kind in ("word", "operator") and (path := _PATH.match(line, position)):
            tokens.append(_Token("word", path[0], position))
            read = path.end()
            continue
        if kind == "unclosed":
            raise ExpressionError("this quote is never closed", line, position)
        if kind == "quoted":
            text = text[1:-1]
            if not text.strip():
                raise ExpressionError("there is no word between these quotes", line, position)
        elif kind == "operator":
            text = text.translate(_TYPED)
        elif kind == "word" and _NUMBER.fullmatch(text):
            kind = "number"
        tokens.append(_Token(kind, text, position))
    return tokens


@dataclass(frozen=True)
class _Value:
    """The value of a part of the expression: a number, or words.

    Attributes:
        position: where the part starts.
        scale: the number, where it is one.
        terms: the words, where it is not a number.
        literal: the word that a lone number may stand for.
    """

    position: int
    scale: float = 1.0
    terms: tuple[Term, ...] = ()
    literal: Term | None = None

    @property
    def is_number(self) -> bool:
        return not self.terms

    def times(self, scale: float) -> "_Value":
        terms = tuple(replace(term, weight=term.weight * scale) for term in self.terms)
        return replace(self, scale=self.scale * scale, terms=terms)


class _Parser:
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, line: str, tokens: list[_Token]) -> None:
        self.line, self.tokens, self.index, self.depth = line, tokens, 0, 0

    def whole(self) -> tuple[Term, ...]:
        terms = self.sum()
        if self.next.kind != "end":
            fault = (
                "this parenthesis was never opened"
                if self.next.text == ")" and self.next.kind == "operator"
                else "expected an operator before this (a word with a space or hyphen inside goes in quotes)"
            )
            raise self.error(fault, self.next.position)
        return terms

    def sum(self) -> tuple[Term, ...]:
        terms = self.words(self.product())
        while self.next_is("+-"):
            sign = 1 if self.take().text == "+" else -1
            terms += tuple(replace(term, weight=sign * term.weight) for term in self.words(self.product()))
        return terms

    def product(self) -> _Value:
        value = self.factor()
        while self.next_is("*/"):
            operator = self.take()
            right = self.factor()
            if operator.text == "/":
                if not right.is_number:
                    raise self.error("one divides by a number, not by a word", operator.position)
                if right.scale == 0:
                    raise self.error("division by zero", right.position)
                value = self.scaled(value, 1 / right.scale)
            elif right.is_number:
                value = self.scaled(value, right.scale)
            elif value.is_number:
                value = self.scaled(replace(right, position=value.position), value.scale)
            else:
                raise self.error("words are multiplied by numbers, not by words", operator.position)
        return value

    def factor(self) -> _Value:
        start, sign = self.next.position, 1
        while self.next_is("+-"):
            sign = -sign if self.take().text == "-" else sign
        token = self.take()
        if token.kind == "number":
            return _Value(start, sign * float(token.text), literal=Term(token.text, float(sign)))
        if token.kind in ("word", "quoted"):
            return _Value(start, terms=(Term(token.text, float(sign), token.kind == "quoted"),))
        if token.kind == "operator" and token.text == "(":
            return _Value(start, terms=self.bracketed(token.position)).times(sign)
        found = "nothing" if token.kind == "end" else f"'{token.text}'"
        raise self.error(f"expected a word, a number or '(' here, found {found}", token.position)

    def bracketed(self, opened: int) -> tuple[Term, ...]:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error(f"parentheses are nested more than {_MAX_DEPTH} deep", opened)
        terms = self.sum()
        if not self.next_is(")"):
            if self.next.kind == "end":
                raise self.error("this parenthesis is never closed", opened)
            raise self.error("expected an operator or ')' before this", self.next.position)
        self.take()
        self.depth -= 1
        return terms

    def words(self, value: _Value) -> tuple[Term, ...]:
        """The terms of a value in a sum; a lone number is the word of that name."""
        if not value.is_number:
            return value.terms
        if value.literal is None:
            raise self.error("this is a number, and a sum is made of words (quote it if it is a word)", value.position)
        return (value.literal,)

    def scaled(self, value: _Value, scale: float) -> _Value:
        scaled = replace(value.times(scale), literal=None)
        if not all(math.isfinite(number) for number in (scaled.scale, *(term.weight for term in scaled.terms))):
            raise self.error("the numbers here are too large", value.position)
        return scaled

    @property
    def next(self) -> _Token:
        return self.tokens[self.index]

    def next_is(self, operators: str) -> bool:
        return self.next.kind == "operator" and self.next.text in operators

    def take(self) -> _Token:
        token = self.next
        if token.kind != "end":
            self.index += 1
        return token

    def error(self, message: str, position: int) -> ExpressionError:
        return ExpressionError(message, self.line, position)

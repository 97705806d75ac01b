"""Word arithmetic: what an expression means, and where a wrong one is wrong."""

import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.expression import Term, parse
from gptcli.errors import ExpressionError


def weights(text: str) -> list[tuple[str, float]]:
    return [(term.word, term.weight) for term in parse(text).terms]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("king", [("king", 1)]),
        ("king-man+woman", [("king", 1), ("man", -1), ("woman", 1)]),
        ("king - man + woman", [("king", 1), ("man", -1), ("woman", 1)]),
        ("(king + queen)/2 - man", [("king", 0.5), ("queen", 0.5), ("man", -1)]),
        ("2*big-small", [("big", 2), ("small", -1)]),
        ("big*2", [("big", 2)]),
        ("2*(a-(b+c)/4)", [("a", 2), ("b", -0.5), ("c", -0.5)]),
        ("-2*king*3/2", [("king", -3)]),
        ("-(king - -man)", [("king", -1), ("man", -1)]),
        (".5*a + 1.5*b", [("a", 0.5), ("b", 1.5)]),
        ("king + king", [("king", 1), ("king", 1)]),
        ('"new-york" - york', [("new-york", 1), ("york", -1)]),
        ("'new york' - \"o'brien\"", [("new york", 1), ("o'brien", -1)]),
        ("o'brien-brien", [("o'brien", 1), ("brien", -1)]),
        ("u.s. + 2nd + café", [("u.s.", 1), ("2nd", 1), ("café", 1)]),
        ("king − man × 2", [("king", 1), ("man", -2)]),
        ("king\n-\tman", [("king", 1), ("man", -1)]),
        # A number by itself is a word; beside * or / it is a factor.
        ("1990-1980", [("1990", 1), ("1980", -1)]),
        ("-1990+king", [("1990", -1), ("king", 1)]),
        ('"2"*2', [("2", 2)]),
        ('"1/2"', [("1/2", 1)]),
    ],
)
def test_meaning(text: str, meaning: list[tuple[str, float]]) -> None:
    assert weights(text) == meaning


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ("king woman", 5, "expected an operator"),
        ("king +", 6, "found nothing"),
        ("king + * man", 7, "found '*'"),
        ("(king + man", 0, "never closed"),
        ("((king)", 0, "never closed"),
        ("king)", 4, "never opened"),
        ("(king man)", 6, "expected an operator or ')'"),
        ("()", 1, "found ')'"),
        ('king - "man', 7, "quote is never closed"),
        ("'s", 0, "quote is never closed"),
        ('king-""', 5, "no word between"),
        ("king*queen", 4, "not by words"),
        ("king/queen", 4, "by a number"),
        ("king/0", 5, "zero"),
        ("king + 1/2", 7, "this is a number"),
        ("9" * 400 + "*king", 0, "too large"),
        ("(" * 51 + "king" + ")" * 51, 50, "nested"),
    ],
)
def test_error_points_at_the_place(text: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=r".") as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.position == position
    assert str(caught.value).splitlines()[-1] == "  " + " " * position + "^"


def test_words_are_listed_once() -> None:
    expression = parse("king - man + king")
    assert expression.words == ("king", "man")
    assert expression.terms[2] == Term("king", 1.0)


# Random expressions over one-letter words, whose value Python's own parser can work out.
_numbers = st.integers(1, 9).map(str)
_linear = st.recursive(
    st.sampled_from("abc"),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(_numbers, inner).map("*".join),
        st.tuples(inner, _numbers).map(lambda p: f"({p[0]})/{p[1]}"),
        inner.map(lambda p: f"-({p})"),
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(_linear)
def test_agrees_with_pythons_arithmetic(text: str) -> None:
    values = {"a": 3.0, "b": 0.25, "c": -17.0}
    ours = sum(values[word] * weight for word, weight in weights(text))
    tree = ast.parse(text, mode="eval")
    theirs = eval(compile(tree, "<expression>", "eval"), {"__builtins__": {}}, values)
    assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)


@given(st.text())
def test_any_text_parses_or_is_refused_with_a_place(text: str) -> None:
    position = 0
    try:
        assert parse(text).terms
    except ExpressionError as error:
        position = error.position
    assert 0 <= position <= len(text)

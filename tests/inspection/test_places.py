"""Places as typed: what they mean in a model and in a text, and where a wrong one is wrong."""

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.errors import ExpressionError, InputError
from gptcli.inspection.place_text import parse, parse_before_colon
from gptcli.model.config import GPTConfig

CONFIG = GPTConfig(n_layer=6, n_head=4, n_embd=16, n_inner=200)
TOKENS = [b"Tom", b" and", b" Lily", b" went", b" to", b" T", b"om", b".", b" 12", b" Tom"]


def located(text: str) -> tuple[str, list[tuple[int, int | None]]]:
    found = parse(text).within(CONFIG)
    return found.kind, list(found.each())


@pytest.mark.parametrize(
    ("text", "kind", "each"),
    [
        ("4.1", "head", [(4, 1)]),
        (" 4.1 ", "head", [(4, 1)]),
        ("head:4.1", "head", [(4, 1)]),
        ("4.*", "head", [(4, 1), (4, 2), (4, 3), (4, 4)]),
        ("4.2-3", "head", [(4, 2), (4, 3)]),
        ("1,3.4", "head", [(1, 4), (3, 4)]),
        ("*.2", "head", [(layer, 2) for layer in range(1, 7)]),
        ("attention:4", "attention", [(4, None)]),
        ("mlp:2-5", "mlp", [(2, None), (3, None), (4, None), (5, None)]),
        ("MLP:6", "mlp", [(6, None)]),
        ("mlp:5,1-2,2", "mlp", [(1, None), (2, None), (5, None)]),
        ("layer:*", "layer", [(layer, None) for layer in range(1, 7)]),
        ("neuron:3.117", "neuron", [(3, 117)]),
        ("neuron:3.199-200", "neuron", [(3, 199), (3, 200)]),
        ("embedding", "embedding", [(0, None)]),
        ("layer:5@-1", "layer", [(5, None)]),
    ],
)
def test_a_place_in_a_model(text: str, kind: str, each: list[tuple[int, int | None]]) -> None:
    assert located(text) == (kind, each)


def test_a_bare_pair_is_what_the_caller_takes_it_for() -> None:
    assert parse("3.117", bare="neuron").within(CONFIG).kind == "neuron"
    assert parse("4.1", bare="neuron").kind == "neuron"
    assert parse("head:4.1", bare="neuron").kind == "head"


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("embedding@1", (0,)),
        ("embedding@-1", (9,)),
        ("embedding@-2", (8,)),
        ("embedding@2-4", (1, 2, 3)),
        ("embedding@-3--1", (7, 8, 9)),
        ("embedding@8--1", (7, 8, 9)),
        ("embedding@*", tuple(range(10))),
        ("embedding@1,3,-1", (0, 2, 9)),
        ("embedding@Tom", (0, 5, 6, 9)),  # alone, and of the two tokens that spell it
        ("embedding@·Tom", (5, 6, 9)),
        ('embedding@" Tom"', (5, 6, 9)),
        ("embedding@Lily", (2,)),
        ("embedding@Lily,went", (2, 3)),
        ("embedding@Lily,-1", (2, 9)),
        ("embedding@.", (7,)),
        ('embedding@"12"', (8,)),
        ("embedding@'Lily went'", (2, 3)),
        ("embedding@om", (6,)),
    ],
)
def test_positions_in_a_text(text: str, indices: tuple[int, ...]) -> None:
    positions = parse(text).positions
    assert positions is not None
    assert positions.indices(TOKENS) == indices


def test_no_position_means_all_of_them() -> None:
    assert parse("4.1").positions is None


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 0, "expected a place here"),
        ("  ", 0, "expected a place here"),
        ("?", 0, "expected a place here"),
        ("heads:4", 0, "no place of this name"),
        ("4", 1, "all of attention is attention:4"),
        ("neuron:3", 8, "all of them are mlp:3"),
        ("4.", 2, "expected the number of a head"),
        ("4.x", 2, "expected the number of a head"),
        ("mlp", 3, "expected ':' and a number, as in mlp:3"),
        ("mlp:", 4, "expected the number of a layer"),
        ("mlp:0", 4, "count from 1"),
        ("4.0", 2, "count from 1"),
        ("mlp:5-2", 4, "write 2-5"),
        ("mlp:1-", 6, "expected the number of a layer"),
        ("mlp:9999999999", 4, "too large"),
        ("attention:4.1", 11, "has no parts"),
        ("4.1 5.2", 3, "one place ends here"),
        ("4.1,5.2", 5, "one place ends here"),
        ("embedding:1", 9, "one place ends here"),
        ("4.1@", 4, "expected a position"),
        ("4.1@0", 4, "count from 1"),
        ("4.1@3-2", 4, "write 2-3"),
        ("4.1@-1--2", 4, "write -2--1"),
        ('4.1@"Tom', 4, "never closed"),
        ('4.1@""', 4, "no word"),
        ("4.1@Tom,", 8, "expected a position"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(text)
    assert caught.value.position == column
    assert str(caught.value).splitlines()[-1] == "  " + " " * column + "^"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("7.1", 0, "layers 1 to 6"),
        ("4.5", 2, "heads 1 to 4"),
        ("4.1-9", 2, "heads 1 to 4"),
        ("mlp:2,8", 4, "layers 1 to 6"),
        ("neuron:3.201", 9, "neurons 1 to 200"),
    ],
)
def test_what_the_model_lacks_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(text).within(CONFIG)
    assert caught.value.position == column


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4.1@11", "positions 1 to 10"),
        ("4.1@-11", "positions 1 to 10"),
        ("4.1@-1-2", "runs backwards"),
        ("4.1@queen", "no token 'queen'; it has Tom ·and"),
        ("4.1@·.", "no token"),
    ],
)
def test_what_the_text_lacks_is_said(text: str, message: str) -> None:
    positions = parse(text).positions
    assert positions is not None
    with pytest.raises(InputError, match=message):
        positions.indices(TOKENS)


def test_a_place_before_a_colon() -> None:
    place, end = parse_before_colon("layer:4@Tom: happy - sad")
    assert (place.kind, place.text, end) == ("layer", "layer:4@Tom", 12)
    with pytest.raises(ExpressionError, match="expected ':'") as caught:
        parse_before_colon("layer:4 happy")
    assert caught.value.position == 8


def test_too_long_a_place_is_refused() -> None:
    with pytest.raises(InputError, match="1,000 characters"):
        parse("mlp:" + "1," * 1000 + "1")


@pytest.mark.slow
@given(st.text(alphabet="4.1,-*:@\"' ·mlpTom", max_size=12))
def test_any_text_is_a_place_or_a_mistake(text: str) -> None:
    with suppress(ExpressionError):
        place = parse(text)
        assert place.text in text
        assert parse(place.text).kind == place.kind


def test_the_parser_needs_no_torch(child_environment: dict[str, str]) -> None:
    script = "import sys; import gptcli.inspection.places; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"False", done.stderr

"""``gptcli softmax`` against PyTorch, and by hand."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.probability.own_numbers import Number, softmax_of

torch = pytest.importorskip("torch")


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["softmax", *arguments], input=text)


def answer(*arguments: str, text: str | None = None) -> dict[str, Any]:
    done = run(*arguments, "--json", text=text)
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_by_hand() -> None:
    found = answer("3", "1", "0.2", "-t", "0,1,5")
    assert found["numbers"] == [{"label": "", "logit": number} for number in (3.0, 1.0, 0.2)]
    assert [each["temperature"] for each in found["distributions"]] == [0, 1, 5]
    powers = [math.e**3, math.e, math.e**0.2]
    argmax, plain, hot = (each["probabilities"] for each in found["distributions"])
    assert argmax == [1, 0, 0]
    assert plain == pytest.approx([power / sum(powers) for power in powers], rel=1e-14)
    ratios = [hot[0] / hot[1], hot[1] / hot[2]]
    assert ratios == pytest.approx([math.exp(2 / 5), math.exp(0.8 / 5)], rel=1e-14)


@pytest.mark.slow
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(-math.inf), min_size=1, max_size=30).filter(
        lambda numbers: max(numbers) > -math.inf
    ),
    st.floats(0.01, 1e6),
)
def test_as_pytorch_has_it(numbers: list[float], temperature: float) -> None:
    (found,) = softmax_of([Number("", each) for each in numbers], [temperature]).distributions
    logits = torch.tensor(numbers, dtype=torch.float64)
    expected = torch.softmax((logits - logits.max()) / temperature, 0)
    assert found.probabilities == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-300)
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-12)
    entropy = float(torch.distributions.Categorical(probs=expected).entropy()) / math.log(2)
    assert found.entropy_bits == pytest.approx(entropy, rel=1e-6, abs=1e-6)


def test_at_0_the_first_of_the_largest_has_all() -> None:
    assert answer("1", "3", "3", "-t", "0")["distributions"][0]["probabilities"] == [0, 1, 0]


def test_large_numbers_do_not_overflow() -> None:
    assert answer("10000", "9999")["distributions"][0]["probabilities"][0] == pytest.approx(math.e / (1 + math.e))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cat=3", "dog=-1", "a=b=1e-2"), None),
        (("cat=3,dog=-1,a=b=1e-2",), None),
        ((), "cat=3\ndog=-1 a=b=1e-2\n"),
        (("-",), "cat=3, dog=-1,\ta=b=1e-2"),
    ],
)
def test_labels_from_arguments_and_from_a_pipe(arguments: tuple[str, ...], text: str | None) -> None:
    numbers = answer(*arguments, text=text)["numbers"]
    assert [(each["label"], each["logit"]) for each in numbers] == [("cat", 3.0), ("dog", -1.0), ("a=b", 0.01)]


def test_negative_numbers_are_no_options() -> None:
    assert [each["logit"] for each in answer("-1", "-2.5", "-1e-3", "-t", "2")["numbers"]] == [-1, -2.5, -0.001]


def test_a_mask_leaves_nothing() -> None:
    done = answer("1", "-inf", "1")
    assert done["distributions"][0]["probabilities"] == [0.5, 0, 0.5]
    assert done["distributions"][0]["entropy_bits"] == pytest.approx(1)


def test_the_picture_has_one_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = run("cat=2", "dog=2", "-t", "0,1").stdout
    assert "all bars on one scale: the longest is 100.00%" in shown
    cat, dog = (line for line in shown.splitlines() if "50.00%" in line)
    assert 3 * dog.count("█") <= cat.count("█") <= 3 * dog.count("█") + 2  # 1 and a half, and a half
    assert "about 2.0 equally likely choices" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("three",), "'three' is not a number"),
        (("cat=",), "'' is not a number"),
        (("3", "--temp", "2"), "No such option: '--temp'"),
        (("inf",), "finite"),
        (("nan",), "finite"),
        (("-inf", "-inf"), "all numbers are minus infinity"),
        (("3", "-t", "-1"), "--temperature -1: write 0 or more"),
        (("3", "-t", "nan"), "--temperature"),
        (("3", "-t", "warm"), "--temperature"),
        (("",), "NUMBER is missing"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""

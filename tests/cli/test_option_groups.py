"""Groups of options: a command that takes a group has the group's options on the command line."""

import inspect
import re
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.app import app
from gptcli.cli.option_groups import EngineOptions, RunOptions, SamplingOptions, grouped
from gptcli.cli.options import Quantize
from gptcli.errors import InputError
from gptcli.sampling.settings import Sampling

# Of panels that several commands have.
ORDER = ("Options", "Input", "Model", "Changing the model", "Output")


@dataclass(frozen=True)
class Sauce:
    hot: Annotated[bool, typer.Option("--hot")] = False
    spoons: Annotated[int, typer.Option("--spoons", "-s", min=0)] = 2


@grouped
def cook(dish: str, *, sauce: Sauce, plates: Annotated[int, typer.Option()] = 1) -> None:
    """Cook something."""
    print(dish, sauce, plates)


def run(*args: str) -> str:
    app = typer.Typer()
    app.command()(cook)
    result = CliRunner().invoke(app, args)
    return result.stdout if result.exit_code == 0 else f"exit {result.exit_code}"


def test_the_options_of_a_group_stand_where_the_group_stood() -> None:
    assert list(inspect.signature(cook).parameters) == ["dish", "hot", "spoons", "plates"]
    assert cook.__doc__ == "Cook something."


@pytest.mark.parametrize(
    ("args", "printed"),
    [
        (["rice"], "rice Sauce(hot=False, spoons=2) 1\n"),
        (["rice", "--hot", "-s", "5", "--plates", "3"], "rice Sauce(hot=True, spoons=5) 3\n"),
        (["rice", "-s", "-1"], "exit 2"),
    ],
)
def test_a_group_gets_what_was_given_or_its_defaults(args: list[str], printed: str) -> None:
    assert run(*args) == printed


def test_every_filter_reaches_the_sampling_under_its_own_name() -> None:
    given: dict[str, Any] = {
        "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "typical_p": 0.8, "repetition_penalty": 1.5,
        "no_repeat_ngram": 4,
    }  # fmt: skip
    assert SamplingOptions(**given).sampling() == Sampling(**given)
    with pytest.raises(InputError, match="--top-p 2"):
        SamplingOptions(top_p=2).sampling()


def test_only_what_writes_is_quantized() -> None:
    assert RunOptions().placement() == EngineOptions().placement() == Placement("auto", "auto", "none")
    assert EngineOptions(quantize=Quantize.int8).placement() == Placement(quantize="int8")
    assert not hasattr(RunOptions(), "quantize")


@pytest.mark.parametrize("command", ["generate", "logits", "score", "attention", "lens", "tokenize", "ablate"])
def test_every_help_has_its_panels_in_one_order(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "100"}).stdout
    found = [name for name in re.findall(r"─ ([A-Z][a-z ]*) ─", said) if name in ORDER]
    assert found == [name for name in ORDER if name in found]
    assert said.index(f"gptcli {command} ") < said.index("─ Options")  # the examples come first

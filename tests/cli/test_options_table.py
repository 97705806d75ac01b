"""Every numeric option of every command, found in the app: what is no number in range is one line and exit code 2."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import typer.main
from typer.testing import CliRunner

from gptcli.cli.app import app

# What a command needs beside the option; one that is not here gets a text, which suits most.
ARGUMENTS = {
    "analogy": ["king-man+woman"],
    "compare": ["tales", ":int8", "Once upon a time"],
    "direction": ["king-man", "king", "queen"],
    "explore": ["Once upon a time", "--save", "never_written.html"],
    "head": ["4.1"],
    "neighbors": ["king"],
    "similarity": ["king", "queen"],
    "embed-similarity": ["king", "queen"],
    "map": ["king", "queen", "man"],
    "models show": ["tales"],
    "params": ["gpt2"],
    "count-params": ["gpt2"],
    "tour": [],
    "chat": [],
}
NOT_NUMBERS = ("nan", "inf", "-inf", "1e999", "many", "", "1,5", "0x10", "--", "٣.٣.٣")
BELOW_ALL = "-1000000000000"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its name, those of groups and hidden ones too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def numeric(command: Any) -> Iterator[str]:
    """The longest spelling of each numeric option of a command, by the types that its function declares."""
    hints = get_type_hints(inspect.unwrap(command.callback))
    for parameter in command.params:
        hint = hints.get(parameter.name)
        kinds = {hint, *get_args(hint)} | {inner for kind in get_args(hint) for inner in get_args(kind)}
        if parameter.param_type_name == "option" and kinds & {int, float}:
            yield max(parameter.opts, key=len)


CASES = [(name, option) for name, command in commands(typer.main.get_command(app)) for option in numeric(command)]


def test_the_table_holds_what_it_should() -> None:
    """A change in Typer that hides the types would leave an empty table."""
    assert {("generate", "--temperature"), ("generate", "--num-samples"), ("logits", "--top")} <= set(CASES)
    assert {("models show", "--n-head"), ("tokenize", "--truncate"), ("score", "--stride")} <= set(CASES)
    assert len(CASES) > 30


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), CASES, ids=[" ".join(case) for case in CASES])
def test_what_is_no_number_in_range_is_one_line(name: str, option: str) -> None:
    for value in (*NOT_NUMBERS, BELOW_ALL):
        words = [*name.split(), *ARGUMENTS.get(name, ["Once upon a time"]), f"{option}={value}"]
        done = CliRunner().invoke(app, words, input="")
        assert (done.exit_code, done.stdout) == (2, ""), (words, done.stdout, done.stderr, done.exception)
        assert re.fullmatch(r"error: .+\n", done.stderr), (words, done.stderr)
        assert option in done.stderr or re.search(rf"'-\w' / '{option}'", done.stderr), (words, done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        *("generate A --json --jsonl", "generate A --stop=", "generate A --logit-bias=x=nan", "logits A -t 1,nan"),
        *(
            "logits A -t 1,,2",
            "logits A -t inf",
            "logits A -t -1",
            "generate A --logit-bias==1",
            "params gpt2 -m tales",
        ),
        *("generate A --logit-bias=x=inf", "tokenize A --ids --decode", "tokenize A --count --merges", "logits A -k x"),
        *("tokenize A --truncate 1 --ids", "generate A --n-head 3", "generate A --device tpu", "score A --stride 9999"),
        *("models show tales --n-head 3", "params gpt2 --save x.pdf", "generate A --overflow jump", "generate A -n"),
        *("similarity king --save x.gif", "nonsense", "generate --nonsense", "models nonsense", "--nonsense"),
    ],
)
def test_contradictions_and_nonsense_are_one_line(words: str) -> None:
    done = CliRunner().invoke(app, words.split(), input="")
    assert (done.exit_code, done.stdout) == (2, ""), (done.stdout, done.stderr, done.exception)
    assert re.fullmatch(r"error: .+\n", done.stderr), done.stderr

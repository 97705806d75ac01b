"""``gptcli glossary``: terms, their commands and relatives, and what is near."""

import json
import re
from typing import Any

import pytest
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.cli.tour import our_words
from gptcli.errors import InputError
from gptcli.show.glossary import glossary

TERMS = glossary(None).terms


def run(*arguments: str, width: int = 80) -> Any:
    return CliRunner().invoke(app, ["glossary", *arguments], env={"COLUMNS": str(width)})


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.term)
def test_each_term_has_sentences_a_command_and_relatives(term: Any) -> None:
    assert 1 <= len(re.findall(r"[.?](?= |$)", term.meaning)) <= 4
    assert term.meaning.endswith(".")
    names = {each.term for each in TERMS}
    assert term.related
    assert set(term.related) <= names - {term.term}, term.term
    words = our_words(term.command)
    group: Any = get_command(app)
    with group.make_context("gptcli", list(words)) as root:
        _, command, rest = group.resolve_command(root, words)
        command.make_context(words[0], rest, parent=root)  # options and arguments are ours


def test_no_name_means_two_things() -> None:
    names = [name for term in TERMS for name in (term.term, *term.also)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "asked",
    ["entropy", "ENTROPY", "residual stream", "Residual-Stream", "top k", "topk", "softmax", "RMS norm", "head"],
)
def test_a_term_is_found_however_it_is_written(asked: str) -> None:
    assert len(glossary(asked).terms) == 1


def test_what_the_outputs_say_is_in_the_glossary() -> None:
    said = "entropy,perplexity,logit,softmax,temperature,top-k,residual stream,layer norm,RMS norm,head,KV cache,lens"
    for asked in (*said.split(","), "bits a byte"):
        glossary(asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [("perplexety", "perplexity"), ("layer nrom", "layer norm"), ("zzz", "lists its terms"), ("", "terms")],
)
def test_what_is_not_there_is_told_with_what_is_near(asked: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        glossary(asked)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_term_and_the_list_fit_the_width(width: int) -> None:
    for arguments in ((), ("residual", "stream")):
        done = run(*arguments, width=width)
        assert done.exit_code == 0, done.output
        assert max(cell_len(line) for line in done.stdout.splitlines() if not line.startswith("$ ")) <= width
    assert "carries through all layers" in " ".join(run("residual", "stream", width=width).stdout.split())


def test_json() -> None:
    got = json.loads(run("entropy", "--json").stdout)
    assert got["schema"] == "gptcli.glossary/1"
    assert [set(term) for term in got["terms"]] == [{"term", "also", "group", "meaning", "command", "related"}]
    assert len(json.loads(run("--json").stdout)["terms"]) == len(TERMS)
    assert run("nonsense").exit_code == 2


def test_commands_that_only_count_run() -> None:
    counting = [term.command for term in TERMS if term.command.split()[1] == "params" or "--config" in term.command]
    assert len(counting) > 4
    for command in set(counting):
        assert CliRunner().invoke(app, our_words(command)).exit_code == 0, command

"""Every command's JSON is what ``gptcli schema`` says of it, and the schema describes every key."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from gptcli.cli.answers import ANSWERS, answers_of
from gptcli.cli.app import app
from gptcli.cli.commands import COMMANDS, app_of
from gptcli.measuring import speed
from gptcli.show.terminal.console import json_text
from gptcli.show.terminal.json_schema import json_schema

# Commands whose output has each form; "{folder}" is an empty one. Those of no command here are made below.
FORMS: dict[str, str] = {
    "tour": "tour --stop 1 --json",
    "generate": "generate 日 -n 2 -N 2 --seed 1 --json",
    "generate.explain": "generate 日 -n 2 --seed 1 --explain --json",
    "generate.jsonl": "generate 日 -n 2 --seed 1 --jsonl",
    "generate.jsonl.explain": "generate 日 -n 2 --seed 1 --explain --jsonl",
    "chat": "chat --seed 1 -n 3 --json",
    "logits": "logits 日 -t 0,1 -k 3 --watch king --json",
    "logits.all-positions": "logits 日 --all-positions --json",
    "softmax": "softmax cat=3 -1 -inf -t 0,1 --json",
    "score": "score 日本 --json",
    "score.summary": "score 日本 --summary --json",
    "attention": "attention 日本 --json",
    "attention.scores": "attention 日本 --scores --layer 1 --json",
    "attention.from": "attention 日本 --from 日 --json",
    "config": "config score --json",
    "glossary": "glossary entropy --json",
    "lens": "lens 日本 --sublayers --token king --attribution --json",
    "ablate": "ablate 日本 --json",
    "patch": "patch king dog --json",
    "head": "head 5.3 --tokens 20 --no-kind --token Tom --json",
    "head.all": "head --all --tokens 2 --json",
    "neurons": "neurons 日本 --json",
    "neurons.one": "neurons --neuron 5.1015 --json",
    "neurons.passages": "neurons 日本 --neuron 5.1015 --json",
    "trace": "trace 日本 --layer 1 --head 1 --json",
    "trace.config": "trace --config gpt3 --tokens 3 --json",
    "params": "params --json",
    "params.preset": "params gpt3 --json",
    "params.words": "params glove-50d --json",
    "tokenize": "tokenize 日本 --json",
    "tokenize.count": "tokenize --count 日 --json",
    "tokenize.merges": "tokenize --merges 日本 --json",
    "tokenize.ids": "tokenize --ids 日 --json",
    "tokenize.decode": "tokenize --decode 98 --json",
    "tokenize.truncate": "tokenize --truncate 1 日 --json",
    "similarity": "similarity king queen apple -m tales --json",
    "similarity.in-context": "similarity --in-context [日] a[日] --neighbors 1 --json",
    "similarity.evaluate": "similarity --evaluate {folder}/pairs.txt --json",
    "neighbors": "neighbors 日 -m tales --json",
    "analogy": "analogy king-man+woman --top 2 --json",
    "analogy.evaluate": "analogy --evaluate {folder}/questions.txt --restrict 3000 --json",
    "direction": "direction cats-cat dog dogs --json",
    "map": "map king->queen man->woman --neighbors 1 --json",
    "compare": "compare tales :int8 日本 --json",
    "bench": "bench --contexts 1 --json",
    "models.list": "models list --json",
    "models.show": "models show tales --keys --json",
    "models.show.words": "models show glove-50d --json",
}
# These and what needs no model are quick.
_QUICK = ("generate", "generate.jsonl", "logits", "score", "similarity", "analogy", "direction", "tour", "trace.config")


@cache
def validator(command: str) -> Draft202012Validator:
    done = CliRunner().invoke(app, ["schema", *command.split()])
    assert done.exit_code == 0, done.output
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def command_of(arguments: list[str]) -> str:
    return max((name for name in ANSWERS if arguments[: len(name.split())] == name.split()), key=len)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pairs.txt").write_text("king queen 8\ncat dog 7\ntower apple 1\n")
    (tmp_path / "questions.txt").write_text(": family\nking queen man woman\n")
    return tmp_path


def _quick(form: str) -> bool:
    return form in _QUICK or form.startswith(("tokenize", "models", "params"))


@pytest.mark.parametrize("form", [pytest.param(form, marks=[pytest.mark.slow] * (not _quick(form))) for form in FORMS])
def test_what_is_printed_is_valid(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_ENOUGH_S", 0.0)
    monkeypatch.setattr(speed, "_BANDWIDTH_BYTES", 1 << 20)
    arguments = FORMS[form].format(folder=folder).split()
    done = CliRunner().invoke(app, arguments, input="Who are you?\n" if form == "chat" else None)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines() if form.startswith(("generate", "chat")) else [done.stdout]
    for line in lines:
        printed = json.loads(line)
        assert next(iter(printed)) == "schema"
        assert f"gptcli.{form}/".startswith(printed["schema"].split("/")[0])
        validator(command_of(arguments)).validate(printed)


@pytest.mark.slow
def test_forms_that_take_more_than_a_command_line(folder: Path) -> None:
    """A draft of --pick, a saved conversation, a downloaded model, and what quantization leaves."""
    from gptcli.checkpoint.catalogue import list_models
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.checkpoint.weights.kept import KeptFile
    from gptcli.checkpoint.weights.placement import Placement
    from gptcli.generation.loop import Limits
    from gptcli.generation.pick.draft import new_draft
    from gptcli.generation.writing import Request
    from gptcli.measuring.quantization import Keeping, Quantized, QuantizedLogits, Removed
    from gptcli.sampling.settings import Sampling

    sampling = Sampling(logit_bias={3: float("-inf"), 4: 1.0})
    draft = new_draft(
        open_checkpoint("tales", Placement(device="cpu"), inside=False), Request(["日"], sampling, Limits(5), 1)
    )
    draft.draw_token()
    draft.type(" king")
    kept = KeptFile("tales", "x/model.safetensors", "int8", Path("x/y"), 3)
    effects = QuantizedLogits("tales", [Quantized("int8", None, 0.1, 0.01, 1.0)])
    removed = Removed((kept,))
    keeping = Keeping("tales", "int8", Path("x/y"), 3, 5, (kept,))
    whole = folder / "talk.json"
    assert CliRunner().invoke(app, ["chat", "-n", "2", "--save", str(whole)], input="Hi\n").exit_code == 0
    for command, text in {
        "generate": json_text(draft.record("tales", "quit")),
        "chat": whole.read_text(encoding="utf-8"),
        "models pull": json_text(list_models().bundled[0]),
        "models show": json_text(effects),
        "models quantize": json_text(keeping),
    }.items():
        validator(command).validate(json.loads(text))
    validator("models quantize").validate(json.loads(json_text(removed)))


def every_command() -> Iterator[tuple[str, Any]]:
    from typer.main import get_command

    for name in COMMANDS:
        command = get_command(app_of(name))
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {each}", below) for each, below in inner.items()) if inner else [(name, command)]


def test_every_command_with_json_has_its_schema() -> None:
    names = {name for name, command in every_command() if any("--json" in each.opts for each in command.params)}
    assert names == set(ANSWERS)
    forms = [answer.schema for name in ANSWERS for answer in ANSWERS[name]()]  # type: ignore[attr-defined]
    assert len(forms) == len(set(forms))
    for name in ANSWERS:
        assert all(f"{form.schema}/".startswith(f"gptcli.{name.replace(' ', '.')}") for form in ANSWERS[name]())  # type: ignore[attr-defined]
    made = {"generate.pick", "chat.conversation", "models.pull", "models.show.quantized"}
    made |= {"models.quantize", "models.quantize.remove", "head.all", "neurons.one", "neurons.passages"}
    assert {form.removeprefix("gptcli.").split("/")[0] for form in forms} <= set(FORMS) | made


# Commands whose answer is a text that grows, or one thing.
_NO_TABLE = {"generate", "chat"}


def test_every_command_with_json_prints_its_table() -> None:
    """And each result but a few has rows, which Python's API can put into a data frame."""
    for name, command in every_command():
        options = {option for each in command.params for option in each.opts}
        if "--json" in options and name not in _NO_TABLE:
            assert {"--csv", "--md", "--save"} <= options, name
            for form in ANSWERS[name]():
                has = hasattr(form, "table") or hasattr(form, "table_rows")
                assert has or form.__name__ in ("TokenIds", "Decoded", "Truncated"), form


def test_every_key_is_described() -> None:
    schema = json_schema(answers_of(""))
    objects = [*schema["oneOf"], *schema["$defs"].values()]
    for each in objects:
        assert each["description"], each
        for name, about in each["properties"].items():
            assert about.get("description"), (each["description"], name)


def test_an_unknown_command_is_named() -> None:
    done = CliRunner().invoke(app, ["schema", "logitz"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: logitz: no command of this name prints JSON; those that do: tour, generate")

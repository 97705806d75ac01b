"""Defaults from the configuration file and the environment, ``gptcli config`` and ``gptcli help``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.cli.settings import options_of, variable_of
from tests.cli.test_options_table import commands

Write = Callable[[str], Path]
# Variables that have a meaning of their own.
OTHERS = {"GPTCLI_CACHE", "GPTCLI_NATIVE", "GPTCLI_VNNI", "GPTCLI_AMX", "GPTCLI_CHECK", "GPTCLI_PLAIN"}


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the configuration file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("GPTCLI_THEME")

    def written(text: str) -> Path:
        file = tmp_path / "gptcli" / "config.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    return written


def ids(*arguments: str) -> list[int]:
    done = run("generate", "Once upon a time", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    value: list[int] = json.loads(done.stdout)["ids"]
    return value


@pytest.mark.slow
def test_what_is_typed_goes_before_the_environment_and_that_before_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("temperature = 0\nmax-new-tokens = 9\n[generate]\nmax_new_tokens = 5\n")
    assert len(ids()) == 5
    assert ids() == ids("-t", "0")
    monkeypatch.setenv("GPTCLI_MAX_NEW_TOKENS", "3")
    assert len(ids()) == 3
    assert len(ids("-n", "2")) == 2
    monkeypatch.setenv("GPTCLI_MAX_NEW_TOKENS", "")
    assert len(ids()) == 5


@pytest.mark.slow
def test_lists_flags_and_numbers_for_texts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write('[logits]\ntemperature = 2\nwatch = ["dragon", "princess"]\njson = true\n[generate]\nstop = " there"\n')
    (shown,) = json.loads(run("logits", "Once upon a time").stdout)["distributions"]
    assert shown["temperature"] == 2
    assert [each["token"] for each in shown["watched"]] == [" dragon", " princess"]
    assert len(ids("-t", "0")) == 2
    monkeypatch.setenv("GPTCLI_JSON", "no")
    assert run("logits", "Once upon a time").stdout.startswith("Once upon a time")
    monkeypatch.setenv("GPTCLI_JSON", "1")
    assert json.loads(run("tokenize", "a").stdout)["counts"]["n_tokens"] == 1


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ("temperatur = 1", ["score", "a b"], ": no command has an option 'temperatur' (did you mean temperature"),
        ("[generte]", ["score", "a b"], ": there is no command 'generte' (did you mean generate?)"),
        (
            "[score]\nstrid = 1",
            ["score", "a b"],
            ", [score]: 'gptcli score' has no option 'strid' (did you mean stride",
        ),
        ("[models.list]\nx = 1", ["models", "list"], ", [models.list]: 'gptcli models list' has no option 'x'"),
        ("[score]\nstride = 1.5", ["score", "a b"], ", [score]: stride is '1.5': write a whole number"),
        ("temperature = 'hot'", ["generate", "a"], ": temperature is 'hot': write a number"),
        ("json = 1", ["score", "a b"], ": json is '1': write true or false"),
        ("device = []", ["score", "a b"], ": device is '[]': write a text"),
        ("device = 'tpu'", ["score", "a b"], "Invalid value for '--device': 'tpu' is not one of "),
        ("temperature = 'hot'", ["logits", "a"], "--temperature 'hot': write a number, or several"),
        ("temperature = {a = 1}", ["logits", "a"], ": temperature is a table, and an option: write one value"),
        ("top-p = 2", ["logits", "a"], "--top-p 2.0: it must be above 0 and at most 1 (--top-p is from "),
        ("model = 'no-such-model-here'", ["logits", "a"], "(--model is from "),
        ("a = ]", ["score", "a b"], " is not TOML: Invalid value (at line 1, column 5)"),
    ],
)
def test_a_wrong_setting_is_one_line(write: Write, config: str, arguments: list[str], said: str) -> None:
    file = write(config)
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert str(file) in done.stderr
    assert run(arguments[0], "--help").exit_code == 0
    assert run("--version").exit_code == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GPTCLI_JSON", "maybe"), ("GPTCLI_TOP", "many"), ("GPTCLI_TOP", "0"), ("GPTCLI_DEVICE", "tpu"),
        ("GPTCLI_STRIDE", "1.5"), ("GPTCLI_STRIDE", "9999"), ("GPTCLI_MODEL", "no-such-model-here"),
        ("GPTCLI_QUANTIZE", "int5"), ("GPTCLI_SAVE", "x.pdf"), ("GPTCLI_TIMEOUT", "soon"), ("GPTCLI_THEME", "blue"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    done = run("score", "a b")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert variable in done.stderr


def test_what_is_typed_is_not_blamed_on_a_setting(write: Write) -> None:
    write("top-p = 0.5\ntemperature = 1\n")
    assert "is from" not in run("logits", "a", "--top-p", "2").stderr
    assert "'many' is no whole number" in run("logits", "a", "--top", "many").stderr


@pytest.mark.slow
def test_a_setting_does_not_contradict_what_is_typed(write: Write) -> None:
    generate = "[generate]\njson = true\nexplain-top = 3\nsystem = 'x'\n"
    write(f"[logits]\ntemperature = 0.5\ntop-k = 3\n{generate}[score]\nstride = 9")
    assert run("logits", "The king and", "--all-positions").exit_code == 0
    assert run("generate", "The king", "-n", "1", "--jsonl").exit_code == 0
    assert run("score", "The king", "--no-overlap").exit_code == 0
    assert run("logits", "The king and", "--all-positions", "-k", "3").exit_code == 2


def test_the_model_of_all_is_no_word_vectors(write: Write) -> None:
    write("model = 'tales'\ntop = 2")
    assert "glove-50d" in run("neighbors", "king").stdout
    write("[neighbors]\nmodel = 'tales'")
    assert "tales" in run("neighbors", "king").stdout


@pytest.mark.slow
def test_config_shows_values_and_where_they_come_from(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("theme = 'light'\n[score]\nstride = 128\n[models.list]\njson = true\n")
    monkeypatch.setenv("GPTCLI_SEED", "7")
    shown = json.loads(run("config", "--json").stdout)
    assert (shown["file"], shown["exists"]) == (str(file), True)
    found = {(each["command"], each["option"]): (each["value"], each["origin"]) for each in shown["settings"]}
    assert found["", "theme"] == ("light", str(file))
    assert found["score", "stride"] == ("128", f"{file}, [score]")
    assert found["models list", "json"] == ("true", f"{file}, [models.list]")
    assert found["generate", "seed"] == found["chat", "seed"] == ("7", "GPTCLI_SEED")
    whole = json.loads(run("config", "score", "--json").stdout)["settings"]
    values = {each["option"]: (each["value"], each["origin"]) for each in whole}
    assert values["stride"] == ("128", f"{file}, [score]")
    assert values["device"] == ("auto", "default")
    assert values["top"] == ("20", "default")
    assert run("config", "scor").exit_code == 2
    drawn = run("config").stdout
    assert "--stride" in drawn
    assert "the file, [score]" in drawn


def test_without_a_file_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GPTCLI_THEME")
    shown = json.loads(run("config", "--json").stdout)
    assert (shown["file"], shown["exists"]) == (str(tmp_path / ".config" / "gptcli" / "config.toml"), False)
    assert shown["settings"] == []
    assert "Nothing is set" in run("config").stdout


def test_no_option_takes_a_variable_that_means_something_else() -> None:
    names = {name for _, command in commands(typer.main.get_command(app)) for name in options_of(command)}
    assert {"temperature", "max-new-tokens", "json", "theme"} - names == {"theme"}  # the program's own
    assert not {variable_of(name) for name in names} & OTHERS


@pytest.mark.slow
def test_help_is_the_help_of_a_command() -> None:
    for words in ([], ["logits"], ["models", "pull"]):
        assert run("help", *words).stdout == run(*words, "--help").stdout
    done = run("help", "lgits")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "'logits'" in done.stderr


def test_an_option_given_twice_is_told() -> None:
    done = run("logits", "The king", "-t", "0.5", "--temperature", "1", "--json")
    assert done.stderr == "--temperature is given twice: the last one counts\n"
    assert json.loads(done.stdout)["distributions"][0]["temperature"] == 1
    assert run("logits", "The king", "--watch", "a", "--watch", "b", "--json", "--json").stderr == ""


@pytest.mark.parametrize("command", ["logits", "score", "attention", "lens", "trace"])
def test_words_without_quotes_are_refused_with_a_hint(command: str) -> None:
    done = run(command, "The", "king", "and")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "(king and): put a text of several words in quotes" in done.stderr

"""The error boundary: what was raised becomes one line and a documented exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gptcli import __version__
from gptcli.cli.app import app

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generat"], "generate"),
        (["generate", "--temperatur", "1"], "--temperature"),
        (["generate", "-n", "many"], "--max-new-tokens"),
        (["logits", "x", "--device", "toaster"], "toaster"),
        (["generate", "x", "--seed", "-1"], "--seed"),
        (["generate", "x", "--json", "--jsonl"], "--jsonl"),
        (["generate", "x", "--stop", ""], "--stop"),
        (["generate", "x", "-t", "inf"], "--temperature"),
        (["generate", "x", "--logit-bias", "dragon"], "--logit-bias"),
        (["generate", "x", "--n-head", "3"], "4 heads"),
        (["generate", "--prompts-file", "/nowhere/at/all"], "/nowhere/at/all"),
        (["generate", "x", "--replay", "x.json"], "there is no PROMPT"),
        (["generate", "--replay", "x.json", "-t", "0"], "--replay and --temperature"),
        (["generate", "x", "--explain", "--save", "/nowhere/at/all.svg"], "there is no folder /nowhere/at"),
        (["generate", "-n"], "try 'gptcli generate --help'"),
        (["bench", "--contexts", "a"], "1,100,1000"),
    ],
)
def test_mistakes_are_one_line_on_stderr(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["models"]])
def test_without_arguments_the_help_is_all_that_is_said(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stderr) == (2, "")
    assert "Usage: " in done.stdout


@pytest.mark.parametrize("arguments", [["trace", "A"], ["--version", "--verbose"]])
def test_without_torch_what_needs_it_says_so(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gptcli.checkpoint.weights.torch_loader")]:
        monkeypatch.delitem(sys.modules, name)  # it has imported torch already
    monkeypatch.setitem(sys.modules, "torch", None)
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: torch is not installed, and this needs it: pip install torch\n"


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["generate", "-n", "-1"], 2)])
def test_the_process_leaves_with_its_code_after_what_was_left_for_the_end(arguments: list[str], code: int) -> None:
    script = (
        "import atexit, sys; from gptcli.__main__ import run\n"
        "atexit.register(print, 'the end'); sys.argv[0] = 'gptcli'; run(); print('not here')"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "the end"
    assert "Traceback" not in done.stderr


def test_a_name_that_no_file_can_have() -> None:
    done = CliRunner().invoke(app, ["generate", "A", "--prompts-file", "a\ud800b"])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: no file can have the name a\\ud800b")


def test_version() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"gptcli {__version__}\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", [["params", "gpt3"], ["analogy", "king-man+woman"], ["generate", "--help"]])
def test_a_reader_that_goes_away_ends_it_quietly(command: list[str]) -> None:
    script = f"{sys.executable} -m gptcli {' '.join(command)} | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0

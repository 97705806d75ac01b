"""``gptcli --version``, the exit codes and the hints at what was meant."""

import platform
import re
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import gptcli
from gptcli.cli.app import app
from tests.conftest import Run


def test_version_is_one_line_and_needs_no_torch(run_gptcli: Run) -> None:
    done = run_gptcli("--version", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert (done.returncode, done.stdout.decode()) == (0, f"gptcli {gptcli.__version__}\n")
    imported = {line.split("|")[-1].strip() for line in done.stderr.decode().splitlines()}
    assert "typer" in imported
    assert not imported & {"torch", "numpy", "huggingface_hub"}


@pytest.mark.parametrize("arguments", [("--version", "--verbose"), ("--verbose", "--version")])
def test_verbose_tells_the_facts(arguments: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0
    facts = dict(re.findall(r"(?m)^(\w+) +(.*)$", done.stdout))
    assert facts["gptcli"].startswith(gptcli.__version__)
    assert facts["python"] == f"{platform.python_version()} ({sys.executable})"
    assert facts["torch"] == torch.__version__
    assert facts["threads"] == str(torch.get_num_threads())
    assert facts["device"].split()[0] in ("cpu", "cuda", "mps")
    assert facts["dtype"] in ("float32", "bfloat16")
    assert re.fullmatch(r"yes \(\w.*\)|no: the engine in C .+", facts["native"])
    assert Path(facts["models"]).is_absolute()


def test_verbose_alone_is_a_mistake() -> None:
    for arguments in (["--verbose"], ["--verbose", "params"]):
        done = CliRunner().invoke(app, arguments)
        assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("genrate", "x"), "generate"),
        (("models", "lst"), "list"),
        (("generate", "--temprature", "1"), "--temperature"),
        (("--vresion",), "--version"),
        (("generate", "--device", "cdua"), "cuda"),
        (("generate", "-m", "talse", "x"), "tales"),
    ],
)
def test_what_was_meant_is_named(arguments: tuple[str, ...], meant: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert meant in done.stderr
    assert "Value error" not in done.stderr


def test_exit_codes_are_documented() -> None:
    for arguments in (["--help"], ["-h"]):
        text = " ".join(CliRunner().invoke(app, arguments).stdout.split())
        assert "0 done, 1 failed, 2 a mistake in the command or its input, 130 interrupted" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str) -> None:
    from gptcli.cli.completion import files

    done = CliRunner().invoke(app, ["--show-completion", shell])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout in files(app).values()
    assert CliRunner().invoke(app, ["--show-completion", "tcsh"]).exit_code == 2

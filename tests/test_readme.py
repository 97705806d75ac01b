"""The README's commands run, one by one, as they stand there, and print what stands there below them.

``python -m tests.test_readme`` writes the true outputs into the README.
"""

import doctest
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
# The Python whose gptcli is tried; another than this one has it installed.
PYTHON = os.environ.get("GPTCLI_README_PYTHON", sys.executable)
README = (ROOT / "README.md").read_text(encoding="utf-8")
# A command, and the lines up to the next one or the end of its block.
_EXAMPLE = re.compile(r"^\$ (?P<command>.+)\n(?P<output>(?:(?!\$ |```).*\n)*)", flags=re.MULTILINE)


class Example(NamedTuple):
    """A command of the README, and what stands below it; "" where that is left out."""

    command: str
    output: str


EXAMPLES = [Example(**found.groupdict()) for found in _EXAMPLE.finditer(README)]


def run(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line of the README in an empty folder, with this gptcli."""
    tool = f"{shlex.quote(PYTHON)} -m gptcli"
    line = re.sub(r"(?<!-m )\bgptcli (?=[a-z-])", lambda _: f"{tool} ", command)
    line = re.sub(r"\btorchrun ", lambda _: f"{shlex.quote(PYTHON)} -m torch.distributed.run ", line)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GPTCLI_", "FORCE_COLOR"))}
    here = {"PYTHONPATH": str(ROOT)} if sys.executable == PYTHON else {}
    # A cache of its own: `models show` tells what is kept of a model.
    environment = {**plain, **here, "COLUMNS": "80", "GPTCLI_CACHE": str(folder / ".cache")}
    shell = ["bash", "-eo", "pipefail", "-c", line]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def shown(output: str) -> str:
    """As it stands in a file: no blanks at the ends of lines, no empty lines at either end."""
    return "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")


def test_every_subcommand_is_shown() -> None:
    from gptcli.cli.app import app
    from gptcli.cli.completion.outline import outline

    names = {command.words[0] for command in outline(app).commands}
    used = {found for example in EXAMPLES for found in re.findall(r"\bgptcli ([a-z]+)", example.command)}
    assert names <= used


def test_every_subcommand_has_its_output_shown() -> None:
    from gptcli.cli.app import app
    from gptcli.cli.completion.outline import outline

    names = {command.words[0] for command in outline(app).commands} - {"bench"}  # other figures each time
    assert names <= {example.command.split("gptcli ", 1)[1].split()[0] for example in EXAMPLES if example.output}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.command)
def test_command_of_the_readme(example: Example, tmp_path: Path) -> None:
    done = run(example.command, tmp_path)
    # head ends a pipe as soon as it has what it wants; that is no failure of what stands before it.
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
    if example.output:
        assert shown(done.stdout) == shown(example.output), "if this is right: python -m tests.test_readme"


def test_python_of_the_readme() -> None:
    blocks = re.findall(r"^```pycon\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        examples = doctest.DocTestParser().get_doctest(block, {}, f"README, block {number}", "README.md", 0)
        runner = doctest.DocTestRunner()
        assert len(examples.examples) > 1
        assert runner.run(examples).failed == 0


def test_pictures_were_saved_by_the_tool() -> None:
    """In light and in dark, by the command that stands below them."""
    pictures = re.findall(r"src(?:set)?=\"([^\"]+\.svg)\"", README)
    assert len(pictures) == 4
    for picture in pictures:
        title = ElementTree.parse(ROOT / picture).getroot().findtext("{http://www.w3.org/2000/svg}title")
        assert f"`{title} --save " in README


def test_files_that_are_referred_to_are_there() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / link).exists(), link


def test_set_up_commands_are_one_line_each() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert block.count("\n") == 1
    run, test = blocks
    assert run.rstrip().endswith('gptcli generate "Once upon a time there was a"')
    assert test.rstrip().endswith("pytest")


def refreshed(readme: str) -> str:
    """The README with the true output below each command that has one."""

    def replaced(found: re.Match[str]) -> str:
        if not found["output"]:
            return found[0]
        with tempfile.TemporaryDirectory() as folder:
            done = run(found["command"], Path(folder))
        assert done.returncode == 0, done.stderr
        return f"$ {found['command']}\n{shown(done.stdout)}\n" + ("\n" if found["output"].endswith("\n\n") else "")

    return _EXAMPLE.sub(replaced, readme)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(refreshed(README), encoding="utf-8")

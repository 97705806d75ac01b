"""The README's commands run, one by one, as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", README, flags=re.MULTILINE)


def test_every_subcommand_is_shown() -> None:
    from gptcli.cli import app

    names = {
        command.name or getattr(command.callback, "__name__", "")
        for command in app.registered_commands
        if not command.hidden
    }
    names |= {group.name for group in app.registered_groups if group.name}
    shown = {command.split("gptcli ", 1)[1].split()[0] for command in COMMANDS}
    assert names == shown


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_readme(command: str, tmp_path: Path) -> None:
    tool = f"{shlex.quote(sys.executable)} -m gptcli"
    line = re.sub(r"(?<!-m )\bgptcli (?=[a-z])", lambda _: f"{tool} ", command)
    line = re.sub(r"\btorchrun ", lambda _: f"{shlex.quote(sys.executable)} -m torch.distributed.run ", line)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", line],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


def test_set_up_commands_are_one_line_each() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert block.count("\n") == 1
    run, test = blocks
    assert run.rstrip().endswith('gptcli generate "Once upon a time there was a"')
    assert test.rstrip().endswith("pytest")

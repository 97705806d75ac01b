"""What every command that looks inside has in common: --json, and --save in each of its forms, at any width."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from gptcli.cli.app import app

PROMPT = "The king took his crown and the queen took her"
COMMANDS: dict[str, tuple[str, ...]] = {
    "explain": ("generate", "Once upon a time", "--explain", "-n", "6", "--seed", "1"),
    "logits": ("logits", PROMPT, "-t", "0.5,1"),
    "score": ("score", PROMPT),
    "similarity": ("similarity", "--in-context", "a fashion [model]", "the [mole] dug", "--neighbors", "2"),
    "map": ("map", "man->woman", "king->queen", "--neighbors", "2"),
    "attention": ("attention", PROMPT, "--layer", "1-2"),
    "head": ("attention", PROMPT, "--layer", "4", "--head", "1", "--columns"),
    "scores": ("attention", PROMPT, "--layer", "2", "--scores"),
    "lens": ("lens", PROMPT, "--sublayers", "--token", "queen", "--attribution"),
    "trace": ("trace", PROMPT, "--layer", "1", "--head", "1"),
    "ablate": ("ablate", PROMPT),
    "patch": ("patch", PROMPT, "The queen took his crown and the queen took her"),
    "config": ("trace", "--config", "gpt3"),
    "tour": ("tour", "--stop", "2"),
    "chat": ("chat", "--seed", "1", "-n", "5"),
}


def run(name: str, *more: str) -> Any:
    done = CliRunner().invoke(app, [*COMMANDS[name], *more], input="Who are you?\n" if name == "chat" else None)
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["svg", "html", "txt"])
@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_printed_and_a_picture_saved(name: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"picture.{suffix}"
    assert json.loads(run(name, "--json", "--save", str(file)).stdout)
    saved = file.read_text(encoding="utf-8")
    if suffix == "txt":
        assert len(saved.split()) > 5
        assert "\x1b" not in saved
    elif suffix == "svg":
        assert len("".join(ElementTree.fromstring(saved).itertext()).split()) > 5
        assert "@font-face" not in saved
    else:
        assert 'name="viewport"' in saved
        assert "default-src 'none'" in saved  # the browser holds it to asking for nothing
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)|url\((?!#)|@import", saved)
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("explain", "chat")])
def test_no_line_is_wider_than_the_terminal(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """(A chat and the rows of --explain in a pipe are lines of their own; the terminal's are in tests/show.)"""
    monkeypatch.setenv("COLUMNS", str(width))
    typed = [line for line in run(name).stdout.splitlines() if not line.startswith("$ ")]
    assert max(map(cell_len, typed)) <= width

"""The command without a terminal: refused in one line, and pictures."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gptcli.cli.app import app
from tests.explore.conftest import TEXT


def test_no_terminal_is_refused() -> None:
    done = CliRunner().invoke(app, ["explore", TEXT])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: explore needs a terminal to draw on, and stdout is not one")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("suffix", [".txt", ".svg"])
def test_the_first_screen_as_a_picture(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "26")
    path = tmp_path / f"screen{suffix}"
    done = CliRunner().invoke(app, ["explore", f"{TEXT} <b>", "--save", str(path), "--device", "cpu"])
    assert (done.exit_code, done.stderr) == (0, f"saved {path}\n")
    text = path.read_text()
    if suffix == ".txt":
        lines = text.split("\n")
        assert len(lines) == 27
        assert max(map(len, lines)) <= 90
        assert f"{TEXT}·<b>" in text.replace(" <", "·<") or TEXT.replace(" ", "·") in text
    else:
        assert text.startswith("<svg")
        assert "<b>" not in text


def test_settings_of_sampling_are_the_first_ones(drive: Any) -> None:
    from gptcli.sampling.settings import Sampling

    async def steps(it: Any) -> None:
        assert it.screen._answer.distribution.kept == 3
        assert "cut" not in it.lines[0]
        assert it.shown.count("top-k") >= 2  # the heading, and on candidates that are cut

    drive(steps, sampling=Sampling(temperature=0.5, top_k=3))

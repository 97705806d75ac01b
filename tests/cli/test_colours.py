"""--color and --theme, and what the environment says without them."""

import re

import pytest
from typer.testing import CliRunner, Result

from gptcli.cli.app import app
from gptcli.show.blocks import palette
from gptcli.show.blocks.palette import DARK, LIGHT
from gptcli.show.terminal.console import stdout_console

TABLE = ["analogy", "king-man+woman", "--top", "2"]


def run(*arguments: str, **environment: str | None) -> Result:
    done = CliRunner().invoke(app, arguments, env={"TERM": "xterm-256color", "COLORTERM": "truecolor", **environment})
    assert done.exit_code == 0, done.output
    return done


def coloured(text: str, shade: str) -> bool:
    """Whether something has this colour, among 16 million."""
    red, green, blue = (int(shade[i : i + 2], 16) for i in (1, 3, 5))
    return f"8;2;{red};{green};{blue}" in text


@pytest.mark.parametrize(
    ("options", "environment", "colours"),
    [
        ([], {}, False),  # this is no terminal
        (["--color", "always"], {}, True),
        (["--color=always"], {"NO_COLOR": "1", "TERM": "dumb"}, True),
        (["--color", "auto"], {"FORCE_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "TERM": ""}, True),
        ([], {"CLICOLOR_FORCE": "1"}, True),
        ([], {"CLICOLOR_FORCE": "0"}, False),
        ([], {"CLICOLOR_FORCE": "1", "CLICOLOR": "0"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
    ],
)
def test_what_decides_about_colours(options: list[str], environment: dict[str, str], colours: bool) -> None:
    printed = run(*options, *TABLE, **environment).stdout
    assert bool(re.search(r"\x1b\[[0-9;]*[34]8;", printed)) == colours
    assert "queen" in printed


def test_clicolor_turns_them_off_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOLOR", "0")
    assert stdout_console().no_color
    monkeypatch.setenv("CLICOLOR", "1")
    assert not stdout_console().no_color


@pytest.mark.parametrize(
    ("options", "environment", "theme"),
    [
        (["--theme", "light"], {}, LIGHT),
        (["--theme=dark"], {"GPTCLI_THEME": "light"}, DARK),
        ([], {"GPTCLI_THEME": "light"}, LIGHT),
        ([], {"GPTCLI_THEME": None, "COLORFGBG": "0;15"}, LIGHT),
        (["--theme", "auto"], {"COLORFGBG": "15;0"}, DARK),
    ],
)
def test_what_decides_about_the_theme(
    options: list[str], environment: dict[str, str | None], theme: palette.Theme
) -> None:
    printed = run("--color", "always", *options, *TABLE, **environment).stdout
    assert [coloured(printed, each.bar) for each in (DARK, LIGHT)] == [theme is DARK, theme is LIGHT]
    assert palette.current() is DARK  # the next command in this process begins afresh


@pytest.mark.parametrize("arguments", [[*TABLE, "--theme", "light", "--color=always"], ["--color", "always", *TABLE]])
def test_they_may_stand_behind_the_command(arguments: list[str]) -> None:
    printed = run(*arguments).stdout
    assert coloured(printed, LIGHT.bar if "light" in arguments else DARK.bar)


def test_after_two_dashes_they_are_text() -> None:
    assert "·--" in run("tokenize", "--", "a --color").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["logits", "--help"]])
def test_the_help_obeys_too(arguments: list[str]) -> None:
    assert "\x1b[" not in run("--color", "never", *arguments, FORCE_COLOR="1").stdout

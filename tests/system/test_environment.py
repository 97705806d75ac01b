"""Numbers in the environment: what is absurd is brought into range, and what is no number is left aside."""

import pytest

from gptcli.system.environment import MOST_COLUMNS, MOST_LINES, keep_in_range
from tests.conftest import Run


@pytest.mark.parametrize("name", ["COLUMNS", "TERMINAL_WIDTH", "LINES"])
@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("80", "80"),
        (" 120 ", "120"),
        ("1000000000", "10000"),
        ("9" * 5000, "10000"),
        ("0", None),
        ("000", None),
        ("-5", None),
        ("1e3", None),
        ("abc", None),
        ("²", None),
        ("٣", None),
        ("", None),
    ],
)
def test_the_size_of_a_terminal(name: str, given: str, left: str | None) -> None:
    assert MOST_COLUMNS == MOST_LINES == 10_000
    environment = {name: given, "OTHER": "x"}
    keep_in_range(environment)
    assert environment == {"OTHER": "x"} | ({} if left is None else {name: left})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["COLUMNS", "TERMINAL_WIDTH"])
def test_the_help_is_no_wider_than_a_line_can_be(run_gptcli: Run, name: str) -> None:
    done = run_gptcli("--help", env={name: "1000000000"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert max(map(len, done.stdout.decode().splitlines())) <= MOST_COLUMNS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "arguments"),
    [
        ("TERMINAL_WIDTH", "abc", ["--help"]),
        ("COLUMNS", "²", ["similarity", "king", "queen"]),
        ("COLUMNS", "0", ["similarity", "king", "queen", "man"]),
    ],
)
def test_a_number_that_is_none_keeps_nothing_from_running(
    run_gptcli: Run, name: str, value: str, arguments: list[str]
) -> None:
    done = run_gptcli(*arguments, env={name: value})
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stderr.count(b"\n") == 0

"""A filter is one entry in one table: a program that adds one has its field, its check, its option and its effect."""

import os
import subprocess
import sys

import pytest

# Top-a keeps what has at least a times the square of the largest probability.
PROGRAM = """
import sys
from gptcli.sampling import filters

def keep_top_a(logits, a, seen):
    import numpy as np
    from gptcli.sampling.softmax import softmax

    probabilities = softmax(logits)
    return np.where(probabilities >= a * probabilities.max() ** 2, logits, -np.inf)

filters.FILTERS = (*filters.FILTERS, filters.Filter(
    "top-a", neutral=0.0, apply=keep_top_a, holds=lambda a: 0 <= a <= 1, range="from 0 to 1",
    help="Keep what has this share of the square of the best one.", metavar="A",
))

from gptcli.__main__ import run
sys.argv = ["gptcli", *sys.argv[1:]]
run()
"""


def gptcli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": "100"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_the_help_lists_it_last() -> None:
    shown = gptcli("generate", "--help").stdout
    assert "Keep what has this share of the square of the best one." in " ".join(shown.replace("│", " ").split())
    assert shown.index("--typical-p") < shown.index("--top-a")


def test_its_range_is_checked() -> None:
    done = gptcli("generate", "Once", "--top-a", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --top-a 2.0: it must be from 0 to 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("where", [["--json"], ["--explain", "--json"]])
def test_it_takes_part_in_the_choice(where: list[str]) -> None:
    """At a = 1 and a best one of probability p, what has less than p squared goes; with top-k off nothing else does."""
    asked = ["generate", "The king", "-n", "12", "--seed", "3", "-k", "0", "-t", "2", *where]
    free, cut = gptcli(*asked), gptcli(*asked, "--top-a", "1")
    assert (free.returncode, cut.returncode) == (0, 0), cut.stderr
    assert free.stdout != cut.stdout
    assert ("top-a" in cut.stdout) == ("--explain" in where)

"""Times that must hold, each against something else on the same machine, in turn: not a part of the suite.

    python -m pytest tests/benchmarks/bench_limits.py        (or: make limits)

On a machine that is busy, or changes its speed, they may fail though nothing is wrong.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gptcli.embedding.load import open_embedding
from gptcli.embedding.spelling import nearest_spellings
from gptcli.embedding.words import WordList
from gptcli.model.config import GPTConfig
from gptcli.tokenizer import encode_chunks, gpt2_tokenizer
from tests.cli.test_completion import Fish, Shell, shell
from tests.commands.test_params import sparse
from tests.commands.test_tokenize import CAPES, stories
from tests.conftest import command

__all__ = ["shell"]  # a fixture


def processor_seconds(action: Callable[[], object]) -> float:
    """Of this process; what else runs on the machine does not count."""
    start = time.process_time()
    action()
    return time.process_time() - start


def seconds_of(arguments: list[str], environment: dict[str, str]) -> float:
    """Processor seconds of a process."""
    before = os.times()
    subprocess.run(arguments, env=environment, capture_output=True, timeout=60, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize(
    ("ours", "theirs", "times"),
    [
        (["--help"], "import torch", 0.25),
        (["tokenize", CAPES], "import tiktoken, typer, rich.table\ndef no() -> None: pass\ntyper.run(no)", 4),
        (["analogy", "king-man+woman"], "import numpy, typer, rich.table", 5),
    ],
    ids=["help", "tokenize", "analogy"],
)
def test_whole_processes(ours: list[str], theirs: str, times: float, child_environment: dict[str, str]) -> None:
    environment = child_environment | {"PYTHONWARNINGS": "default"}
    bare = [sys.executable, "-c", theirs]
    pairs = [(seconds_of(command(ours), environment), seconds_of(bare, environment)) for _ in range(5)]
    assert min(own for own, _ in pairs) < times * min(other for _, other in pairs)


def test_all_ablations_of_a_text_take_little_beside_torch_itself(child_environment: dict[str, str]) -> None:
    text = "One day, Sara met Ben and Tom. Ben said hello to Sara. Sara said hello to"
    torch = [sys.executable, "-c", "import torch"]
    pairs = [
        (seconds_of(command(["ablate", text]), child_environment), seconds_of(torch, child_environment))
        for _ in range(5)
    ]
    assert min(own for own, _ in pairs) < 2.5 * min(other for _, other in pairs)


def test_streaming_takes_no_longer_than_the_engine_alone() -> None:
    text, tokenizer = stories(2_000_000), gpt2_tokenizer()
    parts = [text[start : start + 131_072] for start in range(0, len(text), 131_072)]
    tokenizer.encode("")
    ratios = []
    for _ in range(7):
        alone = processor_seconds(lambda: tokenizer._encoding.encode_ordinary(text))
        ratios.append(processor_seconds(lambda: sum(map(len, encode_chunks(tokenizer, parts)))) / alone)
    assert statistics.median(ratios) < 1.2, ratios


def test_a_hundred_gigabytes_are_counted_as_fast_as_a_published_size(
    tmp_path: Path, child_environment: dict[str, str]
) -> None:
    sparse(tmp_path, GPTConfig(n_embd=8192, n_layer=32, n_head=64))
    taken = {name: seconds_of(command(["params", name]), child_environment) for name in ("gpt2", str(tmp_path))}
    assert taken[str(tmp_path)] < 5 * taken["gpt2"]


def test_a_large_vocabulary_is_searched_in_a_moment() -> None:
    vocabulary = open_embedding("glove-50d").vocabulary
    assert isinstance(vocabulary, WordList)
    words = vocabulary.all_words()
    assert processor_seconds(lambda: nearest_spellings("misissippi", words)) < 0.5


@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid here")
def test_tab_answers_in_under_three_tenths_of_a_second(shell: Shell | Fish) -> None:
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        shell.complete("gptcli generate --model ow")
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.3

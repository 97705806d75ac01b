"""``gptcli bench``: what it measures is what it says, whatever the machine is doing meanwhile."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.errors import InputError
from gptcli.measuring import speed as benchmark
from gptcli.model.config import GPTConfig
from gptcli.model.native import available
from tests.conftest import Run
from tests.tales import LAYERS
from tests.toy_engine import ToyEngine

# The bundled model: layers of 12 C^2 weights, and the unembedding.
WEIGHTS = 50257 * 256 + LAYERS * 12 * 256**2


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few runs as there may be, over little memory: no figure of a test means anything."""
    monkeypatch.setattr(benchmark, "_ENOUGH_S", 0.0)
    monkeypatch.setattr(benchmark, "_BANDWIDTH_BYTES", 1 << 20)
    monkeypatch.setattr(benchmark, "busy_processors", lambda: 0.25)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bench", *arguments], env={"COLUMNS": "80"})


def answer(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_limits_and_fractions_follow_from_what_was_measured() -> None:
    got = answer("--contexts", "300,4")
    assert [row["context"] for row in got["decoding"]] == [4, 300]
    for row in got["decoding"]:
        assert row["limit"] == pytest.approx(got["bandwidth"] / row["bytes_per_step"])
        assert row["fraction"] == pytest.approx(row["tokens_per_s"]["median"] / row["limit"])
        # Keys and values in float32, of layers of width 256.
        assert row["bytes_per_step"] - got["weight_bytes"] == 2 * LAYERS * 256 * 4 * row["context"]
    assert [row["tokens"] for row in got["reading"]] == [32, 512]
    for row in [*got["decoding"], *got["reading"]]:
        rate = row["tokens_per_s"]
        assert 0 < rate["low"] <= rate["median"] <= rate["high"]
        assert rate["runs"] >= 7
    assert got["load_s"] > 0
    assert (got["model"], got["device"], got["busy"]) == ("tales", "cpu", 0.25)


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="the engine in C was not built")
@pytest.mark.parametrize(
    ("options", "weights", "least", "most"),
    [
        ([], "float16", 2.0, 2.0),  # as they are stored
        (["--dtype", "bfloat16"], "bfloat16", 2.0, 2.0),
        (["--quantize", "int8"], "int8", 1.0, 1.03),  # and a scale a row
        (["--quantize", "int4"], "int4", 0.9, 0.95),  # all but the MLPs in 8 bits
    ],
)
def test_the_engine_in_c_reads_so_many_bytes_a_step(
    options: list[str], weights: str, least: float, most: float
) -> None:
    got = answer("--contexts", "4", *options)
    assert got["engine"].startswith("C (")
    assert got["weights"] == weights
    assert least * WEIGHTS <= got["weight_bytes"] <= most * WEIGHTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "weights", "itemsize"),
    [
        ([], "float32", 4),
        (["--dtype", "bfloat16"], "bfloat16", 2),
        (["--quantize", "int8"], "float32, rounded to int8", 4),
    ],
)
def test_without_it_pytorch_is_measured(
    monkeypatch: pytest.MonkeyPatch, options: list[str], weights: str, itemsize: int
) -> None:
    monkeypatch.setenv("GPTCLI_NATIVE", "0")
    got = answer("--contexts", "4", "--device", "cpu", *options)
    vectors = LAYERS * 13 * 256 + 2 * 256  # biases and layer norms
    assert (got["engine"], got["weights"]) == ("PyTorch", weights)
    why = "the engine in C is switched off (GPTCLI_NATIVE=0)"
    assert got["why_not_c"] == why
    assert why in run("--contexts", "4", "--device", "cpu", *options).stdout
    assert got["weight_bytes"] == itemsize * (WEIGHTS + vectors)


def test_an_embedding_that_is_not_the_unembedding_is_not_read_whole() -> None:
    from gptcli.model.gpt import GPT
    from gptcli.model.torch_engine import TorchEngine

    tied, apart = (
        GPT(GPTConfig(vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=1, tied=tied))
        for tied in (True, False)
    )
    assert TorchEngine(tied).facts().weight_bytes == TorchEngine(apart).facts().weight_bytes


class Slow(ToyEngine):
    """An engine that takes at least ten milliseconds a step and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(np.eye(100), n_positions=64)
        self.length = self.capacity = 0
        self.asked: list[int] = []

    def prefill(self, rows: Sequence[Sequence[int]], capacity: int) -> NDArray[np.float32]:
        self.length, self.capacity = len(rows[0]), capacity
        return self._logits()

    def step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(0.01)
        self.asked += ids
        self.length += 1
        return self._logits()

    def _logits(self) -> NDArray[np.float32]:
        return np.eye(100, dtype=np.float32)[[self.length]]


@pytest.mark.parametrize("context", [1, 7, 20, 57])
def test_a_rate_is_steps_a_second_around_the_context(context: int) -> None:
    engine = Slow()
    rate = benchmark.decode_rate(engine, [0] * 64, context)
    assert rate.high < 100
    assert rate.runs == len(engine.asked) >= 7
    start = engine.length - rate.runs
    assert engine.asked == list(range(start, engine.length))  # the likeliest token each time
    assert engine.length <= engine.capacity <= 64


@pytest.mark.slow
def test_threads_are_what_was_asked_for(run_gptcli: Run) -> None:
    done = run_gptcli("bench", "--threads", "1", "--contexts", "4", "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["threads"] == 1


@pytest.mark.slow
def test_the_picture_and_the_warning(tmp_path: Path) -> None:
    done = run("--contexts", "4,100", "--save", str(tmp_path / "bench.svg"))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "tales" in lines[0]
    assert "thread" in lines[0]
    assert [line.split()[0] for line in lines if line.strip()[:1].isdecimal()] == ["4", "100", "32", "512"]
    assert "peak memory" in done.stdout
    assert "other processes use 25%" in done.stderr
    assert all(len(line) <= 80 for line in lines)
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--contexts", "0"], "--contexts 0: from 1 to 505"),
        (["--contexts", "16,506"], "--contexts 506: from 1 to 505"),
        (["--contexts", "1.5"], "whole numbers"),
        (["--contexts", "nan"], "whole numbers"),
        (["--contexts", "many"], "write a number"),
        (["--threads", "0"], "--threads"),
        (["--threads", "1000000"], "processors"),
        (["nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_one_line(options: list[str], message: str) -> None:
    done = run(*options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_short_context_still_has_a_length_to_measure_at() -> None:
    assert benchmark.contexts_for(None, 1024) == [16, 256, 1000]
    assert benchmark.contexts_for(None, 512) == [16, 256]
    assert benchmark.contexts_for(None, 12) == [1]
    with pytest.raises(InputError, match="from 1 to 5"):
        benchmark.contexts_for([6], 12)


def test_bandwidth_is_of_the_right_order() -> None:
    assert 1e8 < benchmark.read_bandwidth(2) < 1e13

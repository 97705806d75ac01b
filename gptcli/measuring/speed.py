"""The speed of a model on this machine: tokens a second, next to the limit that its memory sets.

To write one token, a model reads every weight once, and the keys and values of the context so far. So the time is
at least those bytes divided by the memory's read bandwidth, which is measured as well.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.model.engine import Engine, EngineFacts
from gptcli.model.native import library
from gptcli.system.answer import row_of
from gptcli.system.peak_memory import peak_memory
from gptcli.system.threads import usable_processors

CONTEXTS = (16, 256, 1000)
PROMPTS = (32, 512)
# If other processes use more of the processors than this, no figure is reliable.
QUIET = 0.05
# The fewest runs for a median; more are made until this many seconds have passed.
_FEWEST, _MOST, _ENOUGH_S = 7, 101, 3.0
# Much more than any cache holds, or the cache's bandwidth would be measured. (Server caches of 500 MB are shared.)
_BANDWIDTH_BYTES = 1 << 29


@dataclass(frozen=True)
class Rate:
    """The rate of something repeated.

    Attributes:
        median: per second.
        low: the lower quartile, per second.
        high: the upper quartile, per second.
        runs: how many times.
    """

    median: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True)
class Decoding:
    """Writing one token after another.

    Attributes:
        context: tokens read before, in the middle of the measurement.
        tokens_per_s: steps of one text; the likeliest token is taken.
        bytes_per_step: weights, keys and values that one step reads, in bytes.
        limit: tokens/s at which the memory's bandwidth would be used up; None where it is not known.
        fraction: of that limit.
    """

    context: int
    tokens_per_s: Rate
    bytes_per_step: int
    limit: float | None
    fraction: float | None


@dataclass(frozen=True)
class Reading:
    """Reading a prompt.

    Attributes:
        tokens: its length, all read at once.
        tokens_per_s: tokens of it.
    """

    tokens: int
    tokens_per_s: Rate


@dataclass(frozen=True)
class Benchmark:
    """The result of ``gptcli bench``.

    Attributes:
        model: as the user named it.
        engine: its name, such as ``C (avx512)`` or ``PyTorch``.
        device: where it runs.
        weights: their format.
        threads: used.
        load_s: seconds to open and load it.
        weight_bytes: bytes of weights that one step reads.
        bandwidth: bytes/s that as many threads read from memory; None on a GPU.
        decoding: writing, after each context.
        reading: reading prompts.
        peak_memory: of this process, in bytes, before the bandwidth was measured; None: unknown.
        busy: share of the processors that others used; above a few percent, figures are unreliable. None: unknown.
        why_not_c: why the engine in C did not run it (see ``EngineFacts``).
    """

    schema: ClassVar[str] = "gptcli.bench/1"

    model: str
    engine: str
    device: str
    weights: str
    threads: int
    load_s: float
    weight_bytes: int
    bandwidth: float | None
    decoding: list[Decoding]
    reading: list[Reading]
    peak_memory: int | None
    busy: float | None
    why_not_c: str | None = None

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each measurement: writing after a context, and reading so many tokens."""
        for each in self.decoding:
            yield {"what": "writing", "tokens": each.context, **_without(row_of(each), "context")}
        spare = dict.fromkeys(("bytes_per_step", "limit", "fraction"))
        for read in self.reading:
            yield {"what": "reading", "tokens": read.tokens, **_without(row_of(read), "tokens"), **spare}


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def use_threads(count: int | None) -> None:
    """Set the number of threads; call it before the engine or torch is loaded. None: one a core.

    Raises:
        InputError: there are fewer processors.
    """
    processors = usable_processors()
    if count is not None and count > processors:
        raise InputError(f"--threads {count}: more than the processors that this process may use ({processors})")
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)


def contexts_for(wanted: Sequence[int] | None, n_positions: int) -> list[int]:
    """The context lengths to measure at: the ones asked for, or those of ``CONTEXTS`` that the model has.

    Raises:
        InputError: the context after one of them is too short for the steps.
    """
    longest = n_positions - _FEWEST
    if longest < 1:
        raise InputError(f"a context of {n_positions} is too short to measure steps: it takes {_FEWEST + 1} at least")
    for context in wanted or ():
        if not 1 <= context <= longest:
            raise InputError(
                f"--contexts {context}: from 1 to {longest:,} for this model, whose context is {n_positions:,}"
            )
    return sorted(set(wanted)) if wanted else [context for context in CONTEXTS if context <= longest] or [1]


def benchmark(
    checkpoint: OpenCheckpoint, contexts: Sequence[int], *, busy: float | None, progress: Callable[[str], None]
) -> Benchmark:
    """Measure a model.

    Args:
        checkpoint: opened to run.
        contexts: from ``contexts_for``.
        busy: from ``busy_processors``, called before anything was loaded.
        progress: called with the name of the next step.
    """
    engine = checkpoint.engine
    facts = engine.facts()
    ids = np.random.default_rng(0).integers(0, checkpoint.n_vocab, engine.n_positions).tolist()
    engine.prefill([ids[:8]], min(16, engine.n_positions))  # warm-up
    reading = []
    for tokens in sorted({min(prompt, engine.n_positions) for prompt in PROMPTS}):
        progress(f"reading {tokens} tokens")
        reading.append(Reading(tokens, _rate(_timed(engine.prefill, [ids[:tokens]], tokens), tokens)))
    steps = {}
    for context in contexts:
        progress(f"writing after {context} tokens")
        steps[context] = decode_rate(engine, ids, context)
    peak = peak_memory()
    progress("the memory's bandwidth")
    bandwidth = read_bandwidth(facts.threads) if facts.device == "cpu" else None
    config = checkpoint.config
    decoding = []
    for context, rate in steps.items():
        nbytes = facts.weight_bytes + context * config.cached_per_token * facts.cache_itemsize
        limit = bandwidth / nbytes if bandwidth else None
        decoding.append(Decoding(context, rate, nbytes, limit, rate.median / limit if limit else None))
    return Benchmark(
        checkpoint.name,
        engine=facts.name,
        device=facts.device,
        weights=_weights(checkpoint, facts),
        threads=facts.threads,
        load_s=checkpoint.load_s,
        weight_bytes=facts.weight_bytes,
        bandwidth=bandwidth,
        decoding=decoding,
        reading=reading,
        peak_memory=peak,
        busy=busy,
        why_not_c=facts.why_not_c,
    )


def decode_rate(engine: Engine, ids: Sequence[int], context: int) -> Rate:
    """Steps a second of one text around a context length: each step takes the likeliest token.

    Args:
        engine: the model.
        ids: a prompt, at least as long as ``context``.
        context: tokens before the steps: at least 1, and seven less than the context at most.
    """
    most = min(_MOST, engine.n_positions - context, 2 * context if context > _FEWEST else _MOST)
    start = max(context - most // 2, 1)
    logits = engine.prefill([ids[:start]], min(start + most, engine.n_positions))

    def step() -> None:
        nonlocal logits
        logits = engine.step([int(logits[0].argmax())])

    return _rate(_timed(step, most=most), 1)


def read_bandwidth(threads: int) -> float:
    """Bytes/s that threads read from memory together: the best of several readings of half a gigabyte."""
    found = library.library()
    # It reads in three ways in turn, of which one is the fastest.
    if found is not None and (best := float(found.gptcli_bandwidth(threads, _BANDWIDTH_BYTES >> 20, 3 * _FEWEST))):
        return best
    numbers = np.ones(_BANDWIDTH_BYTES // 4, np.int32)
    parts = np.array_split(numbers, threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(2 * _FEWEST):
            started = time.perf_counter()
            list(pool.map(np.maximum.reduce, parts))  # numpy lets other threads run meanwhile
            best = min(best, time.perf_counter() - started)
    return numbers.nbytes / best


def busy_processors(seconds: float = 0.5) -> float | None:
    """The share of processor time that others use while this process sleeps; None without Linux's /proc."""
    before = _processor_time()
    time.sleep(seconds)
    after = _processor_time()
    if before is None or after is None or after[1] == before[1]:
        return None
    return 1.0 - (after[0] - before[0]) / (after[1] - before[1])


def _processor_time() -> tuple[int, int] | None:
    """(Idle, total) processor time so far, in the kernel's units; time stolen by other virtual machines is not idle."""
    try:
        numbers = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return numbers[3] + numbers[4], sum(numbers)


def _timed(run: Callable[..., Any], *arguments: Any, most: int = _MOST) -> list[float]:
    """Seconds of each run: seven runs, more where they are short."""
    seconds: list[float] = []
    while len(seconds) < most and (len(seconds) < _FEWEST or sum(seconds) < _ENOUGH_S):
        started = time.perf_counter()
        run(*arguments)
        seconds.append(time.perf_counter() - started)
    return seconds


def _rate(seconds: Iterable[float], amount: int) -> Rate:
    rates = [amount / second for second in seconds]
    low, median, high = statistics.quantiles(rates, n=4, method="inclusive")
    return Rate(median, low, high, len(rates))


def _weights(checkpoint: OpenCheckpoint, facts: EngineFacts) -> str:
    """The format of the weights; torch only rounds to 8 or 4 bits, and computes in its own precision."""
    kept = checkpoint.placement.quantize in ("none", facts.weights)
    return facts.weights if kept else f"{facts.weights}, rounded to {checkpoint.placement.quantize}"

"""Busy neighbours: how much the threads of the engine in C lose when other programs want the same processors.

Programs that only count are started, and `tales` runs with 1, 2, 4 and 16 threads asked for, in turn. The aim: several
threads are never slower than 1.3 times the best number, which may be one. With `--former FOLDER` (of another
libgptcli.so) that library runs as well, in the same turns and with as many threads as are asked for.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.environment import say
from tests.benchmarks.machine import Watch

NEIGHBOURS, THREADS = (0, 1, 2), (1, 2, 4, 16)
NEW, PROMPT = 300, 400
PATIENCE_S = 1.0  # for the tokens of one run: those of 16 threads that wait for one another take seconds each


@dataclass
class Shared:
    """One task with so many neighbours: milliseconds of each run, by which library it was and the threads asked for."""

    neighbours: int
    task: str
    milliseconds: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def worst(self, library: str) -> float:
        """Medians: the slowest of several threads, which is what people have, over the best number (one, perhaps)."""
        found = {threads: median(times) for (name, threads), times in self.milliseconds.items() if name == library}
        return max(time for threads, time in found.items() if threads > 1) / min(found.values())

    def libraries(self) -> list[str]:
        """Present, and former where there is one."""
        return list(dict.fromkeys(name for name, _ in self.milliseconds))


class Runner:
    """A process with so many threads that runs a task when it is told to."""

    def __init__(self, library: str, threads: int, folder: Path | None) -> None:
        self.library, self.threads = library, threads
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.bench_neighbours", *([str(folder)] if folder else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        )
        self.tasks: list[str] = self._answer()

    def run(self, task: str) -> float:
        """Milliseconds."""
        assert self._process.stdin is not None
        print(task, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def measure(former: Path | None, *, runs: int, watch: Watch) -> list[Shared]:
    """Every task with every number of neighbours.

    Args:
        former: the folder of a library to compare with.
        runs: rounds; in each, every library and number of threads runs once, in an order of its own.
        watch: looks between rounds, while there are no neighbours.
    """
    watch.spin()
    with ExitStack() as stack:
        runners = []
        for library, folder in (("present", None), *([("former", former)] if former else [])):
            for threads in THREADS:
                runners.append(Runner(library, threads, folder))
                stack.callback(runners[-1].stop)
        found = [Shared(count, task) for count in NEIGHBOURS for task in runners[0].tasks]
        order = random.Random(0)
        for number in range(runs):
            watch.pause()
            for shared in found:
                with _busy(shared.neighbours):
                    for runner in order.sample(runners, len(runners)):
                        times = shared.milliseconds.setdefault((runner.library, runner.threads), [])
                        times.append(runner.run(shared.task))
            say(f"neighbours: round {number + 1} of {runs}")
    for shared in found:
        shared.milliseconds = dict(
            sorted(shared.milliseconds.items(), key=lambda pair: (pair[0][0] != "present", pair[0]))
        )
    return found


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many programs that only count; the system decides where they run."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.1 if count else 0.0)
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _tasks() -> dict[str, Callable[[], float]]:
    """What is timed, each in milliseconds."""
    from gptcli.checkpoint.open import open_checkpoint
    from gptcli.checkpoint.weights.placement import Placement

    checkpoint = open_checkpoint("tales", Placement("cpu"), inside=False)
    short = checkpoint.tokenizer.encode("Once upon a time there was a")
    long = (short * PROMPT)[:PROMPT]

    def write(quantize: Any, rows: int) -> Callable[[], float]:
        engine = open_checkpoint("tales", Placement("cpu", quantize=quantize), inside=False).engine

        def run() -> float:
            logits = engine.prefill([short] * rows, len(short) + NEW)
            started = time.perf_counter()
            count = 0
            while count < NEW and time.perf_counter() - started < PATIENCE_S:
                logits = engine.step(logits.argmax(axis=1).tolist())
                count += 1
            return (time.perf_counter() - started) / count * 1e3

        return run

    def read() -> float:
        started = time.perf_counter()
        checkpoint.engine.prefill([long], PROMPT + 1)
        return (time.perf_counter() - started) * 1e3

    return {
        "a token": write("none", 1),
        "a token in int8": write("int8", 1),
        "a token in int4": write("int4", 1),
        "8 tokens at once": write("none", 8),
        f"a prompt of {PROMPT}": read,
    }


def _serve() -> None:
    if len(sys.argv) > 1:
        from gptcli.model.native import engine, library

        library._FOLDER = Path(sys.argv[1])
        threads = int(os.environ["OMP_NUM_THREADS"])
        vars(engine)["default_threads"] = lambda: threads
    tasks = _tasks()
    for run in tasks.values():
        run()
    print(json.dumps(list(tasks)), flush=True)
    for line in sys.stdin:
        print(tasks[line.strip()](), flush=True)


if __name__ == "__main__":
    _serve()

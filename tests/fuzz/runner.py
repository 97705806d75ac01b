"""Makes mutants and opens each in a worker process; what a user must never meet is kept.

    python -m tests.fuzz.runner [--first N] [--count N] [--jobs N]    (or: make fuzz)

goes on until Ctrl-C, or for ``--count`` mutants. A failing input is kept in ``tests/fuzz/failures/NUMBER/`` with what
happened in ``outcome.txt``, and the number alone makes it again: ``--first NUMBER --count 1``.
"""

import argparse
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutators import Mutant, make
from tests.fuzz.seeds import write_seeds
from tests.fuzz.worker import read_seeds

FAILURES = Path(__file__).parent / "failures"
# Real time, beside the processor time that the worker is held to: a worker that sleeps for ever is stuck too.
STUCK_SECONDS = 60


@dataclass
class Tally:
    """What came of the mutants.

    Attributes:
        kinds: how many of each kind were opened.
        ways: ``opened`` and ``refused``, over all the ways to open each.
        faults: mutant's number -> what must never happen.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.kinds.items()))
        ways = f"{self.ways['refused']:,} refusals, {self.ways['opened']:,} loads, {len(self.faults):,} faults"
        return f"{self.kinds.total():,} mutants ({kinds}): {ways}"


def fuzz(numbers: Iterable[int], folder: Path, jobs: int, tally: Tally) -> None:
    """Open the mutants of these numbers; ``tally`` grows meanwhile.

    Args:
        numbers: of the mutants.
        folder: for the seeds and the mutants.
        jobs: worker processes.
        tally: what came of them.
    """
    seeds = folder / "seeds"
    if not seeds.exists():
        write_seeds(seeds)
    source, lock = iter(numbers), threading.Lock()

    def shared() -> Iterator[int]:
        while True:
            with lock:
                number = next(source, None)
            if number is None:
                return
            yield number

    threads = [threading.Thread(target=_serve, args=(shared(), seeds, folder, tally, lock)) for _ in range(jobs)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join()


def _serve(numbers: Iterator[int], seeds: Path, folder: Path, tally: Tally, lock: threading.Lock) -> None:
    """Feed one worker after the other, a new one where the last one died."""
    number = next(numbers, None)
    while number is not None:
        with _start(seeds, folder) as worker:  # in the end, closes its pipes and waits for it
            answer: str | None = ""
            while number is not None and answer is not None:
                answer = _ask(worker, number)
                with lock:
                    _count(tally, number, answer, worker)
                number = next(numbers, None)
                if answer and json.loads(answer)["last"]:
                    break


def _count(tally: Tally, number: int, answer: str | None, worker: "subprocess.Popen[str]") -> None:
    if answer is None:
        tally.faults[number] = f"the worker ended with {worker.wait()} (-27: over its processor time)"
        return
    outcome = json.loads(answer)
    tally.kinds[outcome["kind"]] += 1
    tally.ways.update(opened=outcome["opened"], refused=outcome["refused"])
    if outcome["fault"]:
        tally.faults[number] = outcome["fault"]


def _start(seeds: Path, folder: Path) -> "subprocess.Popen[str]":
    scratch = tempfile.mkdtemp(dir=folder)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.worker", str(seeds), scratch],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env=environment,
        text=True,
    )


def _ask(worker: "subprocess.Popen[str]", number: int) -> str | None:
    """The worker's answer, or None where it died or had to."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    watch = threading.Timer(STUCK_SECONDS, worker.kill)
    watch.start()
    try:
        worker.stdin.write(f"{number}\n")
        worker.stdin.flush()
        return worker.stdout.readline() or None
    except BrokenPipeError:
        return None
    finally:
        watch.cancel()


def keep(number: int, fault: str, seeds: Path) -> Path:
    """Put a failing input where it can be looked at."""
    mutant: Mutant = make(number, read_seeds(seeds))
    place = FAILURES / str(number)
    mutant.write(place)
    (place / "outcome.txt").write_text(f"{mutant.kind} of {mutant.seed}\n{fault}\n")
    return place


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=None, help="number of the first mutant (default: drawn)")
    parser.add_argument("--count", type=int, default=None, help="how many (default: until Ctrl-C)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    first = secrets.randbits(40) if given.first is None else given.first
    total, known = Tally(), set[int]()
    with tempfile.TemporaryDirectory(prefix="gptcli-fuzz-") as folder:
        for start in itertools.count(first, 500):
            left = 500 if given.count is None else min(500, first + given.count - start)
            if left <= 0:
                break
            try:
                fuzz(range(start, start + left), Path(folder), given.jobs, total)
            except KeyboardInterrupt:
                break
            for number in sorted(total.faults.keys() - known):
                known.add(number)
                print(f"\n{keep(number, total.faults[number], Path(folder) / 'seeds')}\n{total.faults[number]}")
            print(f"from {first}: {total}", flush=True)
    sys.exit(1 if total.faults else 0)


if __name__ == "__main__":
    main()

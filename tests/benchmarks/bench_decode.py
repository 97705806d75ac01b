"""Tokens a second beside the peers: the same weights, prompt and threads, runs in turn.

For each way to keep the weights, every program that has it loads the model in a process of its own, and they are asked
one after another, again and again: a short prompt and one token, the same and many tokens, a long prompt and one token.
The first two give decoding, (N - 1) / (t_N - t_1); the last gives prefill, tokens / t. So what is measured is what each
program's own generating loop does, its choice of tokens included. CTranslate2, llama.cpp and, in 8 and 4 bits, gptcli
load a form of their own that was made beforehand. The memory's bandwidth is read in turn with them, and a decoding is
compared with the limit of its own round: where neighbours come and go, one minute gives more of both than the next.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from gptcli.measuring.speed import read_bandwidth
from tests.benchmarks.environment import ROOT, convert, model_folder, python_of, say
from tests.benchmarks.machine import Watch
from tests.benchmarks.neutral import shape_of
from tests.benchmarks.peers import LLAMA_PLAIN

WEIGHTS = ("float32", "float16", "int8", "int4")
_HAVE = {
    "gptcli": WEIGHTS,
    "ctranslate2": ("float32", "int8"),
    "llama.cpp": WEIGHTS,
    "pytorch loop": ("float32",),
    "transformers": ("float32",),
}
_BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0}
PROMPT, PREFILL = 32, 512
_NEW = {"tales": 128, "gpt2": 64}
_ONE_BY_ONE = ("gpt2-xl",)  # too large to have all programs in memory at once


@dataclass
class Subject:
    """A program with a model in one form: what it said about itself and what was measured.

    Attributes:
        decode: tokens/s of each round.
        prefill: the same.
        bandwidth: what the memory gave in each round, bytes/s.
        peak: the most memory that the process has held, bytes.
        written: the tokens of the last answer.
    """

    program: str
    weights: str
    about: dict[str, Any]
    process: "subprocess.Popen[str]"
    decode: list[float] = field(default_factory=list)
    prefill: list[float] = field(default_factory=list)
    bandwidth: list[float] = field(default_factory=list)
    peak: int = 0
    written: list[int] = field(default_factory=list)

    def ask(self, ids: Sequence[int], new: int) -> float:
        """Seconds to read the ids and write ``new`` tokens."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"ids": list(ids), "new": new}) + "\n")
        self.process.stdin.flush()
        answer = self.hear(self.process)
        self.peak, self.written = answer["peak"], answer["written"]
        return float(answer["seconds"])

    @staticmethod
    def hear(process: "subprocess.Popen[str]") -> dict[str, Any]:
        """The next answer.

        Raises:
            EOFError: the process ended.
        """
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Let the process go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


@dataclass
class Measured:
    """A model, its subjects, and how many weights a step reads."""

    model: str
    new: int
    prefill: int
    subjects: list[Subject] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    parameters: int = 0

    @property
    def bandwidth(self) -> list[float]:
        """What the memory gave, bytes/s: once a round for each way to keep the weights."""
        return [read for weights in WEIGHTS for read in next((s.bandwidth for s in self.of(weights)), [])]

    def others(self) -> list[str]:
        """Programs whose first token after the long prompt is in float32 another than ours: they run another model."""
        ours = next((s.written for s in self.of("float32") if s.program == "gptcli"), None)
        return [s.program for s in self.of("float32") if ours is not None and s.written != ours]

    def of(self, weights: str) -> list[Subject]:
        """Those that keep the weights like that."""
        return [subject for subject in self.subjects if subject.weights == weights]

    def of_limit(self, subject: Subject) -> float | None:
        """Median share of what the memory allowed in the same round; None: the bytes of a token are not known."""
        own = next((s.about["weight_bytes"] for s in self.of(subject.weights) if "weight_bytes" in s.about), None)
        read = own or (_BYTES[subject.weights] * self.parameters if subject.weights in _BYTES else None)
        if not read:
            return None
        return median(rate * read / given for rate, given in zip(subject.decode, subject.bandwidth, strict=True))


def measure(model: str, peers: Path, without: Sequence[str], *, runs: int, threads: int, watch: Watch) -> Measured:
    """All programs on one model.

    Args:
        model: ``tales``, or a published GPT-2 shape.
        peers: their environment.
        without: peers that are not installed.
        runs: of each measurement; one more comes first and does not count.
        threads: of every program.
        watch: asked how quiet it is, between runs.
    """
    folder = model_folder(model, peers)
    shape = shape_of(folder)
    found = Measured(model, _NEW.get(model, 32), min(PREFILL, shape.positions - 32), parameters=shape.per_token)
    ids = random.Random(0).choices(range(shape.vocab - 1), k=found.prefill)
    for weights in WEIGHTS:
        programs = [program for program, kinds in _HAVE.items() if weights in kinds and program not in without]
        for group in [[program] for program in programs] if model in _ONE_BY_ONE else [programs]:
            subjects = []
            for program in group:
                subject = start(program, weights, folder, peers, threads)
                if subject is None:
                    found.failed.append(f"{program} {weights}")
                else:
                    subjects.append(subject)
            found.failed += rounds(subjects, ids, found.new, runs, threads, watch)
            for subject in subjects:
                subject.end()
            found.subjects += subjects
    return found


def start(program: str, weights: str, folder: Path, peers: Path, threads: int) -> Subject | None:
    """Load a model in a process of its own; None where that fails."""
    converted = program in ("ctranslate2", "llama.cpp") or (program == "gptcli" and weights in ("int8", "int4"))
    if converted and not convert(peers, program, weights, folder):
        return None
    python = sys.executable if program == "gptcli" else python_of(peers)
    say(f"{folder.name}: {program} {weights}")
    log = (peers / "models" / "errors.txt").open("w+")
    process = subprocess.Popen(
        [python, "-m", "tests.benchmarks.peers", program, weights, str(folder), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        cwd=ROOT,
    )
    try:
        subject = Subject(program, weights, Subject.hear(process), process)
        subject.ask([1] * PROMPT, 2)
        return subject
    except (EOFError, BrokenPipeError):
        if program == "llama.cpp" and LLAMA_PLAIN not in os.environ:
            os.environ[LLAMA_PLAIN] = "1"
            return start(program, weights, folder, peers, threads)
        log.seek(0)
        say(f"{program} {weights} does not load {folder.name}: {(log.read().strip().splitlines() or ['?'])[-1]}")
        return None


def rounds(subjects: list[Subject], ids: Sequence[int], new: int, runs: int, threads: int, watch: Watch) -> list[str]:
    """Ask the memory and all subjects in turn; the first round only warms up. Those that end are taken out, and
    returned by name."""
    watch.spin()
    ended = []
    for number in range(runs + 1):
        turn = number % max(len(subjects), 1)
        watch.pause()
        bandwidth = read_bandwidth(threads)
        for subject in subjects[turn:] + subjects[:turn]:
            watch.pause()
            try:
                one, many, whole = subject.ask(ids[:PROMPT], 1), subject.ask(ids[:PROMPT], new), subject.ask(ids, 1)
            except (EOFError, BrokenPipeError):
                ended.append(f"{subject.program} {subject.weights}")
                subjects.remove(subject)
                continue
            if number:
                subject.decode.append((new - 1) / max(many - one, 1e-9))
                subject.prefill.append(len(ids) / whole)
                subject.bandwidth.append(bandwidth)
    for subject in subjects:
        say(f"  {subject.program} {subject.weights}: {median(subject.decode):.1f} tokens/s")
    return ended

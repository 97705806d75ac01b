"""The benchmarks themselves take minutes; what they write, and when they warn, is tested here."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import results
from tests.benchmarks.bench_decode import Measured, Subject
from tests.benchmarks.bench_growth import Compared
from tests.benchmarks.bench_large import Large
from tests.benchmarks.bench_neighbours import Shared
from tests.benchmarks.bench_startup import Timed, run
from tests.benchmarks.machine import Watch, facts, processor


def subject(program: str, weights: str, decode: list[float], bandwidth: list[float], **about: Any) -> Subject:
    process: Any = None
    about = {"version": "1", "load_s": 0.5, **about}
    return Subject(program, weights, about, process, decode, [100.0] * 7, bandwidth, 10**8)


def measured() -> Measured:
    found = Measured("gpt2", 64, 512, parameters=10**8)
    found.subjects = [
        subject("gptcli", "float32", [40.0, 41.0, 30.0], [2e10, 2e10, 1.2e10]),
        subject("slow", "float32", [10.0], [2e10]),
        subject("fast", "float32", [20.0], [2e10]),
        subject("gptcli", "int4", [150.0], [2e10], weight_bytes=5 * 10**7),
    ]
    found.failed = ["llama.cpp int8"]
    for each, token in zip(found.subjects, (7, 7, 8, 9), strict=True):
        each.written = [token]
    return found


def test_a_section_stands_in_the_place_of_its_former_self(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for processor_name, text in (("A", "old"), ("B", "kept"), ("A", "new")):
        results.write(path, processor_name, f"## {processor_name}\n\n### part\n\n{text}\n")
    text = path.read_text()
    assert text.startswith("# How fast")
    assert text.count("# How fast") == text.count("## A") == text.count("## B") == 1
    assert "old" not in text
    assert text.index("new") < text.index("kept")


def test_a_model_beside_the_limit_and_the_best_peer() -> None:
    text = results.model_section(measured())
    # 400 MB a token: at 20 GB/s at most 50, and in the third round at 12 GB/s at most 30.
    assert "Memory gives 20.0 (18.0 – 20.0) GB/s" in text
    assert "| float32 | gptcli | 40.0 (35.0 – 40.5) | 0.82 | 100 (100 – 100) | 0.50 s | 100 MB |" in text
    assert "decode 2.00 x the best peer (fast)" in text
    assert "| int4 | gptcli | 150 | 0.38 |" in text
    assert "- int4:" not in text  # nobody to compare with
    assert "- failed: llama.cpp int8" in text
    assert "another in fast" in text
    assert "another in slow" not in text


def test_whole_processes_stand_beside_ours() -> None:
    text = results.startup_section([Timed("a", "gptcli", [], [0.5], [10**6]), Timed("a", "other", [], [5.0], [10**8])])
    assert "| a | other | 5.00 | 10.0 x | 100 MB |" in text


def test_growth_compares_rates_not_times() -> None:
    eight = Compared("8 samples", "1 sample", list, list, 8.0, [2.0], [1.0])
    rate = {"median": 30.0, "low": 29.0, "high": 31.0}
    row = {"context": 1000, "tokens_per_s": rate, "fraction": 0.5}
    text = results.growth_section([eight], [{"weights": "int8", "decoding": [row], "load_s": 1, "peak_memory": 10**8}])
    assert "| 8 samples | 2.00 | 1 sample | 1.00 | 4.00 |" in text
    assert "| int8 | 1,000 | 30.0 (29.0 – 31.0) | 0.50 | 1.00 s | 100 MB |" in text


def test_a_large_model_stands_beside_its_file() -> None:
    text = results.large_section(Large(4 * 10**9, [1.5, 1.6, 1.7], [42 * 10**8] * 3))
    assert "| 4.00 GB | 1.60 (1.55 – 1.65) | 4.20 GB | 1.05 |" in text


@pytest.mark.parametrize(
    ("busy", "spread", "troubles"),
    [
        ([0.0] * 9, [1.02], 0),
        ([0.0] * 9 + [0.3], [1.02], 1),  # now and then
        ([0.04] * 10, [1.02], 1),
        ([0.0] * 10, [1.4], 1),  # a neighbour that the system does not see
        ([0.9] * 10, [2.0], 2),
        ([], [], 0),
    ],
)
def test_a_machine_that_is_not_quiet_is_told_loudly(busy: list[float], spread: list[float], troubles: int) -> None:
    watch = Watch(busy, spread, 0.0)
    said = watch.troubles()
    assert len(said) == troubles
    head = results.head("CPU", {"memory": "1 GB"}, watch.told(), said, {"peer": "no `wheel` | here"})
    assert ("NOT TO BE TRUSTED" in head) == bool(troubles)
    assert head.splitlines()[0] == "## CPU"
    assert "- not installed: peer (no wheel  here)" in head


def test_the_machine_is_described() -> None:
    assert "(" in processor()
    assert set(facts()) == {"processors", "instructions", "memory", "system"}


def test_a_process_is_timed_and_failure_is_seen() -> None:
    seconds, peak = run([sys.executable, "-c", "import time; time.sleep(0.2)"], {})
    assert seconds > 0.2
    assert peak is not None
    assert 10**6 < peak < 10**10
    assert run([sys.executable, "-c", "raise SystemExit(3)"], {})[1] is None


@pytest.mark.slow
def test_what_is_not_there_to_measure_is_one_line(child_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--only", "gpt5"],
        env=child_environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert "no gpt5 here" in done.stderr


def test_neighbours_say_what_the_worst_number_of_threads_costs() -> None:
    times = {
        ("present", 1): [2.0, 2.0],
        ("present", 16): [1.0, 1.0],
        ("former", 1): [2.0, 2.0],
        ("former", 16): [9.0, 9.0],
    }
    text = results.neighbours_section([Shared(1, "a token", times)])
    assert "| busy programs | what | library | 1 | 16 | slowest of several / best |" in text
    present, former = text.splitlines()[-2:]
    assert present.startswith("| 1 | a token | present | 2.00")
    assert present.endswith("| 1.00 |")
    assert former.endswith("| 4.50 |")

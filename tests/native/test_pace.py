"""How many threads work on a job, when their times are given."""

import ctypes
from itertools import count
from typing import Any

import pytest

from gptcli.model.native import library

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")

MS = 1e6
# Milliseconds of a job by its number of threads, and the share of them in which the caller did not run.
QUIET = [1.4, 0.6], [0.0, 0.01]
NEIGHBOUR = [1.4, 2.2], [0.0, 0.6]
WORTH_IT = [8.0, 6.2], [0.0, 0.3]
KINDS = count(1000)


def threads_used(kind: int, jobs: int, times: tuple[list[float], list[float]]) -> list[int]:
    milliseconds, stalled = times
    doubles = ctypes.c_double * len(milliseconds)
    used = (ctypes.c_int * jobs)()
    found: Any = library.library()
    found.gptcli_test_pace.argtypes = [ctypes.c_uint64, *[ctypes.c_int] * 2, *[ctypes.c_void_p] * 3]
    found.gptcli_test_pace.restype = None
    found.gptcli_test_pace(
        kind, len(milliseconds), jobs, doubles(*(t * MS for t in milliseconds)), doubles(*stalled), used
    )
    return list(used)


def mean(used: list[int], times: tuple[list[float], list[float]]) -> float:
    return sum(times[0][threads - 1] for threads in used) / len(used)


def test_a_quiet_machine_never_tries_fewer() -> None:
    assert threads_used(next(KINDS), 5000, QUIET) == [2] * 5000


def test_a_neighbour_is_given_its_processor() -> None:
    used = threads_used(next(KINDS), 300, NEIGHBOUR)
    assert used[0] == 2
    assert used[40:].count(2) < 0.06 * 260  # what is left are trials, of one job each
    assert mean(used, NEIGHBOUR) < 1.15 * 1.4


def test_the_threads_are_back_when_the_neighbour_has_gone() -> None:
    kind = next(KINDS)
    assert threads_used(kind, 2000, NEIGHBOUR)[-1] == 1
    used = threads_used(kind, 300, QUIET)
    assert used[100:] == [2] * 200
    assert threads_used(kind, 300, NEIGHBOUR)[-20:].count(1) >= 18


def test_stalled_threads_that_are_faster_all_the_same_stay() -> None:
    used = threads_used(next(KINDS), 1000, WORTH_IT)
    assert used.count(1) < 80  # trials, of four jobs each
    assert mean(used, WORTH_IT) < 1.03 * 6.2


def test_of_eight_threads_the_best_number_is_found() -> None:
    """Three neighbours on eight processors: five threads have theirs for themselves."""
    alone = [10 / threads for threads in range(1, 9)]
    times = [alone[t] if t < 5 else alone[t] + 2.5 for t in range(8)], [0.0] * 5 + [0.5] * 3
    used = threads_used(next(KINDS), 1000, times)
    assert used[0] == 8
    assert set(used[300:]) <= {4, 5, 6}
    assert used[300:].count(5) > 0.9 * 700


def test_kinds_of_jobs_learn_apart() -> None:
    one, other = next(KINDS), next(KINDS)
    threads_used(one, 300, NEIGHBOUR)
    assert threads_used(other, 3, QUIET) == [2] * 3
    assert threads_used(one, 1, NEIGHBOUR) == [1]


def test_more_than_eight_processors_start_with_all() -> None:
    times = [16 / threads for threads in range(1, 17)], [0.0] * 16
    assert threads_used(next(KINDS), 100, times) == [16] * 100

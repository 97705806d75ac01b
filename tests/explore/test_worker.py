"""The latest job wins: what was asked for before is dropped, or its result thrown away."""

from collections.abc import Iterator
from queue import Queue
from threading import Event
from typing import Any

import pytest

from gptcli.explore.worker import Worker

WAIT_S = 20


@pytest.fixture
def inbox() -> Queue[Any]:
    return Queue()


@pytest.fixture
def worker(inbox: Queue[Any]) -> Iterator[Worker]:
    made = Worker("test", inbox.put)
    yield made
    made.stop(WAIT_S)


def test_a_result_and_an_exception_are_handed_over(worker: Worker, inbox: Queue[Any]) -> None:
    got: list[Any] = []
    worker.ask(lambda: 1 + 1, lambda result, failure: got.append((result, failure)))
    inbox.get(timeout=WAIT_S)()
    error = ValueError("no")

    def fail() -> None:
        raise error

    worker.ask(fail, lambda result, failure: got.append((result, failure)))
    inbox.get(timeout=WAIT_S)()
    assert got == [(2, None), (None, error)]


def test_only_the_latest_of_several_is_computed(worker: Worker, inbox: Queue[Any]) -> None:
    got: list[int] = []
    computed: list[int] = []
    begun, go_on = Event(), Event()

    def work(number: int) -> int:
        computed.append(number)
        begun.set()
        assert go_on.wait(WAIT_S)
        return number

    for number in range(5):
        worker.ask(lambda number=number: work(number), lambda result, failure: got.append(result))  # type: ignore[misc]
        if number == 0:
            assert begun.wait(WAIT_S)
    go_on.set()
    inbox.get(timeout=WAIT_S)()
    assert (computed, got, inbox.empty()) == ([0, 4], [4], True)


def test_a_result_that_comes_late_never_overwrites_a_newer_one(worker: Worker, inbox: Queue[Any]) -> None:
    got: list[str] = []
    worker.ask(lambda: "old", lambda result, failure: got.append(result))
    old = inbox.get(timeout=WAIT_S)  # computed, and not yet handed over
    worker.ask(lambda: "new", lambda result, failure: got.append(result))
    inbox.get(timeout=WAIT_S)()
    old()
    assert got == ["new"]


def test_what_is_forgotten_or_stopped_never_comes(worker: Worker, inbox: Queue[Any]) -> None:
    got: list[str] = []
    worker.ask(lambda: "one", lambda result, failure: got.append(result))
    late = inbox.get(timeout=WAIT_S)
    worker.forget()
    late()
    worker.ask(lambda: "two", lambda result, failure: got.append(result))
    late = inbox.get(timeout=WAIT_S)
    worker.stop(WAIT_S)
    late()
    assert got == []

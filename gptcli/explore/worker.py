"""Work in a thread of its own: of what is asked for, the latest wins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Condition, Thread
from typing import Any


@dataclass(frozen=True)
class Job:
    """Something to compute.

    Attributes:
        number: jobs asked for later have larger ones.
        work: computes; it runs in the thread.
        done: gets the result, or the exception.
    """

    number: int
    work: Callable[[], Any]
    done: Callable[[Any, BaseException | None], None]


class Worker:
    """A thread that computes the latest job.

    A job that was not begun when another one is asked for is dropped. One that runs then runs to its end, and its
    result is thrown away.

    Args:
        name: of the thread.
        deliver: runs a function where results are wanted (in the thread of the screen).
    """

    def __init__(self, name: str, deliver: Callable[[Callable[[], None]], None]) -> None:
        self._deliver = deliver
        self._changed = Condition()
        self._waiting: Job | None = None
        self._latest = self._settled = 0
        self._stopped = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Compute something instead of what was asked for before."""
        with self._changed:
            self._latest += 1
            self._waiting = Job(self._latest, work, done)
            self._changed.notify()

    def forget(self) -> None:
        """Want nothing any more: a result that is under way is thrown away."""
        with self._changed:
            self._latest += 1
            self._settled, self._waiting = self._latest, None

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted that has not been handed over."""
        with self._changed:
            return self._settled == self._latest

    def stop(self, patience_s: float = 0.0) -> None:
        """End the thread; what runs is not waited for longer than this."""
        with self._changed:
            self._stopped, self._waiting = True, None
            self._latest += 1
            self._changed.notify()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                job, self._waiting = self._waiting, None
            assert job is not None
            result: Any = None
            failure: BaseException | None = None
            try:
                result = job.work()
            except BaseException as error:  # told to the caller
                failure = error
            if self._wanted(job):
                self._deliver(partial(self._hand_over, job, result, failure))

    def _wanted(self, job: Job) -> bool:
        with self._changed:
            return job.number == self._latest and not self._stopped

    def _hand_over(self, job: Job, result: Any, failure: BaseException | None) -> None:
        """In the thread of the screen: another job may have been asked for meanwhile."""
        with self._changed:
            if job.number != self._latest or self._stopped:
                return
            self._settled = job.number
        job.done(result, failure)

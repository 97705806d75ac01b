"""Ctrl-C while something is being shown."""

import signal
import threading
from types import FrameType, TracebackType


class Interrupt:
    """Delays Ctrl-C until the next ``check``, so that output is never repeated or cut; a second Ctrl-C is immediate.

    A context manager. It changes nothing if Ctrl-C has another handler, in a thread, or under ``nohup``.
    """

    def __init__(self) -> None:
        self._asked = False
        self._mine = False

    def __enter__(self) -> "Interrupt":
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._mine = usual and threading.current_thread() is threading.main_thread()
        if self._mine:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise the delayed ``KeyboardInterrupt``, if any."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.check()
        self._asked = True

"""Ctrl-C while something is being shown."""

import signal
import threading
from types import FrameType, TracebackType


class Interrupt:
    """Ctrl-C that waits for the next ``check``, so that nothing is shown twice or by half; a second one does not wait.

    A context manager. Where Ctrl-C means something else (a program of its own, a thread, ``nohup``), it is left alone.
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
        """Raise the ``KeyboardInterrupt`` that has been asked for, if any."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.check()
        self._asked = True

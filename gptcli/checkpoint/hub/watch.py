"""Limits on time and bytes for one task with a hub, checked at each read of the socket.

A timeout for each read, as HTTP libraries have it, does not stop a server that sends a byte a second. Here the clock
runs from the start of the task, through all of its requests, redirects and retries: connecting, TLS, headers and
bodies. A ``Watch`` applies to the code inside ``with watch:`` only, not to other users of the hub's client in this
process.
"""

import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any

from gptcli.checkpoint.hub.client import client, endpoint
from gptcli.errors import GptcliError
from gptcli.text import size

DEFAULT_SECONDS = 15.0
LONGEST_SECONDS = 1e6
# The least rate of a small answer after the first seconds, in bytes a second.
_LEAST_RATE = 100_000
# The least progress of a large file in those seconds, in bytes.
_LEAST_PROGRESS = 100_000
AGAIN = "run the command again, files that are complete are kept"

_seconds: ContextVar[float | None] = ContextVar("seconds", default=None)
_current: ContextVar["Watch | None"] = ContextVar("watch", default=None)


def set_patience(seconds: float | None) -> None:
    """Set how long hubs may take to answer (``--timeout``); None: the default."""
    _seconds.set(seconds)


def patience() -> float:
    """How long a hub may take to answer, in seconds: as set, else by the client's own variables if that is longer."""
    chosen = _seconds.get()
    constants = client().constants
    own = max(DEFAULT_SECONDS, constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT)
    return own if chosen is None else chosen


class Watch:
    """The limits of one task: an answer, a file, or several.

    Args:
        what: the task, for errors.
        at_most: the most bytes of an answer's body.
        seconds: how long it may take; each 100 kB received add a second.
        large: count the seconds from the last 100 kB received, for files of unknown duration.
        within: the larger task that this is a part of, whose limit applies too.

    Attributes:
        total: the size of the file whose ranges are requested, in bytes; None while unknown.
    """

    def __init__(
        self,
        what: str,
        at_most: int,
        *,
        seconds: float | None = None,
        large: bool = False,
        within: "Watch | None" = None,
    ) -> None:
        self.what, self.at_most, self.large, self.within = what, at_most, large, within
        self.seconds = patience() if seconds is None else seconds
        self.total: int | None = None
        self._received = self._mark = 0
        self._started = time.monotonic()
        self._stopped = False
        self._lock = threading.Lock()
        self._streams: set[Any] = set()
        self._tokens: list[Token[Watch | None]] = []

    def __enter__(self) -> "Watch":
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *args: object) -> None:
        _current.reset(self._tokens.pop())

    def left(self) -> float:
        """Seconds left.

        Raises:
            GptcliError: the time is over.
        """
        if self.within is not None:
            self.within.left()
        with self._lock:
            credit = 0.0 if self.large else self._received / _LEAST_RATE
            left = self._started + self.seconds + credit - time.monotonic()
        if self._stopped:
            raise GptcliError(f"{self.what} was cancelled")
        if left <= 0:
            raise GptcliError(self._too_long())
        return left

    def count(self, nbytes: int) -> None:
        """Count received bytes of a body."""
        if self.within is not None:
            self.within.count(nbytes)
        with self._lock:
            self._received += nbytes
            if self.large and self._received - self._mark >= _LEAST_PROGRESS:
                self._mark, self._started = self._received, time.monotonic()

    def stop(self) -> None:
        """Make every thread that waits for this task give up at once."""
        with self._lock:
            self._stopped = True
            streams = list(self._streams)
        for stream in streams:
            with suppress(OSError, AttributeError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def waits_on(self, stream: Any, waiting: bool) -> None:
        """Register or remove the stream on which a thread waits."""
        if self.within is not None:
            self.within.waits_on(stream, waiting)
        with self._lock:
            (self._streams.add if waiting else self._streams.discard)(stream)

    def _too_long(self) -> str:
        longer = f"--timeout {max(60, round(4 * self.seconds))} waits longer"
        if self.large:
            return (
                f"{endpoint()} has come to a standstill: of {self.what} not {size(_LEAST_PROGRESS)} came in "
                f"{self.seconds:g} seconds: run the command again, it goes on where it stopped; {longer}"
            )
        return f"{endpoint()} took too long: {self.seconds:g} seconds are over for {self.what}: {AGAIN}; {longer}"


def current() -> Watch | None:
    """The watch that applies here."""
    return _current.get()


class WatchedBackend:
    """An HTTP library's ``NetworkBackend`` that uses the watch's time instead of timeouts."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> "_WatchedStream":
        """Connect; ``timeout`` applies where there is no watch."""
        return _WatchedStream(_within(None, self._inner.connect_tcp, host, port, timeout=timeout, **options))


class _WatchedStream:
    """One connection (a ``NetworkStream``)."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return _within(self._inner, self._inner.read, max_bytes, timeout=timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _within(self._inner, self._inner.write, buffer, timeout=timeout)

    def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: Any = None) -> "_WatchedStream":
        start = self._inner.start_tls
        return _WatchedStream(_within(self._inner, start, ssl_context, server_hostname, timeout=timeout))


def _within(stream: Any, call: Any, *arguments: Any, timeout: float | None, **options: Any) -> Any:
    """Call a function that waits for the network, for no longer than the watch has left."""
    watch = current()
    if watch is None:
        return call(*arguments, timeout=timeout, **options)
    watch.waits_on(stream, True)
    try:
        return call(*arguments, timeout=watch.left(), **options)
    except Exception:
        watch.left()  # raises the watch's own error if its time is over
        raise
    finally:
        watch.waits_on(stream, False)

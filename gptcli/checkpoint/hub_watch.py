"""How much time and how many bytes one piece of work with a hub may take, held at each read of the socket.

A timeout for each read, as HTTP libraries have it, is none at all for a server that sends a byte a second. Here the
clock runs from the start of the work, through all of its requests, redirects and repetitions: connecting, TLS, headers
and bodies. A ``Watch`` is in force for the code inside ``with watch:``, and for nobody else who uses the hub's client
in this process.
"""

import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any

from gptcli.checkpoint.hub_client import client, endpoint
from gptcli.errors import GptcliError
from gptcli.show.text import size

DEFAULT_SECONDS = 15.0
LONGEST_SECONDS = 1e6
# What a small answer has to come at, in bytes a second, once the first seconds are over.
_LEAST_RATE = 100_000
# What a large file has to get on by in those seconds, in bytes.
_LEAST_PROGRESS = 100_000
AGAIN = "run the command again, files that are complete are kept"

_seconds: ContextVar[float | None] = ContextVar("seconds", default=None)
_current: ContextVar["Watch | None"] = ContextVar("watch", default=None)


def set_patience(seconds: float | None) -> None:
    """How long hubs have to answer from now on (``--timeout``); None is the default."""
    _seconds.set(seconds)


def patience() -> float:
    """How long a hub has to answer, in seconds: what was set, else what the client's own variables say if more."""
    chosen = _seconds.get()
    constants = client().constants
    own = max(DEFAULT_SECONDS, constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT)
    return own if chosen is None else chosen


class Watch:
    """One piece of work: an answer, a file, or some of them.

    Args:
        what: what is waited for, for errors.
        at_most: the bytes that the body of an answer may have.
        seconds: how long it may take, and a second more for each 100 kB that came.
        large: count the seconds from the last 100 kB that came: for files of which nobody knows how long they take.
        within: the larger piece of work that this is a part of, and whose time holds too.

    Attributes:
        total: how long the file is of which ranges are asked for, in bytes; None as long as nobody knows.
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
        """Seconds until it has taken too long.

        Raises:
            GptcliError: it has.
        """
        if self.within is not None:
            self.within.left()
        with self._lock:
            credit = 0.0 if self.large else self._received / _LEAST_RATE
            left = self._started + self.seconds + credit - time.monotonic()
        if self._stopped:
            raise GptcliError(f"{self.what} is not wanted any more")
        if left <= 0:
            raise GptcliError(self._too_long())
        return left

    def count(self, nbytes: int) -> None:
        """Bytes of a body came."""
        if self.within is not None:
            self.within.count(nbytes)
        with self._lock:
            self._received += nbytes
            if self.large and self._received - self._mark >= _LEAST_PROGRESS:
                self._mark, self._started = self._received, time.monotonic()

    def stop(self) -> None:
        """Let every thread that waits for this give up at once."""
        with self._lock:
            self._stopped = True
            streams = list(self._streams)
        for stream in streams:
            with suppress(OSError, AttributeError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def waits_on(self, stream: Any, waiting: bool) -> None:
        """A thread starts or ends to wait on a stream."""
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
    """The watch that is in force here."""
    return _current.get()


class WatchedBackend:
    """What opens an HTTP library's connections (its ``NetworkBackend``), with the watch's time in place of timeouts."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> "_WatchedStream":
        """Connect; ``timeout`` holds where there is no watch."""
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
    """A call that waits for the network, for no longer than the watch has left."""
    watch = current()
    if watch is None:
        return call(*arguments, timeout=timeout, **options)
    watch.waits_on(stream, True)
    try:
        return call(*arguments, timeout=watch.left(), **options)
    except Exception:
        watch.left()  # where it is over, that is what is to be said
        raise
    finally:
        watch.waits_on(stream, False)

"""A guard between the hub and its client: every answer is checked here before the client sees it.

A hub is not trusted, and its client uses ETags and commits as paths, headers as sizes, and bodies without a limit. So
all requests made under a ``Watch`` (and no others in this process) pass through here, and each hop of a redirect too.
Each answer that passes has these properties:

- Its status fits the request: 206 and the requested range; 200 without a range; a redirect to http:// or https://, from
  https:// to https:// only; or an error, whose body is dropped.
- It has only the headers of ``hub_check.HEADERS``, each at most once and well-formed (hashes, sizes). A malformed
  header is dropped if the client can do without it, else the answer is refused.
- Its body is uncompressed, and not longer than the watch allows or the range is. Waiting for it, and for everything
  before it, takes no longer than the watch allows.

Headers for the Xet protocol are dropped: files come over HTTP, which the hub offers for each of them, and not through a
second client that would bypass this guard.
"""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from gptcli.checkpoint.hub.check import REDIRECTS, check, refused
from gptcli.checkpoint.hub.client import client, http_library
from gptcli.checkpoint.hub.watch import Watch, WatchedBackend, current
from gptcli.errors import InputError
from gptcli.text import clipped, size


def install() -> None:
    """Route the client's requests through the guard, also if a program has set the factory of its HTTP client."""
    client()
    module = import_module("huggingface_hub.utils._http")  # the factory can be set through the API, but not read
    if not isinstance(module._GLOBAL_CLIENT_FACTORY, _Factory):
        module.set_client_factory(_Factory(module._GLOBAL_CLIENT_FACTORY))


class _Factory:
    """Makes HTTP clients whose transports are guarded."""

    def __init__(self, inner: Callable[[], Any]) -> None:
        self._inner = inner

    def __call__(self) -> Any:
        http = http_library()
        try:
            made = self._inner()
        except (ImportError, ValueError, TypeError, OSError, http.InvalidURL) as error:
            raise InputError(
                f"no connection can be made with the environment as it is ({clipped(str(error))}): look at HTTP_PROXY, "
                "HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
            ) from error
        made._transport = _guarded(made._transport)
        made._mounts = {pattern: transport and _guarded(transport) for pattern, transport in made._mounts.items()}
        return made


def _guarded(transport: Any) -> Any:
    """A transport of the HTTP library, guarded; its sockets are watched."""
    pool: Any = getattr(transport, "_pool", None)
    if hasattr(pool, "_network_backend"):
        pool._network_backend = WatchedBackend(pool._network_backend)
    http = http_library()

    class Body(http.SyncByteStream):  # type: ignore[misc, name-defined]
        """The body of an answer, counted while it is read."""

        def __init__(self, inner: Any, watch: Watch, limit: int) -> None:
            self._inner, self._watch, self._limit = inner, watch, limit

        def __iter__(self) -> Iterator[bytes]:
            came = 0
            for part in self._inner:
                came += len(part)
                if came > self._limit:
                    raise refused(f"it sends more than the {size(self._limit)} that {self._watch.what} may have")
                self._watch.count(len(part))
                self._watch.left()
                yield part

        def close(self) -> None:
            self._inner.close()

    class Guard(http.BaseTransport):  # type: ignore[misc, name-defined]
        def handle_request(self, request: Any) -> Any:
            watch = current()
            if watch is None:
                return transport.handle_request(request)
            request.headers["Accept-Encoding"] = "identity"
            answer = transport.handle_request(request)
            try:
                headers, limit = check(request, answer, watch)
            except BaseException:
                answer.close()
                raise
            stream: Any = Body(answer.stream, watch, limit)
            if not limit:
                _leave(answer)
                stream = http.ByteStream(b"")
            return http.Response(answer.status_code, headers=headers, stream=stream, extensions=answer.extensions)

        def close(self) -> None:
            transport.close()

    return Guard()


def _leave(answer: Any) -> None:
    """Drop the body. A short one is read to its end, so that the connection can be used again."""
    if answer.status_code in REDIRECTS and re.fullmatch(r"[0-9]{1,4}", answer.headers.get("Content-Length", "")):
        for _ in answer.stream:
            pass
    answer.close()

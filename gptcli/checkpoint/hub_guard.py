"""What stands between a hub and the client that believes it: every answer is checked here before the client sees it.

A hub is not trusted, and its client makes paths of ETags and of commits, sizes of headers, and memory of bodies. So all
requests that are made under a ``Watch`` (and no others in this process) pass through here, each hop of a redirect too.
What is promised of each answer that comes through:

- Its status is one that was asked for: 206 where a range was, and that range; 200 where none was; a redirect that leads
  to http:// or https://, from https:// to https:// only; or an error, whose body is left out.
- It has only the headers of ``_HEADERS``, each at most once and of the form given there: hashes are hashes, sizes are
  sizes. Where the client could do without one that is not, it is left out, else the answer is refused.
- Its body is as it came, uncompressed, and not longer than the watch allows or the range is. Waiting for it, and for
  all before it, takes no longer than the watch allows.

Headers for the Xet protocol are not among those: files come over HTTP, which the hub offers for each of them, and not
through a second client that nothing here could hold.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from gptcli.checkpoint.hub_client import client, endpoint, http_library
from gptcli.checkpoint.hub_watch import Watch, WatchedBackend, current
from gptcli.errors import GptcliError, InputError
from gptcli.show.text import clipped, size, visible

# No file is larger than this, in bytes.
MAX_SIZE = 10**15
_MAX_ADDRESS = 8_192
_REDIRECTS = (301, 302, 303, 307, 308)
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")  # what a commit is called
_DIGITS = re.compile(r"[0-9]{1,16}")
_WAIT = re.compile(r"[0-9]{1,6}")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_RANGE = re.compile(r"bytes=([0-9]{1,16})-([0-9]{0,16})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})")


def refused(why: str) -> GptcliError:
    """The error for an answer that no hub gives."""
    return GptcliError(f"{endpoint()} does not answer as the hub does ({why}): check HF_ENDPOINT and your proxy")


def install() -> None:
    """See to it that the client's requests pass through here, whoever made the factory of its HTTP client."""
    module = import_module("huggingface_hub.utils._http")  # there is a way to set the factory, and none to read it
    client()
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
        """The body of an answer, counted as it comes."""

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


def check(request: Any, answer: Any, watch: Watch) -> tuple[list[tuple[str, str]], int]:
    """The headers that the client may see of an answer, and how long its body may be (0: none is wanted).

    Raises:
        GptcliError: it is no answer of a hub, or lies about what the client would go by.
    """
    status = answer.status_code
    fails = 400 <= status < 600
    if not fails and status not in (200, 206, *_REDIRECTS):
        raise refused(f"HTTP {status}")
    headers = {}
    for name, read in _HEADERS.items():
        given = answer.headers.get_list(name)
        if len(set(given)) > 1:
            if name in _WORDS:
                continue
            raise refused(f"its {name} stands there several times and differs")
        value = read(given[0], request, answer) if given else None
        if value is not None:
            headers[name] = value
    if status in _REDIRECTS and "location" not in headers:
        raise refused(f"HTTP {status} to nowhere")
    if fails and int(headers.get("retry-after", 0)) > watch.left():
        raise GptcliError(
            f"{endpoint()} asks to wait for {headers['retry-after']} seconds (HTTP {status}): try again then; with "
            "HF_TOKEN set it may allow more"
        )
    limit = _limit(request, answer, headers, watch) if status in (200, 206) else 0
    if status in _REDIRECTS:
        headers.pop("content-length", None)  # of its own text; some releases of the client take it for the file's
    if request.method == "HEAD":
        return list(headers.items()), 0
    if not limit:
        headers.pop("content-length", None)  # of a body that is left out
    return list(headers.items()), limit


def _leave(answer: Any) -> None:
    """Go without a body. A short one is read to its end, which keeps the connection for the next request."""
    if answer.status_code in _REDIRECTS and re.fullmatch(r"[0-9]{1,4}", answer.headers.get("Content-Length", "")):
        for _ in answer.stream:
            pass
    answer.close()


def _limit(request: Any, answer: Any, headers: dict[str, str], watch: Watch) -> int:
    """How long the body may be, in bytes."""
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise refused(f"it compresses {watch.what} ({clipped(encoding, 20)}), though asked not to")
    asked = request.headers.get("Range")
    if (asked is None) != (answer.status_code == 200):
        raise refused(f"HTTP {answer.status_code} where {'no range' if asked is None else 'a part'} was asked for")
    if asked is None:
        headers.pop("content-range", None)
        limit = watch.at_most
    else:
        limit = _part(asked, headers.get("content-range"), watch)
        if limit > watch.at_most:
            raise refused(f"{watch.what} has more than {size(watch.at_most)}")
    announced = int(headers.get("content-length", 0))
    if request.method == "GET" and announced > limit:
        raise refused(f"it announces {size(announced)} for {watch.what}, more than the {size(limit)} that it may have")
    return limit


def _part(asked: str, given: str | None, watch: Watch) -> int:
    """The length of a range, which must be the one that was asked for, of a file of the known length."""
    wanted, got = _RANGE.fullmatch(asked), _CONTENT_RANGE.fullmatch(given or "")
    if wanted is None or got is None:
        raise refused("it does not say which part of a file it sends")
    first, last, total = (int(number) for number in got.groups())
    end = min(int(wanted[2] or MAX_SIZE), total - 1)
    if first != int(wanted[1]) or last != end or first > last or total > MAX_SIZE:
        raise refused("it sends another part of a file than it was asked for")
    if watch.total not in (None, total):
        raise refused(f"a file of {watch.total:,} bytes has {total:,} all at once")
    watch.total = total
    return last - first + 1


# The headers that pass. Each is given with the request and the answer; None leaves it out.


def _text(value: str, request: Any, answer: Any) -> str | None:
    """Words for people: short, and without what a terminal would obey."""
    return visible(value[:300], keep="").encode("ascii", "backslashreplace").decode()


def _matching(pattern: re.Pattern[str]) -> Callable[[str, Any, Any], str | None]:
    def read(value: str, request: Any, answer: Any) -> str | None:
        return value if pattern.fullmatch(value) else None

    return read


def _number(name: str) -> Callable[[str, Any, Any], str]:
    def read(value: str, request: Any, answer: Any) -> str:
        if not _DIGITS.fullmatch(value) or int(value) > MAX_SIZE:
            raise refused(f"its {name} is no size: {clipped(value, 40)!r}")
        return value

    return read


def _commit(value: str, request: Any, answer: Any) -> str:
    if not COMMIT.fullmatch(value):
        raise refused(f"its X-Repo-Commit is no commit: {clipped(value, 60)!r}")
    return value


def _linked_etag(value: str, request: Any, answer: Any) -> str:
    """The name of a file's content; the client would make a path of it."""
    # As the client does it, so that what is judged is what it would use.
    name = value.lstrip("W/").strip('"')
    if not _HASH.fullmatch(name):
        raise refused(f"its ETag is no hash: {clipped(value, 60)!r}")
    return f'"{name}"'


def _etag(value: str, request: Any, answer: Any) -> str | None:
    """An ETag matters in the answer to HEAD only, where no other header takes its place."""
    if request.method == "HEAD" and answer.status_code == 200 and "X-Linked-Etag" not in answer.headers:
        return _linked_etag(value, request, answer)
    with suppress(GptcliError):
        return _linked_etag(value, request, answer)
    return None


def _content_range(value: str, request: Any, answer: Any) -> str | None:
    return value if answer.status_code == 206 and _CONTENT_RANGE.fullmatch(value) else None


def _location(value: str, request: Any, answer: Any) -> str | None:
    """Where a redirect leads, written so that all who read it read the same."""
    if answer.status_code not in _REDIRECTS:
        return None
    shown = clipped(value, 60)
    try:
        if len(value) > _MAX_ADDRESS:
            raise ValueError
        target = request.url.join(value)
        port = target.port or 443
    except (ValueError, TypeError, http_library().InvalidURL):
        raise refused(f"it redirects to {shown!r}, which is no address") from None
    if target.scheme not in ("http", "https") or not target.host or target.userinfo or port not in range(1, 65536):
        raise refused(f"it redirects to {shown!r}, which is no http:// or https:// address")
    if request.url.scheme == "https" and target.scheme != "https":
        raise refused(f"it redirects from https:// to {shown!r}, where anybody could listen")
    path: str = target.raw_path.decode("ascii")
    stays = (target.scheme, target.host, target.port) == (request.url.scheme, request.url.host, request.url.port)
    # Relative ones stay so: some releases of the client ask no others for a file's metadata.
    relative = stays and value.startswith("/") and not path.startswith("//")
    return path if relative else str(target.copy_with(fragment=None))


# Those that nothing depends on.
_WORDS = ("content-type", "retry-after", "x-error-code", "x-error-message", "x-hf-warning")
_HEADERS: dict[str, Callable[[str, Any, Any], str | None]] = {
    "content-type": _text,
    "content-length": _number("Content-Length"),
    "content-range": _content_range,
    "etag": _etag,
    "x-linked-etag": _linked_etag,
    "x-linked-size": _number("X-Linked-Size"),
    "x-repo-commit": _commit,
    "location": _location,
    "retry-after": _matching(_WAIT),
    "x-error-code": _matching(_CODE),
    "x-error-message": _text,
    "x-hf-warning": _text,
}

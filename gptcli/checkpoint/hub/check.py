"""Checks of a hub's answer: its status, its headers, and the length of its body."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gptcli.checkpoint.hub.client import endpoint, http_library
from gptcli.checkpoint.hub.watch import Watch
from gptcli.errors import GptcliError
from gptcli.text import clipped, size, visible

# No file is larger than this, in bytes.
MAX_SIZE = 10**15
_MAX_ADDRESS = 8_192
REDIRECTS = (301, 302, 303, 307, 308)
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")  # the name of a commit
_DIGITS = re.compile(r"[0-9]{1,16}")
_WAIT = re.compile(r"[0-9]{1,6}")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_RANGE = re.compile(r"bytes=([0-9]{1,16})-([0-9]{0,16})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})")


def refused(why: str) -> GptcliError:
    """The error for an answer that is not a hub's."""
    return GptcliError(f"{endpoint()} does not answer as the hub does ({why}): check HF_ENDPOINT and your proxy")


def check(request: Any, answer: Any, watch: Watch) -> tuple[list[tuple[str, str]], int]:
    """Check an answer; returns the headers to pass on, and how long its body may be (0: no body).

    Raises:
        GptcliError: it is not valid, or has wrong headers that the client would use.
    """
    status = answer.status_code
    fails = 400 <= status < 600
    if not fails and status not in (200, 206, *REDIRECTS):
        raise refused(f"HTTP {status}")
    headers = {}
    for name, read in HEADERS.items():
        given = answer.headers.get_list(name)
        if len(set(given)) > 1:
            if name in _WORDS:
                continue
            raise refused(f"its {name} stands there several times and differs")
        value = read(given[0], request, answer) if given else None
        if value is not None:
            headers[name] = value
    if status in REDIRECTS and "location" not in headers:
        raise refused(f"HTTP {status} to nowhere")
    if fails and int(headers.get("retry-after", 0)) > watch.left():
        raise GptcliError(
            f"{endpoint()} asks to wait for {headers['retry-after']} seconds (HTTP {status}): try again then; with "
            "HF_TOKEN set it may allow more"
        )
    limit = _limit(request, answer, headers, watch) if status in (200, 206) else 0
    if status in REDIRECTS:
        headers.pop(
            "content-length", None
        )  # of the answer's own text; some releases of the client use it as the file's
    if request.method == "HEAD":
        return list(headers.items()), 0
    if not limit:
        headers.pop("content-length", None)  # of a body that is not passed on
    return list(headers.items()), limit


def _limit(request: Any, answer: Any, headers: dict[str, str], watch: Watch) -> int:
    """The most bytes that the body may have."""
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
    """The length of a range, which must be the requested one, of a file of the known length."""
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


# The headers that are passed on: name -> a function of the value, the request and the answer; None drops it.


def _text(value: str, request: Any, answer: Any) -> str | None:
    """Text for people: short, and without control characters."""
    return visible(value[:300], keep="").encode("ascii", "backslashreplace").decode()


def _matching(pattern: re.Pattern[str]) -> Callable[[str, Any, Any], str | None]:
    def read(value: str, request: Any, answer: Any) -> str | None:
        return value if pattern.fullmatch(value) else None

    return read


def _number(name: str) -> Callable[[str, Any, Any], str]:
    def read(value: str, request: Any, answer: Any) -> str:
        if not _DIGITS.fullmatch(value) or int(value) > MAX_SIZE:
            raise refused(f"its {name} is no size: '{clipped(value, 40)}'")
        return value

    return read


def _commit(value: str, request: Any, answer: Any) -> str:
    if not COMMIT.fullmatch(value):
        raise refused(f"its X-Repo-Commit is no commit: '{clipped(value, 60)}'")
    return value


def _linked_etag(value: str, request: Any, answer: Any) -> str:
    """The hash of a file's content, which the client uses in a path."""
    # As the client does it, so that the check is of the value it would use.
    name = value.lstrip("W/").strip('"')
    if not _HASH.fullmatch(name):
        raise refused(f"its ETag is no hash: '{clipped(value, 60)}'")
    return f'"{name}"'


def _etag(value: str, request: Any, answer: Any) -> str | None:
    """An ETag is used only in the answer to HEAD, without a linked ETag."""
    if request.method == "HEAD" and answer.status_code == 200 and "X-Linked-Etag" not in answer.headers:
        return _linked_etag(value, request, answer)
    with suppress(GptcliError):
        return _linked_etag(value, request, answer)
    return None


def _content_range(value: str, request: Any, answer: Any) -> str | None:
    return value if answer.status_code == 206 and _CONTENT_RANGE.fullmatch(value) else None


def _location(value: str, request: Any, answer: Any) -> str | None:
    """The target of a redirect, normalised so that every library reads it the same way."""
    if answer.status_code not in REDIRECTS:
        return None
    shown = clipped(value, 60)
    try:
        if len(value) > _MAX_ADDRESS:
            raise ValueError
        target = request.url.join(value)
        port = target.port or 443
    except (ValueError, TypeError, http_library().InvalidURL):
        raise refused(f"it redirects to '{shown}', which is no address") from None
    if target.scheme not in ("http", "https") or not target.host or target.userinfo or port not in range(1, 65536):
        raise refused(f"it redirects to '{shown}', which is no http:// or https:// address")
    if request.url.scheme == "https" and target.scheme != "https":
        raise refused(f"it redirects from https:// to '{shown}', where anybody could listen")
    path: str = target.raw_path.decode("ascii")
    stays = (target.scheme, target.host, target.port) == (request.url.scheme, request.url.host, request.url.port)
    # Relative ones stay relative: some releases of the client follow only those for a file's metadata.
    relative = stays and value.startswith("/") and not path.startswith("//")
    return path if relative else str(target.copy_with(fragment=None))


# Headers that nothing depends on.
_WORDS = ("content-type", "retry-after", "x-error-code", "x-error-message", "x-hf-warning")
HEADERS: dict[str, Callable[[str, Any, Any], str | None]] = {
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

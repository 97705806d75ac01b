"""A hub on 127.0.0.1 that is honest but for one thing: each answer of a kind passes through a function that changes it.

The path of ``HF_ENDPOINT`` says which lie is told: ``http://127.0.0.1:PORT/NAME``. Answers are written to the socket as
they are, so that anything can be said that HTTP has no place for.
"""

import json
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40
CONFIG = json.dumps(
    {"model_type": "gpt2", "vocab_size": 10, "n_positions": 8, "n_embd": 4, "n_head": 1, "n_layer": 1}
).encode()


def safetensors(header: bytes | object, data: int = 160) -> bytes:
    """A file with this header, as JSON or as it is, and so many bytes of data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


WEIGHTS = safetensors({"wte.weight": {"dtype": "F32", "shape": [10, 4], "data_offsets": [0, 160]}})


@dataclass
class Answer:
    """What is sent.

    Attributes:
        status: as it stands in the first line.
        headers: in order; the length of the body is added unless one of them says how it ends.
        body: its bytes, or the parts that are sent one after the other.
        stays: keep the connection open after it, so that a client waits for more.
        raw: send this in place of all of it.
    """

    status: int | str = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Iterator[bytes] = b""
    stays: bool = False
    raw: bytes | Iterator[bytes] | None = None

    def set(self, name: str, value: str | None) -> None:
        """Give a header another value, or none."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


Change = Callable[[Answer], None]


def trickle(data: bytes, seconds: float = 0.3) -> Iterator[bytes]:
    """A byte at a time."""
    for byte in data:
        yield bytes([byte])
        time.sleep(seconds)


def endless(start: bytes, part: bytes) -> Iterator[bytes]:
    """Text that never ends."""
    yield start
    while True:
        yield part


def chunked(parts: Iterator[bytes]) -> Iterator[bytes]:
    """As the body of an answer with ``Transfer-Encoding: chunked``."""
    for part in parts:
        yield b"%x\r\n" % len(part) + part + b"\r\n"
    yield b"0\r\n\r\n"


class LyingHub:
    """The server's state.

    Attributes:
        lies: name -> which answers change (``api``; ``head FILE``, ``get FILE``, ``range FILE``; or one of several,
            with ``|``), and how.
        files: name -> content; a lie may have files of its own in ``own``.
        asked: method, path and Range of each request.
    """

    def __init__(self) -> None:
        self.lies: dict[str, tuple[str, Change]] = {}
        self.files = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
        self.own: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.port = 0

    def url(self, lie: str) -> str:
        """The endpoint of a hub that tells this lie."""
        return f"http://127.0.0.1:{self.port}/{lie}"

    def answer(self, method: str, path: str, asked: str | None) -> Answer:
        """The answer to a request, changed if the lie is about it."""
        self.asked.append((method, path, asked))
        lie, *parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        files = self.files | self.own.get(lie, {})
        kind, made = self._honest(method, parts, files, asked)
        on, change = self.lies.get(lie, ("", lambda answer: None))
        if kind in on.split("|"):
            change(made)
        return made

    def _honest(self, method: str, parts: list[str], files: dict[str, bytes], asked: str | None) -> tuple[str, Answer]:
        if parts[:1] == ["api"]:
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            info = {"id": "o/m", "sha": COMMIT, "siblings": siblings, "tags": []}
            return "api", Answer(headers=[("Content-Type", "application/json")], body=json.dumps(info).encode())
        file = parts[-1]
        data = files[file]
        name = sha256(data).hexdigest() if file.endswith(".safetensors") else sha1(data).hexdigest()
        made = Answer(headers=[("ETag", f'"{name}"'), ("X-Repo-Commit", COMMIT)], body=data)
        if asked is not None:
            first, last = asked.removeprefix("bytes=").split("-")
            made.body = data[int(first) : int(last) + 1 if last else None]
            made.status = 206
            made.headers.append(("Content-Range", f"bytes {first}-{int(first) + len(made.body) - 1}/{len(data)}"))
        return f"{'head' if method == 'HEAD' else 'range' if asked else 'get'} {file}", made


class _Handler(socketserver.StreamRequestHandler):
    hub: LyingHub

    def handle(self) -> None:
        while line := self.rfile.readline():
            method, path, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while (line := self.rfile.readline()).strip():
                key, _, value = line.decode("latin-1").partition(":")
                headers[key.lower()] = value.strip()
            if not self._send(self.hub.answer(method, path, headers.get("range")), method):
                return

    def _send(self, answer: Answer, method: str) -> bool:
        """Whether the connection goes on."""
        if answer.raw is not None:
            self._write(answer.raw)
            return False
        headers = answer.headers
        ends = {"content-length", "transfer-encoding"} & {name.lower() for name, _ in headers}
        if not ends and isinstance(answer.body, bytes):
            headers = [*headers, ("Content-Length", str(len(answer.body)))]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._write(f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode("latin-1"))
        if method != "HEAD":
            self._write(answer.body)
        if answer.stays:
            time.sleep(60)
        return method == "HEAD" or (isinstance(answer.body, bytes) and not ends)

    def _write(self, data: bytes | Iterator[bytes]) -> None:
        for part in [data] if isinstance(data, bytes) else data:
            self.wfile.write(part)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is what most lies are meant to end in."""


@contextmanager
def lying_hub() -> Iterator[LyingHub]:
    """The server, for as long as the block lasts."""
    hub = LyingHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()

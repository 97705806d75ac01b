"""A small hub on 127.0.0.1: enough of the real one's protocol for its own client to download from, and to be let down.

Two servers: the hub, and the storage that large files redirect to, which must never see a token. Requests are logged.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 2_000  # bytes from which a file lies in the storage
TOKEN = "hf_right"
_ELSEWHERE = "api/resolve-cache"


@dataclass
class Repo:
    """One repository: its revisions, and who may read it.

    Attributes:
        revisions: branch -> commit.
        commits: commit -> files.
        access: open, private or gated.
        proposals: numbers of pull requests by the conversion bot.
    """

    revisions: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    access: str = "open"
    proposals: tuple[int, ...] = ()

    def push(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Make a commit of these files and let a branch point to it."""
        commit = sha1(repr((sorted(files.items()), branch)).encode()).hexdigest()
        self.commits[commit] = files
        self.revisions[branch] = commit
        return commit


@dataclass
class Fault:
    """A way to fail a request.

    Attributes:
        path: the request's path holds this.
        method: and it is of this kind.
        times: how often it fails before it works.
        status: answer with this status, or with 0 do as ``cut`` or ``body`` says.
        headers: of that answer.
        cut: send this many bytes of the body, then close the connection.
        body: answer 200 with this instead.
        stall: say nothing for so many seconds first.
    """

    path: str
    method: str = "GET"
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    body: bytes | None = None
    stall: float = 0.0


@dataclass
class Request:
    """What was asked for."""

    server: str
    method: str
    path: str
    headers: dict[str, str]
    status: int = 0


class Hub:
    """The state of both servers.

    Attributes:
        moved: old name -> new one, to which requests are redirected.
        keeps_small_files_elsewhere: redirect them to another path of this hub, as the real one does at times.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.moved: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.keeps_small_files_elsewhere = False
        self.url = self.storage_url = ""

    def add(self, name: str, files: dict[str, bytes], **about: Any) -> Repo:
        """A new repository with these files on main."""
        repo = self.repos[name] = Repo(**about)
        repo.push(files)
        return repo

    def asked(self, method: str = "GET", server: str = "") -> list[str]:
        """Paths of the requests so far, of one method (of one server)."""
        return [r.path for r in self.requests if r.method == method and server in r.server]

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that strikes a request, if any; uses it up once."""
        for fault in self.faults:
            if fault.times and fault.method == method and fault.path in path:
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    kind = "hub"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.serve()

    def do_HEAD(self) -> None:
        self.serve()

    def serve(self) -> None:
        path = urlsplit(self.path).path
        self.asked = Request(self.kind, self.command, unquote(path), {k.lower(): v for k, v in self.headers.items()})
        self.hub.requests.append(self.asked)
        self.struck = self.hub.fault(self.command, unquote(path))
        if self.struck is not None and self.struck.stall:
            threading.Event().wait(self.struck.stall)
        if self.struck is not None and self.struck.status:
            return self.send(self.struck.status, headers=self.struck.headers)
        if self.struck is not None and self.struck.body is not None:
            return self.send(200, self.struck.body)
        self.answer([unquote(part) for part in path.strip("/").split("/")])

    def answer(self, parts: list[str]) -> None:
        raise NotImplementedError

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.asked.status = status
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.struck is not None and self.struck.cut is not None:
            self.wfile.write(body[: self.struck.cut])
            self.close_connection = True
            return
        self.wfile.write(body)

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        """The file, or the range of it that is asked for."""
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, last = asked[6:].split("-")
            part = data[int(first) : int(last) + 1 if last else None]
            place = {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"}
            return self.send(206, part, headers | place)
        self.send(200, data, headers)


class _HubHandler(_Handler):
    def answer(self, parts: list[str]) -> None:
        if "/".join(parts[:2]) == _ELSEWHERE:
            parts = parts[2:]
        if parts[0] == "api" and parts[1] != "models":
            return self.send(404)
        api = parts[0] == "api"
        name, rest = "/".join(parts[2:4] if api else parts[:2]), parts[4:] if api else parts[2:]
        if name in self.hub.moved:
            target = self.path.replace(name, self.hub.moved[name], 1)
            return self.send(307, headers={"Location": target})
        repo = self.hub.repos.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token != TOKEN:
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if repo is None or (repo.access == "private" and not token):
            return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        if repo.access == "gated" and not token:
            return self.refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
        if rest == ["discussions"]:
            return self.send_json({"count": len(repo.proposals), "start": 0, "discussions": _proposals(repo, name)})
        commit = repo.revisions.get(rest[1], rest[1])
        if commit not in repo.commits:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
        files = repo.commits[commit]
        if api:
            siblings = [{"rfilename": path, "size": len(data), "blobId": "0"} for path, data in files.items()]
            return self.send_json({"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []})
        self.resolve(commit, files, "/".join(rest[2:]))

    def resolve(self, commit: str, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            return self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        data = files[path]
        if self.hub.keeps_small_files_elsewhere and _ELSEWHERE not in self.path and len(data) < LARGE:
            target = f"/{_ELSEWHERE}{self.path}?etag=%22x%22"
            return self.send(
                307, b"Temporary Redirect", {"Location": target, "X-Repo-Commit": commit, "ETag": 'W/"3a-x"'}
            )
        if len(data) < LARGE:
            return self.send_file(data, {"ETag": f'"{sha1(data).hexdigest()}"', "X-Repo-Commit": commit})
        digest = sha256(data).hexdigest()
        headers = {
            "Location": f"{self.hub.storage_url}/{digest}?signature=secret",
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            # The hub's own protocol, which is not spoken here: a client that takes this up is lost.
            "X-Xet-Hash": digest,
            "X-Xet-Refresh-Route": f"{self.hub.url}/api/models/xet-read-token/{commit}",
            "Link": f'<{self.hub.url}/api/models/xet-read-token/{commit}>; rel="xet-auth"',
        }
        self.send(302, headers=headers)

    def refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        named = {"X-Error-Code": code} if code else {}
        self.send(status, b"", named | {"X-Error-Message": message} | (headers or {}))

    def send_json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


class _StorageHandler(_Handler):
    kind = "storage"

    def answer(self, parts: list[str]) -> None:
        for repo in self.hub.repos.values():
            for files in repo.commits.values():
                for data in files.values():
                    if sha256(data).hexdigest() == parts[0]:
                        # The client's progress bar would show this name; it must not reach a terminal raw.
                        named = {"Content-Disposition": 'inline; filename="\x1b[31mstored";', "ETag": f'"{parts[0]}"'}
                        return self.send_file(data, named)
        self.send(404)


def _proposals(repo: Repo, name: str) -> list[dict[str, Any]]:
    return [
        {
            "num": number,
            "title": "Adding `safetensors` variant of this model",
            "author": {"name": "SFconvertbot"},
            "status": "open",
            "isPullRequest": True,
            "createdAt": "2023-04-02T10:00:00.000Z",
            "repo": {"name": name, "type": "model"},
            "repoOwner": {"name": name.split("/")[0]},
        }
        for number in repo.proposals
    ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is no news."""


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Both servers, for as long as the block lasts."""
    hub = Hub()
    servers = [
        _Server(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
        for handler in (_HubHandler, _StorageHandler)
    ]
    hub.url, hub.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

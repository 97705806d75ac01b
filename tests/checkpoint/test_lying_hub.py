"""Whatever a hub answers ends in one line: one lie a row, told to the command itself in a process of its own."""

import functools
import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.amount import amount
from tests.checkpoint.lying_hub import (
    COMMIT,
    CONFIG,
    WEIGHTS,
    Answer,
    Change,
    LyingHub,
    chunked,
    endless,
    lying_hub,
    safetensors,
    trickle,
)
from tests.conftest import command

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")]
MEMORY = 1_500_000_000
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def header(name: str, value: str | None) -> Change:
    return lambda answer: answer.set(name, value)


def also(name: str, value: str) -> Change:
    """The header a second time, with another value."""
    return lambda answer: answer.headers.append((name, value))


def info(**fields: Any) -> Change:
    """Another list of files; ``size`` and ``rfilename`` are those of the weights."""

    def change(answer: Answer) -> None:
        assert isinstance(answer.body, bytes)
        told = json.loads(answer.body)
        for name in ("size", "rfilename"):
            if name in fields:
                told["siblings"][1][name] = fields[name]
        told |= {name: value for name, value in fields.items() if name not in ("size", "rfilename")}
        answer.body = json.dumps(told).encode()

    return change


def body(data: bytes) -> Change:
    def change(answer: Answer) -> None:
        answer.body = data

    return change


def file_of(header: bytes | object, data: int = 160) -> tuple[str, bytes]:
    return "file", safetensors(header, data)


def status(code: int | str, **headers: str) -> Change:
    def change(answer: Answer) -> None:
        answer.status, answer.body = code, b""
        for name, value in headers.items():
            answer.set(name.replace("_", "-"), value)

    return change


def raw(data: bytes) -> Change:
    def change(answer: Answer) -> None:
        answer.raw = data

    return change


def raw_parts(make: Any) -> Change:
    def change(answer: Answer) -> None:
        answer.raw = make()

    return change


def parts(make: Any, *headers: tuple[str, str]) -> Change:
    """A body in chunks, made for each answer."""

    def change(answer: Answer) -> None:
        answer.set("Content-Length", None)
        for name, value in (("Transfer-Encoding", "chunked"), *headers):
            answer.set(name, value)
        answer.body = chunked(make())

    return change


def announced(nbytes: int, stays: bool = False) -> Change:
    """The length of the body is said to be another."""

    def change(answer: Answer) -> None:
        answer.set("Content-Length", str(nbytes))
        answer.stays = stays

    return change


@functools.cache
def bomb() -> bytes:
    """Gzip of a text that goes on for 2 GB."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * 10_000_000) for _ in range(200)) + packer.flush()


def gzipped(answer: Answer) -> None:
    answer.set("Content-Encoding", "gzip")
    answer.body = bomb()


def whole(megabytes: int) -> Change:
    """All of a large file, where a part was asked for."""

    def change(answer: Answer) -> None:
        answer.status = 200
        answer.set("Content-Range", None)
        answer.set("Content-Length", str(megabytes * 1_000_000))
        answer.body = (bytes(1_000_000) for _ in range(megabytes))

    return change


def both(*changes: Change) -> Change:
    def change(answer: Answer) -> None:
        for each in changes:
            each(answer)

    return change


def informational() -> Iterator[bytes]:
    return endless(b"", b"HTTP/1.1 103 X\r\n\r\n" * 1000)


NOT = r"does not answer as the hub does \("
SLOW = r"took too long: 2 seconds are over for "
API, HEAD, GET, RANGE = "api", "head config.json", "get config.json", "range model.safetensors"
HEAD_LARGE, GET_LARGE = "head model.safetensors", "get model.safetensors"
TWICE = (
    b'{"a":{"dtype":"F32","shape":[40],"data_offsets":[0,160]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
)
DEEP = b"[" * 200_000
# Name -> which answer lies, how, and what is said of it. OUTSIDE stands for a path outside of the cache.
LIES: dict[str, tuple[str, Any, str]] = {
    # What the client would make paths of.
    "etag absolute": (HEAD, header("ETag", '"OUTSIDE/owned.pth"'), NOT + "its ETag is no hash"),
    "etag up": (HEAD, header("ETag", '"../../../../outside/owned"'), NOT + "its ETag is no hash"),
    "etag weak": (HEAD, header("ETag", 'W/"../../../../outside/owned"'), NOT + "its ETag is no hash"),
    "etag stripped": (HEAD, header("ETag", "W/W/" + '"' + "/tmp" * 10 + '"'), NOT + "its ETag is no hash"),
    "etag linked": (HEAD, header("X-Linked-Etag", '"OUTSIDE/owned"'), NOT + "its ETag is no hash"),
    "etag linked elsewhere": (
        HEAD,
        both(status(302, Location="http://127.0.0.1:9/x"), header("X-Linked-Etag", '"OUTSIDE/owned"')),
        NOT + "its ETag is no hash",
    ),
    "etag upper case": (HEAD, header("ETag", f'"{"A" * 40}"'), NOT + "its ETag is no hash"),
    "etag short": (HEAD, header("ETag", '"abc"'), NOT + "its ETag is no hash"),
    "etag long": (HEAD, header("ETag", '"' + "a" * 5_000 + '"'), NOT + "its ETag is no hash"),
    "etag of digits beyond ASCII": (HEAD, header("ETag", '"' + "\xb2" * 40 + '"'), NOT + "its ETag is no hash"),
    "etag twice": (HEAD, also("ETag", f'"{"b" * 40}"'), NOT + "its etag stands there several times"),
    "no etag": (HEAD, header("ETag", None), NOT + "it gives no ETag"),
    "etag of weights": (HEAD_LARGE, header("X-Linked-Etag", '"OUTSIDE/owned"'), NOT + "its ETag is no hash"),
    "commit as a path": (
        HEAD,
        header("X-Repo-Commit", "../../../../outside/c"),
        NOT + "its X-Repo-Commit is no commit",
    ),
    "commit of a missing file": (
        HEAD,
        both(status(404, X_Error_Code="EntryNotFound"), header("X-Repo-Commit", "../../../../outside/c")),
        NOT + "its X-Repo-Commit is no commit",
    ),
    "another commit": (HEAD, header("X-Repo-Commit", "b" * 40), NOT + "it gives config.json of another commit"),
    "no commit": (HEAD, header("X-Repo-Commit", None), NOT + "it gives no commit for config.json"),
    "listed commit as a path": (API, info(sha="../../../../outside/c"), NOT + "it gives no commit"),
    "listed commit a number": (API, info(sha=5), NOT + "it gives no commit"),
    "names that lead out": (
        API,
        info(siblings=[{"rfilename": n} for n in ("../config.json", "/etc/passwd", "..", "a\\b", "x/config.json")]),
        "o/m lacks config.json",
    ),
    # What it would take for a size.
    "listed size negative": (API, info(size=-5), NOT + "it lists 'model.safetensors' with an impossible size"),
    "listed size endless": (API, info(size=10**400), NOT + "it lists 'model.safetensors' with an impossible size"),
    "listed size a fraction": (API, info(size=1.5), NOT + "it lists 'model.safetensors' with an impossible size"),
    "listed size a text": (API, info(size="5"), NOT + "it lists 'model.safetensors' with an impossible size"),
    "listed size true": (API, info(size=True), NOT + "it lists 'model.safetensors' with an impossible size"),
    "listed twice": (API, info(rfilename="config.json"), NOT + "it lists 'config.json' twice"),
    "listed other": (
        HEAD_LARGE,
        header("Content-Length", "99"),
        r"lists model.safetensors with \d+ bytes, and then says",
    ),
    "linked size negative": (HEAD, header("X-Linked-Size", "-5"), NOT + "its X-Linked-Size is no size"),
    "linked size endless": (HEAD, header("X-Linked-Size", "9" * 300), NOT + "its X-Linked-Size is no size"),
    "linked size odd": (HEAD, header("X-Linked-Size", "1_0"), NOT + "its X-Linked-Size is no size"),
    "length negative": (HEAD, header("Content-Length", "-5"), "broke off|does not answer"),
    "length endless": (HEAD, header("Content-Length", "9" * 30), "broke off|does not answer"),
    "length of 100 GB": (GET, announced(10**11), NOT + "it announces 100 GB for config.json"),
    "config of 100 GB": (
        API,
        info(siblings=[{"rfilename": "config.json", "size": 10**11}, {"rfilename": "model.safetensors", "size": 9}]),
        "lists config.json with 100,000,000,000 bytes, and then says",
    ),
    "weights of a PB": (
        API,
        info(size=10**15),
        r"lists model.safetensors with 1,0.* bytes, and then says|has 1\.00 PB free|needs 1.00 PB",
    ),
    # Where it would go.
    "redirect to a file": (GET, status(302, Location="file:///etc/passwd"), NOT + "it redirects to 'file:///etc"),
    "redirect of the list": (API, status(302, Location="file:///etc/passwd"), NOT + "it redirects to 'file:///etc"),
    "redirect of metadata": (
        HEAD,
        status(302, Location="file:///etc/passwd", X_Linked_Size="5", X_Linked_Etag='"' + "a" * 40 + '"'),
        NOT + "it redirects to 'file:///etc",
    ),
    "redirect nowhere": (GET, status(302), NOT + "HTTP 302 to nowhere"),
    "redirect to no address": (
        GET,
        status(302, Location="http://[::"),
        NOT + "it redirects to 'http://.::', which is no",
    ),
    "redirect to a port beyond": (GET, status(302, Location="http://127.0.0.1:99999/"), NOT + "it redirects to"),
    "redirect with a password": (GET, status(302, Location="http://a:b@127.0.0.1:9/"), NOT + "it redirects to"),
    "redirect that is long": (GET, status(302, Location="/" + "x" * 9_000), NOT + "it redirects to"),
    "redirect in circles": (GET, status(302, Location="/redirect in circles/o/m/resolve/x/config.json"), "without end"),
    "redirected list in circles": (
        API,
        status(302, Location="/redirected list in circles/api/models/o/m"),
        NOT + "it sends from one address",
    ),
    "metadata in circles": (
        HEAD,
        status(302, Location="/metadata in circles/o/m/resolve/x/config.json"),
        NOT + "it sends from one address",
    ),
    # How it would be told.
    "a status of its own": (API, status(999), NOT + "HTTP 999"),
    "a status without content": (API, status(204), NOT + "HTTP 204"),
    "garbage": (API, raw(b"\0\1\2" * 1000), "broke off|does not answer"),
    "nothing": (API, raw(b""), "broke off"),
    "waits for a day": (HEAD, status(503, Retry_After="86400"), r"asks to wait for 86400 seconds \(HTTP 503\)"),
    "waits for ever": (HEAD, status(429, Retry_After="9" * 400), "too many requests|took too long"),
    "limits by a pattern": (
        HEAD,
        both(status(429), header("ratelimit", '"a";r=0;t=99999'), header("ratelimit-policy", "q=1" * 20_000)),
        "too many requests|took too long",
    ),
    "an error that is a list": (API, both(status(418), body(b"[]")), "refuses .HTTP 418"),
    "an error nested deeply": (API, both(status(418), body(DEEP)), "refuses .HTTP 418"),
    "an error in pictures": (
        API,
        status(418, X_Error_Message="\x1b]0;x\x07" + "A" * 5_000),
        r"refuses .HTTP 418 .\\x1b\]0;x\\x07A{50,400}",
    ),
    "a warning without end": (
        API,
        both(status(418), header("X-HF-Warning", "a; " + "B" * 50_000)),
        "refuses .HTTP 418",
    ),
    # The list of files.
    "list a text": (API, body(b'"hello"'), NOT + "its answer is not a JSON object"),
    "list a list": (API, body(b"[]"), NOT + "its answer is not a JSON object"),
    "list nested deeply": (API, body(b'{"siblings":' + DEEP), NOT + "its answer is not valid JSON: nested too deeply"),
    "list nested in what is not used": (
        API,
        body(b'{"sha":"' + b"a" * 40 + b'","cardData":' + DEEP + b"]" * 200_000 + b"}"),
        NOT + "its answer is not valid JSON: nested too deeply",
    ),
    "list with a key twice": (
        API,
        body(b'{"sha":1,"sha":2}'),
        NOT + "its answer is not valid JSON: a key appears",
    ),
    "list in other bytes": (API, body(b'{"id":"\xff"}'), NOT + "its answer is not valid JSON"),
    "list in UTF-16": (API, body('{"id":1}'.encode("utf-16")), NOT + "its answer is not valid JSON"),
    "list with NaN": (API, body(b'{"id":NaN}'), NOT + "its answer is not valid JSON"),
    "list with a number without end": (
        API,
        body(b'{"siblings":' + b"9" * 5_000_000 + b"}"),
        NOT + "it gives no commit",
    ),
    "list cut short": (API, body(b'{"id":"o/m","sha"'), NOT + "its answer is not valid JSON"),
    "list of nothing": (API, info(siblings=[None]), NOT + "it lists a file without a name"),
    "list of numbers": (API, info(siblings=[{"rfilename": 5}]), NOT + "it lists a file without a name"),
    "list that is none": (API, info(siblings={"a": 1}), NOT + "it gives no list of files"),
    "list of empty lists": (
        API,
        body(b'{"a":[' + b"[]," * 6_000_000 + b"[]]}"),
        NOT + "its answer would take .* of memory",
    ),
    # Memory.
    "list without end": (
        API,
        parts(lambda: endless(b'{"x":"', b"A" * 1_000_000)),
        NOT + "it sends more than the 20.0 MB",
    ),
    "list that unpacks": (API, gzipped, NOT + r"it compresses the list of files of o/m .gzip"),
    "config that unpacks": (GET, gzipped, NOT + "it compresses config.json"),
    "config without end": (
        GET,
        parts(lambda: endless(b"{", b" " * 1_000_000)),
        NOT + "it sends more than the .* bytes that",
    ),
    "header that unpacks": (RANGE, gzipped, NOT + "it compresses the header"),
    "an odd packing": (API, header("Content-Encoding", "br, gzip"), NOT + "it compresses"),
    "the whole file": (RANGE, whole(3_000), NOT + "HTTP 200 where a part was asked for"),
    "weights without end": (
        GET_LARGE,
        parts(lambda: endless(WEIGHTS, bytes(1_000_000))),
        NOT + "it sends more than the",
    ),
    # Ranges and headers.
    "part of what": (RANGE, header("Content-Range", None), NOT + "it does not say which part"),
    "part of something": (RANGE, header("Content-Range", "bytes 0-9/*"), NOT + "it does not say which part"),
    "another part": (RANGE, header("Content-Range", "bytes 5-9/200"), NOT + "it sends another part"),
    "part of another": (RANGE, header("Content-Range", "bytes 0-9/10"), NOT + "a file of .* bytes has 10 all at once"),
    "part beyond the end": (RANGE, header("Content-Range", "bytes 0-9/5"), NOT + "it sends another part"),
    "part that is shorter": (
        RANGE,
        both(body(WEIGHTS[:20]), header("Connection", "close")),
        NOT + "of model.safetensors it sends 20",
    ),
    "a part for the whole": (
        GET,
        both(status(206), header("Content-Range", "bytes 0-1/2")),
        NOT + "HTTP 206 where no range",
    ),
    "no part": (RANGE, status(416), "refuses .HTTP 416"),
    "header nested deeply": (RANGE, file_of(b'{"a":' + DEEP), "the header is not valid JSON: nested too deeply"),
    "header with a key twice": (RANGE, file_of(TWICE), "the header is not valid JSON: the key 'a' appears twice"),
    "header of half characters": (
        RANGE,
        file_of(b'{"\\ud800":{"dtype":"F32","shape":[40],"data_offsets":[0,160]}}'),
        "the header is not valid JSON|surrogates",
    ),
    "offsets of text": (RANGE, file_of({"w": ONE | {"data_offsets": ["a", "b"]}}), "no usable data_offsets"),
    "offsets of nothing": (RANGE, file_of({"w": ONE | {"data_offsets": []}}), "no usable data_offsets"),
    "offsets that are fractions": (RANGE, file_of({"w": ONE | {"data_offsets": [0.0, 4.0]}}), "no usable data_offsets"),
    "offsets below zero": (RANGE, file_of({"w": ONE | {"data_offsets": [-4, 0]}}), "the number -4 is not between"),
    "offsets beyond": (RANGE, file_of({"w": ONE | {"data_offsets": [0, 10**18]}}), "bytes long"),
    "shape of text": (RANGE, file_of({"w": ONE | {"shape": "abc"}}), "no usable shape"),
    "shape without end": (RANGE, file_of({"w": ONE | {"shape": [10**18] * 500}}), "impossible shape"),
    "type of a list": (RANGE, file_of({"w": ONE | {"dtype": ["F32"]}}), "unknown dtype"),
    "tensor of nothing": (RANGE, file_of({"w": None}), "is not described by a JSON object"),
    "metadata of numbers": (
        RANGE,
        file_of({"__metadata__": {"a": 5}, "w": ONE}),
        "__metadata__ must map names to texts",
    ),
    "a hole at the end": (RANGE, file_of({"w": ONE}), "has 156 bytes after its last tensor"),
    "header of 2^63 bytes": (RANGE, ("file", (2**63).to_bytes(8, "little") + bytes(90)), "the format allows"),
    "header of 99 MB": (RANGE, ("file", (99_999_999).to_bytes(8, "little") + bytes(90)), "is cut short"),
    "a pointer": (RANGE, ("file", b"version https://git-lfs.github.com/spec/v1\n" + bytes(90)), "is a git-lfs pointer"),
    "an empty file": (RANGE, ("file", b""), "model.safetensors on the hub is empty"),
    # Time, with --timeout 2.
    "list a byte at a time": (API, parts(lambda: trickle(b"{" + b" " * 500)), SLOW + "the list of files of o/m"),
    "first line a byte at a time": (API, raw_parts(lambda: trickle(b"HTTP/1.1 200 OK\r\n" * 50)), SLOW + "the list"),
    "headers a byte at a time": (
        API,
        raw_parts(lambda: trickle(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500)),
        SLOW + "the list",
    ),
    "only promises": (API, raw_parts(informational), SLOW + "the list"),
    "silence": (API, both(body(b""), announced(50, stays=True)), SLOW + "the list"),
    "config a byte at a time": (GET, parts(lambda: trickle(CONFIG)), SLOW + "config.json"),
    "config cut short, and silence": (
        GET,
        both(body(CONFIG[:3]), announced(len(CONFIG), stays=True)),
        SLOW + "config.json",
    ),
    "config cut short": (
        f"{GET}|range config.json",
        both(body(CONFIG[:3]), header("Content-Length", "90")),
        "broke off in config.json",
    ),
    "header a byte at a time": (RANGE, parts(lambda: trickle(WEIGHTS)), SLOW + "the header of model.safetensors"),
    "metadata in silence": (
        HEAD,
        raw_parts(lambda: trickle(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500)),
        SLOW + "config.json",
    ),
    "weights a byte at a time": (GET_LARGE, parts(lambda: trickle(WEIGHTS)), "has come to a standstill: of model.safe"),
}


@pytest.fixture(scope="module")
def hub() -> Iterator[LyingHub]:
    bomb()  # before a client waits for it
    with lying_hub() as served:
        for name, (on, change, _) in LIES.items():
            if isinstance(change, tuple):
                served.own[name] = {"model.safetensors": change[1]}
            else:
                served.lies[name] = (on, change)
        yield served


def run(hub: LyingHub, lie: str, folder: Path, *words: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A command, told a lie; nothing but its cache may lie in the folder afterwards."""
    environment = env | {
        "HF_ENDPOINT": hub.url(lie.replace(" ", "%20")),
        "HF_HOME": str(folder / "home"),
        "NO_PROXY": "127.0.0.1",
        "GPTCLI_TIMEOUT": "2" if lie in LIES and "SLOW" in _kind(lie) else "20",
    }
    done = subprocess.run(
        command(words),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    allowed = re.compile(
        r"home(/hub(/models--o--m(/blobs(/[0-9a-f]{40,64}(\.incomplete)?)?|/refs(/main)?|/snapshots(/a{40}(/[a-z.]+)?)?"
        # The marks of a tokenizer's files that the commit lacks: no other name may lie there, whatever a hub lists.
        r"|/\.no_exist(/a{40}(/(tokenizer\.json|vocab\.json|merges\.txt|model\.safetensors\.index\.json))?)?)?"
        r"|/\.locks(/models--o--m(/[0-9a-f]{40,64}\.lock)?)?)?)?"
    )
    odd = [str(path) for path in folder.rglob("*") if not allowed.fullmatch(str(path.relative_to(folder)))]
    assert not odd, odd
    marks = [path for path in folder.rglob(".no_exist/**/*") if not path.is_dir() or path.is_symlink()]
    assert not [mark for mark in marks if mark.is_symlink() or mark.stat().st_size]
    return done


def _kind(lie: str) -> str:
    said = LIES[lie][2]
    return "SLOW" if "took too long: 2" in said or "standstill" in said else ""


def is_one_line(done: "subprocess.CompletedProcess[str]", said: str) -> None:
    assert "Traceback" not in done.stderr, done.stderr[-2_000:]
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    *before, last = done.stderr.splitlines()
    assert not [line for line in before if line.startswith("error:")]
    assert re.match("error: .*(?:" + said + ")", last), last
    assert len(last) < 1_000
    assert all(character.isprintable() for line in done.stderr.splitlines() for character in line)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_line(
    hub: LyingHub, lie: str, tmp_path: Path, child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on, _, said = LIES[lie]
    words = (
        ("models", "pull", "o/m") if on in (GET_LARGE, HEAD_LARGE) or lie == "weights of a PB" else ("params", "o/m")
    )
    if lie in hub.lies:
        honest = hub.lies[lie][1]
        monkeypatch.setitem(hub.lies, lie, (on, _placed(honest, tmp_path)))
    is_one_line(run(hub, lie, tmp_path, *words, env=child_environment), said)


def _placed(change: Change, folder: Path) -> Change:
    def placed(answer: Answer) -> None:
        change(answer)
        answer.headers = [(name, value.replace("OUTSIDE", f"{folder}/outside")) for name, value in answer.headers]

    return placed


COMMANDS = (
    ("models", "show", "o/m"),
    ("models", "pull", "o/m"),
    ("generate", "-m", "o/m", "A"),
    ("neighbors", "-m", "o/m", "A"),
)
TOLD = ("etag up", "listed size negative", "config cut short", "list nested deeply")


@pytest.mark.parametrize(
    ("lie", "words"),
    amount(list(zip(TOLD, COMMANDS, strict=True)), [(lie, words) for lie in TOLD for words in COMMANDS]),
)
def test_every_command_is_told_the_same(
    hub: LyingHub, lie: str, words: tuple[str, ...], tmp_path: Path, child_environment: dict[str, str]
) -> None:
    is_one_line(run(hub, lie, tmp_path, *words, env=child_environment), LIES[lie][2])


def test_a_hub_that_does_not_lie_is_believed(hub: LyingHub, tmp_path: Path, child_environment: dict[str, str]) -> None:
    hub.asked.clear()
    done = run(hub, "honest", tmp_path, "models", "pull", "o/m", env=child_environment)
    assert done.returncode == 0, done.stderr
    snapshot = tmp_path / "home" / "hub" / "models--o--m" / "snapshots" / COMMIT
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS
    # And nothing is asked but what was ordered: the client alone would ask for more.
    resolved = {f"/honest/o/m/resolve/{COMMIT}/{file}" for file in hub.files}
    assert {path.partition("?")[0] for _, path, _ in hub.asked} == {"/honest/api/models/o/m/revision/main", *resolved}


def test_a_list_does_not_choose_the_marks_of_what_is_absent(
    hub: LyingHub, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    """Of a tokenizer that is not there, the cache keeps the names that were asked for, and no other name of the hub."""
    strange = [
        *("../../../../outside", "OUTSIDE/owned", ".no_exist/x", "../tokenizer.json", "tokenizer.json/x"),
        *("x/vocab.json", "tokenizer.json ", "Tokenizer.json", "merges.txt\0", "..", "tokenizer.pickle"),
    ]

    def change(answer: Answer) -> None:
        assert isinstance(answer.body, bytes)
        told = json.loads(answer.body)
        names = [name.replace("OUTSIDE", f"{tmp_path}/outside") for name in strange]
        told["siblings"] += [{"rfilename": name, "size": 0} for name in names]
        answer.body = json.dumps(told).encode()

    hub.lies["strange names"] = ("api", change)
    done = run(hub, "strange names", tmp_path, "models", "pull", "o/m", env=child_environment)
    assert done.returncode == 0, done.stderr
    absent = tmp_path / "home" / "hub" / "models--o--m" / ".no_exist"
    assert {str(path.relative_to(absent)) for path in absent.rglob("*")} == {
        COMMIT,
        *(
            f"{COMMIT}/{file}"
            for file in ("tokenizer.json", "vocab.json", "merges.txt", "model.safetensors.index.json")
        ),
    }


def test_weights_that_stall_are_gone_on_with(hub: LyingHub, tmp_path: Path, child_environment: dict[str, str]) -> None:
    """Half of them come, then a byte at a time; the next time only the rest is asked for."""
    large = safetensors(
        {"wte.weight": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 4_000_000]}}, 4_000_000
    )
    large = large[:-2] + b"\1\2"
    hub.own["stalls"] = {"model.safetensors": large}
    half = len(large) // 2

    def stall(answer: Answer) -> None:
        answer.set("Content-Length", str(len(large)))
        answer.body = iter([large[:half]])
        answer.stays = True

    hub.lies["stalls"] = (GET_LARGE, stall)
    done = run(hub, "stalls", tmp_path, "models", "pull", "o/m", "--timeout", "2", env=child_environment)
    is_one_line(done, "has come to a standstill: of model.safetensors of o/m not 100 kB came in 2 seconds")
    (partial,) = (tmp_path / "home" / "hub" / "models--o--m" / "blobs").glob("*.incomplete")
    assert 0 < partial.stat().st_size <= half
    kept = partial.stat().st_size
    hub.asked.clear()
    done = run(hub, "stalls", tmp_path, "models", "pull", "o/m", env=child_environment)
    assert done.returncode == 0, done.stderr
    assert [asked for method, path, asked in hub.asked if method == "GET" and "model.s" in path] == [f"bytes={kept}-"]
    snapshot = tmp_path / "home" / "hub" / "models--o--m" / "snapshots" / COMMIT
    assert (snapshot / "model.safetensors").read_bytes() == large
    assert not list(partial.parent.glob("*.incomplete"))


@pytest.mark.parametrize("lie", ["list a byte at a time", "header a byte at a time", "weights a byte at a time"])
def test_ctrl_c_works_at_once(hub: LyingHub, lie: str, tmp_path: Path, child_environment: dict[str, str]) -> None:
    words = ("models", "pull", "o/m") if "weights" in lie else ("params", "o/m")
    environment = child_environment | {"HF_ENDPOINT": hub.url(lie.replace(" ", "%20")), "HF_HOME": str(tmp_path)}
    hub.asked.clear()
    process = subprocess.Popen(
        command((*words, "--timeout", "600")),
        env=environment | {"NO_PROXY": "127.0.0.1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    waits_for = {"list": "api", "header": "model.safetensors", "weights": "GET"}[lie.split()[0]]
    for _ in range(1_000):
        if any(waits_for in path or (waits_for == method and "model.s" in path) for method, path, _ in hub.asked):
            break
        threading.Event().wait(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said

"""Which weights a checkpoint has: a fingerprint at each start, and a hash of all bytes once.

Size and date do not identify weights: ``cp -p``, ``rsync -t``, tar, conda and nix keep or normalise dates, and other
weights of the same shape have the same size. Each start compares a fingerprint, which is a hash of the headers and of
samples spread over the data, and takes milliseconds. Only where the fingerprint is known is all of it hashed. That
hash is recorded in the user's cache with what ``stat`` says of the files. It is taken from the record while inode,
size, date and ``ctime`` are the same: a program that changes or replaces a file cannot set ``ctime`` back.
"""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import BinaryIO

from gptcli.checkpoint.families import Blueprint
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError, GptcliError
from gptcli.system.cache_folder import cache_folder
from gptcli.system.json_text import read_json_object
from gptcli.system.regular_file import Version, opened, version_of
from gptcli.system.regular_file import changed as file_changed
from gptcli.system.threads import default_threads
from gptcli.system.whole_file import write_whole

# Number of samples of a file, and bytes of each.
_SAMPLES, _SAMPLE = 64, 4096
_PIECE = 16 << 20  # bytes that are hashed at once, in one thread
_BLOCK = 1 << 20
# File systems round times to up to 2 s: two changes within that may leave the same ctime. In nanoseconds.
_SETTLED_NS = 2_000_000_000
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a checkpoint's files without reading all of them.

    Attributes:
        files: the .safetensors files, in order.
        states: what the system said of each before it was read.
        digest: of the headers, of samples of the data, and of how our tensors are made from them.
    """

    files: tuple[Path, ...]
    states: tuple[Version, ...]
    digest: str

    def unchanged(self) -> bool:
        """Whether nothing happened to the files since the fingerprint was taken."""
        try:
            return all(version_of(file).same_state(state) for file, state in zip(self.files, self.states, strict=True))
        except OSError:
            return False


def fingerprint_of(header: Header, blueprint: Blueprint) -> Fingerprint:
    """Take the fingerprint of a checkpoint's files: milliseconds, however large they are.

    Args:
        header: of the checkpoint, whose files are on this machine.
        blueprint: how our tensors are made from it: the same bytes, read another way, are other weights.

    Raises:
        CheckpointError: a file cannot be read.
    """
    made = [[name, part.how, *part.keys] for name, part in blueprint.tensors.items()]
    digest, states = hashlib.sha256(json.dumps(made).encode()), []
    for path in header.files:
        with opened(path) as (file, state):
            states.append(state)
            start = min((info.start for info in header.tensors.values() if info.file == path), default=state.size)
            digest.update(state.size.to_bytes(8, "little"))
            for block in _blocks(file, path, 0, start):
                digest.update(block)
            for number in range(_SAMPLES):
                offset = start + max(state.size - start - _SAMPLE, 0) * number // (_SAMPLES - 1)
                for block in _blocks(file, path, offset, min(_SAMPLE, state.size - offset)):
                    digest.update(block)
    return Fingerprint(header.files, tuple(states), digest.hexdigest())


def content_of(fingerprint: Fingerprint) -> str:
    """The hash of all bytes of the files, in hexadecimal; from the record where they did not change since.

    Raises:
        CheckpointError: a file cannot be read, or changes while it is.
    """
    if known := _recorded(fingerprint):
        return known
    started = time.time_ns()
    digest = hashlib.sha256(fingerprint.digest.encode())
    for piece in _hashed(fingerprint):
        digest.update(piece)
    if not fingerprint.unchanged():
        raise changed(fingerprint)
    _record(fingerprint, digest.hexdigest(), started)
    return digest.hexdigest()


def changed(fingerprint: Fingerprint) -> CheckpointError:
    """The error for files that changed after their fingerprint was taken."""
    return file_changed(fingerprint.files[0])


def _hashed(fingerprint: Fingerprint) -> Iterator[bytes]:
    """The hash of each piece, in order."""
    from concurrent.futures import ThreadPoolExecutor

    sizes = [state.size for state in fingerprint.states]
    pieces = [
        (path, start, min(_PIECE, size - start))
        for path, size in zip(fingerprint.files, sizes, strict=True)
        for start in range(0, size, _PIECE)
    ]
    with ThreadPoolExecutor(default_threads()) as threads:
        yield from threads.map(lambda piece: _hash(*piece), pieces)


def _hash(path: Path, start: int, count: int) -> bytes:
    digest = hashlib.sha256()
    with opened(path) as (file, _):
        for block in _blocks(file, path, start, count):
            digest.update(block)
    return digest.digest()


def _blocks(file: BinaryIO, path: Path, start: int, count: int) -> Iterator[bytes]:
    """``count`` bytes of a file, from an offset on."""
    file.seek(start)
    while count > 0:
        block = file.read(min(count, _BLOCK))
        if not block:
            raise CheckpointError(f"{path} became shorter while it was read")
        count -= len(block)
        yield block


def _record_of(fingerprint: Fingerprint) -> Path:
    """The file that records the hash of the files at these paths."""
    paths = "\0".join(str(path.resolve()) for path in fingerprint.files)
    return cache_folder() / "seen" / f"{hashlib.sha256(os.fsencode(paths)).hexdigest()[:32]}.json"


def _recorded(fingerprint: Fingerprint) -> str | None:
    """The recorded hash; None where there is none, or the files are others."""
    if sys.platform == "win32":
        return None  # there ctime is the time of creation, which a change does not change
    with suppress(GptcliError, OSError, RuntimeError):  # not there, not ours to read, a loop of links
        record = read_json_object(_record_of(fingerprint))
        content = record.get("content")
        states = [list(astuple(state)) for state in fingerprint.states]
        same = record.get("fingerprint") == fingerprint.digest and record.get("files") == states
        return content if same and isinstance(content, str) and _HASH.fullmatch(content) else None
    return None


def _record(fingerprint: Fingerprint, content: str, started: int) -> None:
    """Record a hash, unless the files changed so recently that another change might not show in ctime."""
    if any(state.ctime_ns > started - _SETTLED_NS for state in fingerprint.states):
        return
    with suppress(GptcliError, OSError, RuntimeError):  # a read-only cache: the next start hashes again
        path = _record_of(fingerprint)
        make_folder(path.parent)
        states = [list(astuple(state)) for state in fingerprint.states]
        write_whole(path, json.dumps({"fingerprint": fingerprint.digest, "content": content, "files": states}))


def make_folder(folder: Path) -> None:
    """Make a folder of the cache, for the user alone to write in.

    Raises:
        GptcliError: it cannot be made.
    """
    try:
        cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise GptcliError(
            f"cannot make the folder {folder}: {error.strerror or error} (GPTCLI_CACHE names another)"
        ) from error

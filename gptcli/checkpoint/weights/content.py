"""Which weights these are, told by their content: a look at each start, and all of it once.

Size and date do not tell: ``cp -p``, ``rsync -t``, tar, conda and nix keep or normalise dates, and other weights of the
same shape have the same size. So a start compares the header and samples spread over the data, which takes
milliseconds, and needs the hash of everything only where these are known. What was hashed is recorded in the user's
cache with what the system says of the file: the hash is taken from there as long as inode, size, date and ``ctime`` are
the same, and a program that changes a file, or puts another in its place, cannot set ``ctime`` back.
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
from gptcli.system.regular_file import Version, version_of
from gptcli.system.regular_file import changed as file_changed
from gptcli.system.threads import default_threads
from gptcli.system.whole_file import write_whole

# Samples of a file, and bytes of one.
_SAMPLES, _SAMPLE = 64, 4096
_PIECE = 16 << 20  # bytes that are hashed at once, in one thread
_BLOCK = 1 << 20
# A file that changed so short a time ago may change once more without its ctime telling: clocks of file systems tick
# up to 2 s (in nanoseconds).
_SETTLED_NS = 2_000_000_000
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Look:
    """A quick look at a checkpoint's files.

    Attributes:
        files: the .safetensors files, in order.
        states: what the system said of each before it was looked at.
        digest: of the headers, of samples of the data, and of how our tensors are made from them.
    """

    files: tuple[Path, ...]
    states: tuple[Version, ...]
    digest: str

    def unchanged(self) -> bool:
        """Whether the files are still those that were looked at."""
        try:
            return all(version_of(file).same_state(state) for file, state in zip(self.files, self.states, strict=True))
        except OSError:
            return False


def look_at(header: Header, blueprint: Blueprint) -> Look:
    """Look at a checkpoint's files: milliseconds, however large they are.

    Args:
        header: of the checkpoint, whose files lie here.
        blueprint: how our tensors are made from it: the same weights read another way are other weights.

    Raises:
        CheckpointError: a file cannot be read.
    """
    made = [[name, part.how, *part.keys] for name, part in blueprint.tensors.items()]
    digest, states = hashlib.sha256(json.dumps(made).encode()), []
    for path in header.files:
        try:
            states.append(version_of(path))
            with path.open("rb", buffering=0) as file:
                size = states[-1].size
                start = min((info.start for info in header.tensors.values() if info.file == path), default=size)
                digest.update(size.to_bytes(8, "little"))
                for block in _blocks(file, path, 0, start):
                    digest.update(block)
                for number in range(_SAMPLES):
                    where = start + max(size - start - _SAMPLE, 0) * number // (_SAMPLES - 1)
                    for block in _blocks(file, path, where, min(_SAMPLE, size - where)):
                        digest.update(block)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return Look(header.files, tuple(states), digest.hexdigest())


def content_of(look: Look) -> str:
    """The hash of all that the files hold, in hexadecimal: from the record where the files did not change since.

    Raises:
        CheckpointError: a file cannot be read, or changes while it is.
    """
    if known := _recorded(look):
        return known
    started = time.time_ns()
    digest = hashlib.sha256(look.digest.encode())
    for piece in _hashed(look):
        digest.update(piece)
    if not look.unchanged():
        raise changed(look)
    _record(look, digest.hexdigest(), started)
    return digest.hexdigest()


def changed(look: Look) -> CheckpointError:
    """The error for files that are no longer those that were looked at."""
    return file_changed(look.files[0])


def _hashed(look: Look) -> Iterator[bytes]:
    """The hash of each piece, in order."""
    from concurrent.futures import ThreadPoolExecutor

    sizes = [state.size for state in look.states]
    pieces = [
        (path, start, min(_PIECE, size - start))
        for path, size in zip(look.files, sizes, strict=True)
        for start in range(0, size, _PIECE)
    ]
    with ThreadPoolExecutor(default_threads()) as threads:
        yield from threads.map(lambda piece: _hash(*piece), pieces)


def _hash(path: Path, start: int, count: int) -> bytes:
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            for block in _blocks(file, path, start, count):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.digest()


def _blocks(file: BinaryIO, path: Path, start: int, count: int) -> Iterator[bytes]:
    """So many bytes from a place of an unbuffered file on."""
    file.seek(start)
    while count > 0:
        block = file.read(min(count, _BLOCK))
        if not block:
            raise CheckpointError(f"{path} became shorter while it was read")
        count -= len(block)
        yield block


def _record_of(look: Look) -> Path:
    """Where it is recorded what the files at these places held."""
    places = "\0".join(str(path.resolve()) for path in look.files)
    return cache_folder() / "seen" / f"{hashlib.sha256(os.fsencode(places)).hexdigest()[:32]}.json"


def _recorded(look: Look) -> str | None:
    """The hash as it was recorded; None where nothing is, or of other files."""
    if sys.platform == "win32":
        return None  # there ctime is the time of creation, which a change does not change
    with suppress(GptcliError, OSError, RuntimeError):  # not there, not ours to read, a loop of links
        record = read_json_object(_record_of(look))
        content = record.get("content")
        states = [list(astuple(state)) for state in look.states]
        same = record.get("look") == look.digest and record.get("files") == states
        return content if same and isinstance(content, str) and _HASH.fullmatch(content) else None
    return None


def _record(look: Look, content: str, started: int) -> None:
    """Record a hash, unless the files changed so lately that they might again, unseen."""
    if any(state.ctime_ns > started - _SETTLED_NS for state in look.states):
        return
    with suppress(GptcliError, OSError, RuntimeError):  # a cache that is only to be read: next time it is hashed again
        path = _record_of(look)
        make_folder(path.parent)
        states = [list(astuple(state)) for state in look.states]
        write_whole(path, json.dumps({"look": look.digest, "content": content, "files": states}))


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

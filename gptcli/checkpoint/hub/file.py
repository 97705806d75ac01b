"""One file from a hub into its cache, resumed where it broke off, under names that no answer can choose.

The cache is laid out as the client lays it out: the bytes in ``blobs/`` under a hash, ``snapshots/<commit>/<file>`` as
a link to them. The client's own download names the bytes while they come after the process, and deletes them where it
breaks off; here they are kept under ``<hash>.incomplete``, and gone on with the next time.
"""

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any, BinaryIO

from gptcli.checkpoint.hub.answers import request_headers
from gptcli.checkpoint.hub.check import refused
from gptcli.checkpoint.hub.client import client, endpoint, http_library
from gptcli.checkpoint.hub.names import HubName
from gptcli.checkpoint.hub.progress import progress_bar
from gptcli.checkpoint.hub.watch import AGAIN, Watch
from gptcli.errors import GptcliError
from gptcli.system.notices import notice
from gptcli.system.whole_file import write_whole
from gptcli.text import clipped, size

# Left free on the disk next to what is downloaded.
_SPARE_BYTES = 50_000_000
# Larger files the hub offers over its own protocol only.
_MAX_OVER_HTTP = 50_000_000_000
_MOST_REDIRECTS = 10
# How often the download of weights is tried in a row without a byte coming.
_ATTEMPTS = 5
# What a small file may have, in bytes.
_MAX_SMALL = 100_000_000


class HubFile:
    """One file of a model, on its way into the cache.

    Args:
        name: the model.
        commit: of which commit.
        file: the file's name, which is a plain one.
        listed: its size as the hub lists it, in bytes; None where it does not.
        folder: the repository's folder in the cache.
        large: whether it is one of the weights.
    """

    def __init__(
        self, name: HubName, commit: str, file: str, listed: int | None, folder: Path, *, large: bool = False
    ) -> None:
        self.name, self.commit, self.file, self.listed, self.large = name, commit, file, listed, large
        self.folder = folder
        self.path = folder / "snapshots" / commit / file

    def fetch(self) -> None:
        """Bring it here, unless it is.

        Raises:
            GptcliError: the hub sends something else than it announced, stalls, or the disk is full. What the client
                raises for an HTTP status or the network comes as it is.
        """
        if self.path.exists():
            return
        etag, nbytes = self._ask()
        blob = self.folder / "blobs" / etag
        # The client's own lock for this file, so that nobody writes to it meanwhile.
        lock = self.folder.parent / ".locks" / self.folder.name / f"{etag}.lock"
        for folder in (blob.parent, lock.parent, self.path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with client().utils.WeakFileLock(lock):
            if not blob.exists():
                if self.large:
                    check_room(self.name, nbytes, self.folder)
                self._receive(blob, nbytes)
            self._link(blob)

    def _ask(self) -> tuple[str, int]:
        """The hash of the file's content, and its size in bytes."""
        with Watch(str(self), _MAX_SMALL):
            answer = _head(self._url)
        etag, commit = answer.get("X-Linked-Etag", answer.get("ETag")), answer.get("X-Repo-Commit")
        if etag is None or commit is None:
            raise refused(f"it gives no {'ETag' if etag is None else 'commit'} for {self.file}")
        if commit != self.commit:
            raise refused(f"it gives {self.file} of another commit than it was asked for")
        told = answer.get("X-Linked-Size", answer.get("Content-Length"))
        nbytes = self.listed if told is None else int(told)
        if nbytes is None:
            raise refused(f"it does not say how large {self.file} is")
        if self.listed not in (None, nbytes):
            raise refused(f"it lists {self.file} with {self.listed:,} bytes, and then says {nbytes:,}")
        self._check_size(nbytes)
        return etag.strip('"'), nbytes

    def _check_size(self, nbytes: int) -> None:
        if not self.large and nbytes > _MAX_SMALL:
            raise GptcliError(f"{self} has {size(nbytes)}: that is too large for what it should be")
        if nbytes > _MAX_OVER_HTTP:
            raise GptcliError(
                f"{self} has {size(nbytes)}, more than the hub gives in one file over HTTP: download it with its own "
                f"command (hf download {self.name.repo}), and give the folder as NAME"
            )

    def _receive(self, blob: Path, nbytes: int) -> None:
        """The bytes of the file, those that are there already left out."""
        partial = blob.with_name(f"{blob.name}.incomplete")
        if partial.is_file() and partial.stat().st_size > nbytes:
            partial.unlink()
        with partial.open("ab") as file, Watch(str(self), nbytes, large=self.large) as watch:
            watch.total = nbytes
            hashed = _Hashed(file, partial)
            bar = progress_bar(self.file, shown=self.large, total=nbytes, start=hashed.length)
            with bar:
                self._rest(hashed, nbytes, bar)
        # A name of 64 digits is the SHA-256 of the content; shorter ones are git's, or a mirror's own.
        if len(blob.name) == 64 and hashed.hexdigest() != blob.name:
            partial.unlink()
            raise GptcliError(f"{self} arrived with other bytes than its SHA-256 says: {AGAIN}")
        os.replace(partial, blob)

    def _rest(self, file: "_Hashed", nbytes: int, bar: Any) -> None:
        """What is missing of a file, with further attempts where the connection breaks off."""
        http, failed = http_library(), 0
        while file.length < nbytes:
            before, why = file.length, "it ended early"
            try:
                self._read_on(file, bar)
            except (http.NetworkError, http.RemoteProtocolError, http.TimeoutException) as error:
                why = clipped(str(error)) or type(error).__name__
            if file.length >= nbytes:
                return
            # What is small fails soon; weights as long as they get on do not.
            failed = 1 if self.large and file.length > before else failed + 1
            if failed > (_ATTEMPTS if self.large else 2):
                raise GptcliError(f"the connection to {endpoint()} broke off in {self} ({why}): {AGAIN}")
            notice(f"{self} broke off at {size(file.length)} of {size(nbytes)} ({why}): trying to resume the download")
            time.sleep(1)

    def _read_on(self, file: "_Hashed", bar: Any) -> None:
        """One request for what is missing."""
        hub = client()
        headers = request_headers() | ({"Range": f"bytes={file.length}-"} if file.length else {})
        with hub.utils.http_stream_backoff("GET", self._url, headers=headers, retry_on_exceptions=()) as response:
            hub.utils.hf_raise_for_status(response)
            for part in response.iter_bytes():
                file.write(part)
                bar.update(len(part))

    def _link(self, blob: Path) -> None:
        """Let the file's name in the snapshot mean these bytes; where there are no links, they are moved there."""
        if not getattr(client().constants, "HF_HUB_DISABLE_SYMLINKS", False):
            with contextlib.suppress(OSError):
                self.path.symlink_to(os.path.relpath(blob, self.path.parent))
        if not self.path.exists():
            os.replace(blob, self.path)

    @property
    def _url(self) -> str:
        return str(client().hf_hub_url(self.name.repo, self.file, revision=self.commit))

    def __str__(self) -> str:
        """As errors call it."""
        return f"{self.file} of {self.name}"


def _head(url: str) -> Any:
    """The headers that describe a file: those of the first answer on the way that names its content, or of the last."""
    hub, headers = client(), request_headers()
    for _ in range(_MOST_REDIRECTS):
        response = hub.utils.http_backoff("HEAD", url, headers=headers, max_retries=3, follow_redirects=False)
        hub.utils.hf_raise_for_status(response)
        onward = response.next_request
        if onward is None or all(name in response.headers for name in ("X-Linked-Etag", "X-Repo-Commit")):
            return response.headers
        url = str(onward.url)
        # The library takes the token away where another host is asked.
        headers = {key: value for key, value in headers.items() if key in onward.headers}
    raise refused("it sends from one address to the next without end")


class _Hashed:
    """A file that is appended to, and the SHA-256 of all that it then holds.

    Attributes:
        length: how much that is, in bytes.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._hash, self.length = file, hashlib.sha256(), 0
        with path.open("rb") as there:
            while part := there.read(1 << 20):
                self._hash.update(part)
                self.length += len(part)

    def write(self, data: bytes) -> None:
        """Append some bytes."""
        self._file.write(data)
        self._hash.update(data)
        self.length += len(data)

    def hexdigest(self) -> str:
        """The hash so far, in hexadecimal."""
        return self._hash.hexdigest()


def check_room(name: HubName, nbytes: int, folder: Path) -> None:
    """Refuse a file that does not fit on the disk.

    Args:
        name: the model.
        nbytes: what is to come.
        folder: of the cache; it is there.

    Raises:
        GptcliError: it does not fit.
    """
    free = shutil.disk_usage(folder).free
    if nbytes + _SPARE_BYTES > free:
        raise GptcliError(
            f"{name} needs {size(nbytes)} and the disk of {folder.parent} has {size(free)} free: free some space, or "
            "set HF_HOME to a folder on another disk"
        )


def publish(name: HubName, commit: str, folder: Path) -> None:
    """Let the cache know which commit a revision means."""
    if name.revision != commit:
        reference = folder / "refs" / name.revision
        with contextlib.suppress(OSError):
            if reference.read_bytes() == commit.encode():
                return  # a cache that is only to be read knows it already
        reference.parent.mkdir(parents=True, exist_ok=True)
        write_whole(reference, commit)

"""Download one file from a hub into its cache, with resume, under names that no answer can choose.

The cache has the client's layout: the bytes in ``blobs/`` under a hash, and ``snapshots/<commit>/<file>`` as a link to
them. The client's own download deletes an interrupted file; here it stays as ``<hash>.incomplete``, and the next
download resumes it.
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

# Bytes to leave free on the disk.
_SPARE_BYTES = 50_000_000
# The hub offers larger files over its own protocol only.
_MAX_OVER_HTTP = 50_000_000_000
_MOST_REDIRECTS = 10
# Attempts in a row without a byte received, for weights.
_ATTEMPTS = 5
# The most bytes of a small file.
_MAX_SMALL = 100_000_000


class HubFile:
    """The download of one file of a model.

    Args:
        name: the model.
        commit: its commit.
        file: its name, without a path.
        listed: its size in the hub's list, in bytes; None where that is missing.
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
        """Download it, unless it is cached.

        Raises:
            GptcliError: the hub sends something other than it announced, stalls, or the disk is full. What the client
                raises for an HTTP status or the network comes as it is.
        """
        if self.path.exists():
            return
        etag, nbytes = self._ask()
        blob = self.folder / "blobs" / etag
        # The client's own lock for this file, so that no other process writes to it.
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
        """Download the bytes that are missing."""
        partial = blob.with_name(f"{blob.name}.incomplete")
        if partial.is_file() and partial.stat().st_size > nbytes:
            partial.unlink()
        with partial.open("ab") as file, Watch(str(self), nbytes, large=self.large) as watch:
            watch.total = nbytes
            hashed = _Hashed(file, partial)
            bar = progress_bar(self.file, shown=self.large, total=nbytes, start=hashed.length)
            with bar:
                self._rest(hashed, nbytes, bar)
        # A hash of 64 digits is the SHA-256 of the content; shorter ones are git's, or a mirror's own.
        if len(blob.name) == 64 and hashed.hexdigest() != blob.name:
            partial.unlink()
            raise GptcliError(f"{self} arrived with other bytes than its SHA-256 says: {AGAIN}")
        os.replace(partial, blob)

    def _rest(self, file: "_Hashed", nbytes: int, bar: Any) -> None:
        """Download the rest of a file, with more attempts if the connection breaks off."""
        http, failed = http_library(), 0
        while file.length < nbytes:
            before, why = file.length, "it ended early"
            try:
                self._read_on(file, bar)
            except (http.NetworkError, http.RemoteProtocolError, http.TimeoutException) as error:
                why = clipped(str(error)) or type(error).__name__
            if file.length >= nbytes:
                return
            # Small files fail soon; weights do not as long as bytes arrive.
            failed = 1 if self.large and file.length > before else failed + 1
            if failed > (_ATTEMPTS if self.large else 2):
                raise GptcliError(f"the connection to {endpoint()} broke off in {self} ({why}): {AGAIN}")
            notice(f"{self} broke off at {size(file.length)} of {size(nbytes)} ({why}): trying to resume the download")
            time.sleep(1)

    def _read_on(self, file: "_Hashed", bar: Any) -> None:
        """One request for the missing bytes."""
        hub = client()
        headers = request_headers() | ({"Range": f"bytes={file.length}-"} if file.length else {})
        with hub.utils.http_stream_backoff("GET", self._url, headers=headers, retry_on_exceptions=()) as response:
            hub.utils.hf_raise_for_status(response)
            for part in response.iter_bytes():
                file.write(part)
                bar.update(len(part))

    def _link(self, blob: Path) -> None:
        """Link the file's name in the snapshot to its bytes; on systems without links, move them there."""
        if not getattr(client().constants, "HF_HUB_DISABLE_SYMLINKS", False):
            with contextlib.suppress(OSError):
                self.path.symlink_to(os.path.relpath(blob, self.path.parent))
        if not self.path.exists():
            os.replace(blob, self.path)

    @property
    def _url(self) -> str:
        return str(client().hf_hub_url(self.name.repo, self.file, revision=self.commit))

    def __str__(self) -> str:
        """Its name in errors."""
        return f"{self.file} of {self.name}"


def _head(url: str) -> Any:
    """The headers that describe a file: of the first answer, along the redirects, with its hash, or of the last."""
    hub, headers = client(), request_headers()
    for _ in range(_MOST_REDIRECTS):
        response = hub.utils.http_backoff("HEAD", url, headers=headers, max_retries=3, follow_redirects=False)
        hub.utils.hf_raise_for_status(response)
        onward = response.next_request
        if onward is None or all(name in response.headers for name in ("X-Linked-Etag", "X-Repo-Commit")):
            return response.headers
        url = str(onward.url)
        # The library removes the token for another host.
        headers = {key: value for key, value in headers.items() if key in onward.headers}
    raise refused("it sends from one address to the next without end")


class _Hashed:
    """A file that is appended to, with the SHA-256 of all of it.

    Attributes:
        length: in bytes.
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
        nbytes: still to be downloaded.
        folder: of the cache; it exists.

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
    """Write the cache's reference from a revision to a commit."""
    if name.revision != commit:
        reference = folder / "refs" / name.revision
        with contextlib.suppress(OSError):
            if reference.read_bytes() == commit.encode():
                return  # a read-only cache has it already
        reference.parent.mkdir(parents=True, exist_ok=True)
        write_whole(reference, commit)

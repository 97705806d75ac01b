"""The headers of .safetensors files on a hub: only their first bytes are fetched."""

from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptcli.checkpoint.files.header import MAX_HEADER_BYTES, Header, header_length, parse_header
from gptcli.checkpoint.hub.answers import Listing, read_body, request_headers
from gptcli.checkpoint.hub.check import refused
from gptcli.checkpoint.hub.client import client
from gptcli.checkpoint.hub.names import HubName
from gptcli.checkpoint.hub.watch import Watch, patience
from gptcli.errors import CheckpointError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Files requested at a time, and the bytes of the first request for each.
_AT_ONCE = 8
_FIRST_BYTES = 100_001


@dataclass(frozen=True)
class _Start:
    """The start of a file.

    Attributes:
        file: its name.
        text: its first bytes.
        total: its size in bytes.
        length: of its header, in bytes.
    """

    file: str
    text: bytes
    total: int
    length: int


def read_headers(name: HubName, listing: Listing, files: Iterable[str], folder: Path) -> list[Header]:
    """Read the headers of .safetensors files on the hub, and no more of them.

    Args:
        name: the model.
        listing: of its files.
        files: the names of the files.
        folder: of the local cache, for their paths.

    Raises:
        CheckpointError: one of them breaks the format.
        GptcliError: the hub sends other bytes, or takes too long.
    """
    from concurrent.futures import ThreadPoolExecutor

    # One time limit for all files.
    work = Watch(f"the headers of {name}", MAX_HEADER_BYTES, seconds=4 * patience())
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        starts = _each(pool, lambda file: _start(name, listing, file, work), files)
        if (needed := sum(start.length for start in starts)) > MAX_HEADER_BYTES:
            raise CheckpointError(f"the headers of {name} have {needed:,} bytes: no checkpoint needs that")
        texts = _each(pool, lambda start: _whole(name, listing, start, work), starts)
    except BaseException:
        work.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return [_parsed(name, start, text, folder / start.file) for start, text in zip(starts, texts, strict=True)]


def _each(pool: "ThreadPoolExecutor", task: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """The results of a function for each item, several at a time; raises the first error."""
    futures = [pool.submit(copy_context().run, task, item) for item in items]
    return [future.result() for future in futures]


def _start(name: HubName, listing: Listing, file: str, work: Watch) -> _Start:
    where = Path(f"{name}: {file} on the hub")
    if listing.sizes.get(file) == 0:
        raise CheckpointError(f"{where} is empty")
    text, total = _part(name, listing, file, (0, _FIRST_BYTES), work)
    return _Start(file, text, total, header_length(text, where, total))


def _whole(name: HubName, listing: Listing, start: _Start, work: Watch) -> bytes:
    """The header of a file whose start is known."""
    end = 8 + start.length
    if end <= len(start.text):
        return start.text[8:end]
    return _part(name, listing, start.file, (8, end), work)[0]


def _parsed(name: HubName, start: _Start, text: bytes, path: Path) -> Header:
    try:
        return parse_header(text, path, start.total)
    except CheckpointError as error:  # the file is not on this machine, so its path would mislead
        raise CheckpointError(str(error).replace(str(path), f"{name}: {start.file} on the hub")) from error


def _part(name: HubName, listing: Listing, file: str, part: tuple[int, int], work: Watch) -> tuple[bytes, int]:
    """Bytes of a file from ``part[0]`` up to ``part[1]``, fewer where it is shorter, and the size of all of it."""
    hub, (start, end) = client(), part
    url = hub.hf_hub_url(name.repo, file, revision=listing.commit)
    headers = request_headers() | {"Range": f"bytes={start}-{end - 1}"}
    with Watch(f"the header of {file} of {name}", end - start, within=work) as watch:
        watch.total = listing.sizes.get(file)
        with hub.utils.http_stream_backoff(
            "GET", url, headers=headers, retry_on_exceptions=(), follow_redirects=True
        ) as response:
            hub.utils.hf_raise_for_status(response)
            text = read_body(response)
        if watch.total is None or len(text) != min(end, watch.total) - start:
            raise refused(f"of {file} it sends {len(text):,} bytes, and announced others")
        return text, watch.total

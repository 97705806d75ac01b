"""The Hugging Face hub: a model's files, from the cache or over the network, through the hub's own client.

The cache is the client's, shared with every other program that uses it, and laid out as its guide says
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache): ``models--owner--name/`` with ``refs/<revision>``, a
file that holds a commit, and ``snapshots/<commit>/``. A model that lies there whole is used as it is, and the network
is not touched; ``refresh`` asks the hub for a newer one.

What may be downloaded is a short list of names. Everything else in a repository, pickles above all, stays there.
"""

import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptcli.checkpoint.header import Header, header_of
from gptcli.checkpoint.names import HubName
from gptcli.checkpoint.shards import join_shards, read_shard_names
from gptcli.errors import CheckpointError, GptcliError
from gptcli.show.console import notice
from gptcli.show.text import size

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
# Everything else that may be downloaded.
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Left free on the disk beside what is downloaded.
_SPARE_BYTES = 50_000_000
# Headers that are asked for at a time.
_AT_ONCE = 8


def cache_folder() -> Path:
    """Where the hub's client keeps its models (``HF_HUB_CACHE``, ``HF_HOME``)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    """The cache's folder for one repository."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def cached_snapshot(name: HubName) -> Path | None:
    """The folder of a model that lies in the cache whole, else None. Never touches the network."""
    folder = repo_folder(name.repo)
    try:
        reference = folder / "refs" / name.revision
        commit = reference.read_text().strip() if reference.is_file() else name.revision
    except (OSError, ValueError):  # ValueError: not UTF-8
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and is_whole(snapshot) else None


def is_whole(snapshot: Path) -> bool:
    """Whether a folder holds a configuration and all of the weights."""
    if not (snapshot / CONFIG).is_file():
        return False
    if (snapshot / WEIGHTS).is_file():
        return True
    try:
        shards = read_shard_names(snapshot / INDEX)
    except CheckpointError:
        return False
    return all((snapshot / shard).is_file() for shard in shards)


def fetch(name: HubName, *, refresh: bool = False) -> Path:
    """The local folder of a model on the hub, downloaded where it is not in the cache.

    Args:
        name: the model.
        refresh: ask the hub whether there is a newer one, though it be cached.

    Raises:
        ModelNotFound: the hub has no such model or revision, or it is offline and absent.
        CheckpointError: the repository holds no safetensors, or a broken index.
        GptcliError: access is refused, the disk is full, or the network fails.
    """
    if not refresh and (cached := cached_snapshot(name)) is not None:
        return cached
    from gptcli.checkpoint.hub_errors import explained

    with explained(name):
        return _Download(name).run()


def look(name: HubName, files: Collection[str]) -> tuple[Path, Header]:
    """Where the weights of a model would lie in the cache, and what they hold, as the hub has it: the headers of its
    files are read, their first bytes, and only ``files``, small ones, are downloaded.

    Raises:
        ModelNotFound, CheckpointError, GptcliError: as for ``fetch``.
    """
    from gptcli.checkpoint.hub_errors import explained

    with explained(name):
        return _Download(name).look(files)


class _Download:
    """One model on its way from the hub to the cache.

    Files are fetched by commit, so that they belong together whatever is pushed meanwhile; only when all are there does
    the cache learn that the revision means this commit. What broke off in between is gone on with the next time.
    """

    def __init__(self, name: HubName) -> None:
        from huggingface_hub import HfApi

        self.name = name
        self.api = HfApi(library_name="gptcli")
        self.commit, self.sizes = _list_files(self.api, name)
        self.snapshot = repo_folder(name.repo) / "snapshots" / self.commit
        self.sharded = WEIGHTS not in self.sizes and INDEX in self.sizes

    def run(self) -> Path:
        """Fetch what is missing, smallest files first; returns the snapshot's folder."""
        weights = self._small(SMALL_FILES)
        self._announce(weights)
        for file in weights:
            self._get(file, bar=True)
        self._publish()
        return self.snapshot

    def look(self, files: Collection[str]) -> tuple[Path, Header]:
        """Fetch these files, and read the headers of the weights where they are."""
        from concurrent.futures import ThreadPoolExecutor

        weights = self._small(files)
        notice(f"reading the header{'s' if len(weights) > 1 else ''} of {self.name} on the hub")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            headers = list(pool.map(self._header, weights))
        if self.sharded:
            return self.snapshot / INDEX, join_shards(self.snapshot / INDEX, headers)
        return self.snapshot / WEIGHTS, headers[0]

    def _small(self, files: Collection[str]) -> list[str]:
        """Fetch small files, and the index where there is one; returns the names of the weights."""
        index = [INDEX] if self.sharded else []
        if CONFIG not in self.sizes or not (self.sharded or WEIGHTS in self.sizes):
            from gptcli.checkpoint.hub_errors import not_usable

            raise not_usable(self.api, self.name, self.sizes)
        for small in [*(small for small in files if small in self.sizes), *index]:
            self._get(small)
        return _shards(self.snapshot / INDEX) if self.sharded else [WEIGHTS]

    def _header(self, file: str) -> Header:
        """The header of a file on the hub."""
        from huggingface_hub import errors

        try:
            found = self.api.parse_safetensors_file_metadata(self.name.repo, file, revision=self.commit)
            entries: dict[str, Any] = {
                name: {"dtype": info.dtype, "shape": list(info.shape), "data_offsets": list(info.data_offsets)}
                for name, info in found.tensors.items()
            }
            # Where the data starts is not told, but where it ends is: at the end of the file.
            length = max((info.data_offsets[1] for info in found.tensors.values()), default=0)
        except (errors.SafetensorsParsingError, errors.NotASafetensorsRepoError, LookupError, TypeError) as error:
            raise CheckpointError(f"{self.name}: {file} on the hub is not a safetensors file") from error
        size = self.sizes.get(file) or length
        if size < length:
            raise CheckpointError(f"{self.name}: {file} on the hub is cut short: it has {size:,} bytes of {length:,}")
        return header_of(entries | {"__metadata__": found.metadata}, self.snapshot / file, size - length, size)

    def _announce(self, weights: list[str]) -> None:
        """Say what is coming, or refuse it where the disk has no room."""
        missing = [file for file in weights if not (self.snapshot / file).is_file()]
        if not missing:
            return
        total = sum(self.sizes.get(file) or 0 for file in missing)
        free = shutil.disk_usage(self.snapshot).free
        if total + _SPARE_BYTES > free:
            raise GptcliError(
                f"{self.name} needs {size(total)} and the disk of {cache_folder()} has {size(free)} free: "
                "make room, or set HF_HOME to a folder on another disk"
            )
        files = "1 file" if len(missing) == 1 else f"{len(missing)} files"
        notice(f"downloading {self.name} ({size(total)} in {files}) to {cache_folder()}")

    def _publish(self) -> None:
        """Let the cache know which commit the revision means; the client does that along with a file it has."""
        self._get(CONFIG, revision=self.name.revision)

    def _get(self, file: str, *, revision: str | None = None, bar: bool = False) -> None:
        from huggingface_hub import hf_hub_download

        from gptcli.checkpoint.hub_progress import progress_bar

        hf_hub_download(
            self.name.repo,
            file,
            revision=revision or self.commit,
            library_name="gptcli",
            tqdm_class=progress_bar(file, shown=bar),
        )


def _list_files(api: "HfApi", name: HubName) -> tuple[str, dict[str, int | None]]:
    """The commit that a revision means, and the names and sizes of its files; folders are left out."""
    from huggingface_hub import constants

    try:
        info = api.model_info(
            name.repo, revision=name.revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        files: dict[str, int | None] = {
            file.rfilename: file.size if isinstance(file.size, int) else None
            for file in info.siblings or []
            if "/" not in file.rfilename
        }
        commit = info.sha
    except (KeyError, TypeError, AttributeError) as error:  # JSON, but not the hub's
        raise _not_a_hub() from error
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _not_a_hub()
    return commit, files


def _not_a_hub() -> GptcliError:
    from huggingface_hub import constants

    return GptcliError(f"{constants.ENDPOINT} does not answer as the hub does: check HF_ENDPOINT and your proxy")


def _shards(index: Path) -> list[str]:
    shards = read_shard_names(index)
    strange = [shard for shard in shards if not _SHARD.fullmatch(shard)]
    if strange:
        raise CheckpointError(f"{index} names a shard that is no .safetensors file: {strange[0]!r:.80}")
    return shards

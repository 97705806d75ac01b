"""Download one model from a hub into the cache."""

import re
from collections.abc import Collection
from pathlib import Path

from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.names import INDEX, WEIGHTS, is_index, weights_among
from gptcli.checkpoint.files.shards import join_shards, read_shard_names
from gptcli.checkpoint.hub.answers import is_template, list_files
from gptcli.checkpoint.hub.cached import (
    CONFIG,
    SMALL_FILES,
    TEMPLATE,
    TOKENIZER_FILES,
    cache_folder,
    note_absent,
    repo_folder,
)
from gptcli.checkpoint.hub.errors import not_usable
from gptcli.checkpoint.hub.file import HubFile, check_room, publish
from gptcli.checkpoint.hub.headers import read_headers
from gptcli.checkpoint.hub.names import HubName
from gptcli.errors import CheckpointError
from gptcli.system.notices import notice
from gptcli.text import listed, size

_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors")
# More shards than any checkpoint has.
_MOST_SHARDS = 1_000
_MOST_TEMPLATES = 100


def complete(name: HubName, snapshot: Path) -> None:
    """Fetch the small files that a model in the cache lacks, of the commit that is there.

    Args:
        name: the model.
        snapshot: the folder of its commit, with all of its weights.
    """
    notice(f"the cache has the weights of {name} and no tokenizer: asking the hub for it")
    Download(HubName(name.repo, snapshot.name), snapshot.parent.parent).small()


class Download:
    """The download of one model.

    Files are fetched by commit, so that they belong together even if something is pushed meanwhile. The cache's
    reference to the commit is written when all files are there. An interrupted download resumes the next time.

    Args:
        name: the model.
        folder: of the repository in the cache; None: the one of its name.
    """

    def __init__(self, name: HubName, folder: Path | None = None) -> None:
        self.name = name
        self.listing = list_files(name)
        self.sizes = self.listing.sizes
        self.folder = folder or repo_folder(name.repo)
        self.snapshot = self.folder / "snapshots" / self.listing.commit
        self.weights = weights_among(self.sizes)

    def run(self) -> Path:
        """Fetch the missing files, smallest first; returns the snapshot's folder."""
        weights = self._small(SMALL_FILES)
        self._announce(weights)
        for file in weights:
            self._get(file, large=True)
        publish(self.name, self.listing.commit, self.folder)
        return self.snapshot

    def small(self) -> None:
        """Fetch the small files alone."""
        self._small(SMALL_FILES)

    def look(self, files: Collection[str]) -> tuple[Path, Header]:
        """Fetch these files, and read the headers of the weights on the hub."""
        weights = self._small(files)
        notice(f"reading the header{'s' if len(weights) > 1 else ''} of {self.name} on the hub")
        headers = read_headers(self.name, self.listing, weights, self.snapshot)
        path = self.snapshot / str(self.weights)
        return path, join_shards(path, headers) if is_index(path.name) else headers[0]

    def _small(self, files: Collection[str]) -> list[str]:
        """Fetch small files, and the index where there is one; returns the names of the weights."""
        if CONFIG not in self.sizes or self.weights is None:
            raise not_usable(self.name, self.sizes)
        index = [self.weights] if is_index(self.weights) else []
        wanted = [small for small in files if small in self.sizes]
        if TEMPLATE in files:
            wanted += sorted(file for file in self.sizes if is_template(file))[:_MOST_TEMPLATES]
        for small in [*wanted, *index]:
            self._get(small)
        noted = [file for file in TOKENIZER_FILES if file in files]
        note_absent(self.snapshot, [file for file in (*noted, WEIGHTS, INDEX) if file not in self.sizes])
        return self._shards(self.snapshot / self.weights) if index else [self.weights]

    def _shards(self, index: Path) -> list[str]:
        """The names of the shards in an index."""
        shards = read_shard_names(index)
        strange = [shard for shard in shards if not _SHARD.fullmatch(shard)]
        if strange:
            raise CheckpointError(f"{index} names a shard that is no .safetensors file: {strange[0]!r:.80}")
        if len(shards) > _MOST_SHARDS:
            raise CheckpointError(f"{index} names {len(shards):,} shards: no checkpoint has so many")
        absent = [shard for shard in shards if shard not in self.sizes]
        if absent:
            raise CheckpointError(f"{self.name} lacks {len(absent)} of {len(shards)} shards: {listed(absent)}")
        return shards

    def _announce(self, weights: list[str]) -> None:
        """Print the size of the download, or refuse it where it does not fit on the disk."""
        missing = [file for file in weights if not (self.snapshot / file).is_file()]
        if not missing:
            return
        total = sum(self.sizes[file] or 0 for file in missing)
        check_room(self.name, total, self.folder)
        files = "1 file" if len(missing) == 1 else f"{len(missing)} files"
        notice(f"downloading {self.name} ({size(total)} in {files}) to {cache_folder()}")

    def _get(self, file: str, *, large: bool = False) -> None:
        HubFile(self.name, self.listing.commit, file, self.sizes[file], self.folder, large=large).fetch()

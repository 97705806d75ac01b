"""The Hugging Face hub: a model's files, from the cache or over the network.

The cache is the client's, shared with every program that uses it, and laid out as its guide says
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache): ``models--owner--name/`` with ``refs/<revision>``, a
file that holds a commit, and ``snapshots/<commit>/``. A complete model in the cache is used without the
network; ``refresh`` asks the hub for a newer one.

Only files of a short list of names are downloaded; everything else in a repository, such as pickles, is not.
"""

import re
from collections.abc import Collection
from pathlib import Path

from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.files.shards import read_shard_names
from gptcli.checkpoint.hub.client import client
from gptcli.checkpoint.hub.names import HubName
from gptcli.errors import CheckpointError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
# All other files that may be downloaded.
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_folder() -> Path:
    """The folder in which the hub's client stores its models (``HF_HUB_CACHE``, ``HF_HOME``)."""
    return Path(client().constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    """The cache's folder for one repository."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def cached_snapshot(name: HubName) -> Path | None:
    """The folder of a model that is complete in the cache, else None. Never uses the network."""
    folder = repo_folder(name.repo)
    try:
        reference = folder / "refs" / name.revision
        commit = reference.read_text().strip() if reference.is_file() else name.revision
    except (OSError, ValueError):  # ValueError: not UTF-8
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and is_whole(snapshot) else None


def is_whole(snapshot: Path) -> bool:
    """Whether a folder has a configuration and all of the weights."""
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
        refresh: ask the hub for a newer version even if it is cached.

    Raises:
        ModelNotFound: the hub has no such model or revision, or it is offline and absent.
        CheckpointError: the repository holds no safetensors, or a broken index.
        GptcliError: access is refused, the disk is full, or the network fails.
    """
    if not refresh and (cached := cached_snapshot(name)) is not None:
        return cached
    from gptcli.checkpoint.hub.download import Download
    from gptcli.checkpoint.hub.errors import explain_hub_errors

    with explain_hub_errors(name):
        return Download(name).run()


def look(name: HubName, files: Collection[str]) -> tuple[Path, Header]:
    """Inspect a model on the hub: returns the path of its weights in the cache, and their header.

    Of the weights only the headers are read, and only ``files``, small ones, are downloaded.

    Raises:
        ModelNotFound, CheckpointError, GptcliError: as for ``fetch``.
    """
    from gptcli.checkpoint.hub.download import Download
    from gptcli.checkpoint.hub.errors import explain_hub_errors

    with explain_hub_errors(name):
        return Download(name).look(files)

"""The hub's cache on this machine: where a model lies in it, and whether it is all there. Never uses the network.

The cache is the client's, shared with every program that uses it, and laid out as its guide says
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache): ``models--owner--name/`` with ``refs/<revision>``, a
file that holds a commit, and ``snapshots/<commit>/``.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from gptcli.checkpoint.files.names import INDEX, WEIGHTS, is_index, weights_among
from gptcli.checkpoint.files.shards import read_shard_names
from gptcli.checkpoint.hub.client import client
from gptcli.checkpoint.hub.names import SHORT_NAMES, HubName
from gptcli.errors import CheckpointError

TEMPLATE = "chat_template.jinja"
CONFIG = "config.json"
# All other files that may be downloaded.
SMALL_FILES = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    TEMPLATE,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
# Owners of repositories that had none in their names when most caches were filled (``models--gpt2``).
_FIRST_OWNERS = ("openai-community", "distilbert")
# The folder in which the client notes which files a commit lacks.
_ABSENT = ".no_exist"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_folder() -> Path:
    """The folder in which the hub's client stores its models (``HF_HUB_CACHE``, ``HF_HOME``)."""
    return Path(client().constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    """The cache's folder for one repository."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def repo_of(folder: Path) -> str | None:
    """The repository that a folder of the cache belongs to; None for other folders.

    A repository that had no owner once (``models--gpt2``) has the id that it has now.
    """
    kind, _, name = folder.name.partition("--")
    if kind != "models" or not name:
        return None
    if "--" in name:
        return name.replace("--", "/")
    return next((repo for repo in SHORT_NAMES.values() if _first_folder(repo) == folder.name), None)


def _first_folder(repo: str) -> str | None:
    """The name of the folder of a repository that had no owner once."""
    owner, _, name = repo.partition("/")
    return f"models--{name}" if owner in _FIRST_OWNERS else None


def cached_snapshot(name: HubName) -> Path | None:
    """The folder of a model whose weights are complete in the cache, else None."""
    first = _first_folder(name.repo)
    folders = [repo_folder(name.repo), *([cache_folder() / first] if first else [])]
    return next(filter(None, (_snapshot(folder, name.revision) for folder in folders)), None)


def _snapshot(folder: Path, revision: str) -> Path | None:
    try:
        reference = folder / "refs" / revision
        commit = reference.read_text().strip() if reference.is_file() else revision
    except (OSError, ValueError):  # ValueError: not UTF-8
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and is_whole(snapshot) else None


def is_whole(snapshot: Path) -> bool:
    """Whether a folder has a configuration and all of the weights."""
    weights = _weights_of(snapshot) if (snapshot / CONFIG).is_file() else None
    if weights is None or not is_index(weights):
        return weights is not None
    try:
        shards = read_shard_names(snapshot / weights)
    except CheckpointError:
        return False
    return all((snapshot / shard).is_file() for shard in shards)


def _weights_of(snapshot: Path) -> str | None:
    """The file with a snapshot's weights, or the index of their shards."""
    with suppress(OSError):
        return weights_among([file.name for file in snapshot.glob("model.*") if file.is_file()])
    return None


def chosen_variant(snapshot: Path) -> str | None:
    """The variant that another program chose for a snapshot, whose repository may have the weights themselves."""
    variant = _weights_of(snapshot)
    absent = snapshot.parent.parent / _ABSENT / snapshot.name
    return None if variant in (WEIGHTS, INDEX) or (absent / WEIGHTS).is_file() else variant


def has_tokenizer(snapshot: Path) -> bool:
    """Whether the cache has a model's tokenizer, or notes that its repository has none.

    A program that loads weights alone leaves a cache without one.
    """
    words, merges = ("vocab.json", "merges.txt")
    if (snapshot / "tokenizer.json").is_file() or all((snapshot / file).is_file() for file in (words, merges)):
        return True
    absent = snapshot.parent.parent / _ABSENT / snapshot.name
    return (absent / "tokenizer.json").is_file() and any((absent / file).is_file() for file in (words, merges))


def note_absent(snapshot: Path, files: Collection[str]) -> None:
    """Note that a commit lacks these files, where the client notes it too, so that nobody asks again."""
    absent = snapshot.parent.parent / _ABSENT / snapshot.name
    with suppress(OSError):  # a read-only cache
        absent.mkdir(parents=True, exist_ok=True)
        for file in files:
            (absent / file).touch()

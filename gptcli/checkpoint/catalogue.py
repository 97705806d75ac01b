"""The models that have a name: bundled ones, those in the hub's cache, and short names."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gptcli.checkpoint.families import FAMILIES
from gptcli.checkpoint.hub.cached import cache_folder, is_whole, repo_of
from gptcli.checkpoint.hub.names import DEFAULT_REVISION, SHORT_NAMES, HubName
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.kept import KeptFile, kept_folder, list_kept
from gptcli.errors import CheckpointError, GptcliError, InputError
from gptcli.system.answer import row_of
from gptcli.system.bundled import bundled_folder, bundled_names
from gptcli.system.json_text import read_json_object


@dataclass(frozen=True)
class LocalModel:
    """A model on this machine.

    Attributes:
        model: its name, as -m takes it.
        family: the ``model_type`` that its config.json gives.
        nbytes: size of its files on disk, in bytes.
        folder: of these files.
        runs: whether gptcli can run it, as far as ``family`` tells.
    """

    schema: ClassVar[str] = "gptcli.models.pull/1"
    table: ClassVar[str] = ""

    model: str
    family: str
    nbytes: int
    folder: Path
    runs: bool


@dataclass(frozen=True)
class ShortName:
    """A short name.

    Attributes:
        model: the name, as -m takes it.
        repo: the hub id that it stands for.
        cached: whether that is in the cache.
    """

    model: str
    repo: str
    cached: bool


@dataclass(frozen=True)
class Catalogue:
    """The result of ``gptcli models list``.

    Attributes:
        bundled: the models that come with gptcli.
        cached: the complete models in the hub's cache, whichever program downloaded them.
        cache: the folder of that cache.
        short_names: the short names and their hub ids.
        kept: the files that ``models quantize`` wrote.
        kept_folder: the folder of these files; None where there is no home folder.
    """

    schema: ClassVar[str] = "gptcli.models.list/1"

    bundled: tuple[LocalModel, ...]
    cached: tuple[LocalModel, ...]
    cache: Path
    short_names: tuple[ShortName, ...]
    kept: tuple[KeptFile, ...]
    kept_folder: Path | None

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each model that has a name."""
        for where, models in (("bundled", self.bundled), ("cached", self.cached)):
            for each in models:
                yield {"where": where, "repo": None, **row_of(each)}
        spare = dict.fromkeys(("family", "nbytes", "folder", "runs"))
        for short in self.short_names:
            where = "cached" if short.cached else "hub"
            yield {"where": where, "repo": short.repo, "model": short.model, **spare}


def list_models() -> Catalogue:
    """All names that gptcli knows. Reads folders and config.json files, without a network."""
    bundled = tuple(_local(name, bundled_folder() / name) for name in bundled_names())
    cached = tuple(_cached_models(cache_folder()))
    there = {each.model for each in cached}
    short = tuple(ShortName(name, repo, repo in there) for name, repo in SHORT_NAMES.items())
    folder = None
    with suppress(GptcliError):
        folder = kept_folder()
    return Catalogue(bundled, cached, cache_folder(), short, tuple(list_kept()), folder)


def pull_model(name: str) -> LocalModel:
    """Download a model from the hub, or the newer version of a cached one.

    Raises:
        InputError: ``name`` is a folder, a file or a bundled model: there is nothing to download.
        GptcliError: as ``source.find``.
    """
    source = find(name, refresh=True)
    if source.hub_name is None:
        raise InputError(f"{name} is here already ({source.folder}): only models on the hub are downloaded")
    return _local(str(source.hub_name), source.folder)


def _cached_models(cache: Path) -> list[LocalModel]:
    """Each complete snapshot, once for each revision that points to it, or by its commit."""
    models = []
    for repo_folder in cache.glob("models--*"):
        repo = repo_of(repo_folder)
        if repo is None:
            continue
        with suppress(OSError):  # no permission, or being removed
            revisions = _revisions(repo_folder / "refs")
            for snapshot in repo_folder.glob("snapshots/*"):
                if is_whole(snapshot):
                    known = revisions.get(snapshot.name, [snapshot.name])
                    names = sorted(known, key=lambda name: name != DEFAULT_REVISION)
                    models.append(_local(str(HubName(repo, names[0])), snapshot))
    # A repository that was renamed may be there twice: the folder of its present name is the one that is opened.
    by_owner = sorted(models, key=lambda each: each.folder.parent.parent.name.count("--"))
    return sorted({each.model: each for each in by_owner}.values(), key=lambda each: each.model.lower())


def _revisions(refs: Path) -> dict[str, list[str]]:
    """Commit -> the revisions that point to it."""
    revisions: dict[str, list[str]] = {}
    for path in sorted(refs.rglob("*")):
        with suppress(OSError):  # a folder, or no permission
            commit = path.read_bytes()[:100].decode(errors="replace").strip()
            revisions.setdefault(commit, []).append(path.relative_to(refs).as_posix())
    return revisions


def _local(name: str, folder: Path) -> LocalModel:
    try:
        family = str(read_json_object(folder / "config.json").get("model_type", "?"))[:40]
    except CheckpointError:
        family = "?"
    known = {model_type for entry in FAMILIES for model_type in entry.model_types} | {"word-vectors"}
    nbytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return LocalModel(name, family, nbytes, folder, family in known)

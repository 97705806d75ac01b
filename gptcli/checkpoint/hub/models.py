"""A model of the Hugging Face hub: its files from the cache, or over the network.

A complete model in the cache (``cached``) is used without the network; ``refresh`` asks the hub for a newer one. Only
files of a short list of names are downloaded; everything else in a repository, such as pickles, is not.
"""

from collections.abc import Collection
from pathlib import Path

from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.hub.cached import cached_snapshot, chosen_variant, has_tokenizer
from gptcli.checkpoint.hub.client import client
from gptcli.checkpoint.hub.names import HubName
from gptcli.errors import GptcliError
from gptcli.system.notices import notice


def fetch(name: HubName, *, refresh: bool = False, tokenizer: bool = True) -> tuple[Path, str | None]:
    """The local folder of a model on the hub, downloaded where it is not in the cache.

    Args:
        name: the model.
        refresh: ask the hub for a newer version even if it is cached.
        tokenizer: download the small files of a model whose weights are cached and whose tokenizer is not.

    Returns:
        The folder; and why its tokenizer is not there, although the repository may have one.

    Raises:
        ModelNotFound: the hub has no such model or revision, or it is offline and absent.
        CheckpointError: the repository holds no safetensors, or a broken index.
        GptcliError: access is refused, the disk is full, or the network fails.
    """
    cached = None if refresh else cached_snapshot(name)
    if cached is not None and (variant := chosen_variant(cached)) is not None:
        notice(f"of {name} the cache has {variant} only ('gptcli models pull {name}' asks the hub for its weights)")
    if cached is not None and (not tokenizer or has_tokenizer(cached)):
        return cached, None
    from gptcli.checkpoint.hub.download import Download, complete
    from gptcli.checkpoint.hub.errors import explain_hub_errors

    if cached is None:
        with explain_hub_errors(name):
            return Download(name).run(), None
    try:
        with explain_hub_errors(name):
            complete(name, cached)
    except GptcliError as error:
        return cached, "HF_HUB_OFFLINE forbids it" if client().constants.HF_HUB_OFFLINE else str(error)
    return cached, None


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

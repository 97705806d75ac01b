"""Which file of a folder or a repository holds the weights, by the names alone."""

import re
from collections.abc import Collection

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# As transformers' save_pretrained(variant="fp16") names them, and an older way to name an index.
_VARIANT = re.compile(
    r"model\.[A-Za-z0-9_]+\.safetensors"
    r"|model\.safetensors\.index\.[A-Za-z0-9_]+\.json"
    r"|model\.[A-Za-z0-9_]+\.safetensors\.index\.json"
)
_INDEX = re.compile(r".*\.safetensors\.index(\.[^.]+)?\.json", re.DOTALL)
_SHARD = re.compile(r"(.+)-[0-9]{3,6}-of-[0-9]{3,6}\.safetensors", re.DOTALL)
# What trainers save next to a model.
_NO_MODEL = ("optimizer", "scheduler", "random_states")


def is_index(name: str) -> bool:
    """Whether this is the name of an index of shards."""
    return _INDEX.fullmatch(name) is not None


def variants_among(names: Collection[str]) -> list[str]:
    """The variants (``model.fp16.safetensors``, or their indexes), sorted."""
    return sorted(name for name in names if _VARIANT.fullmatch(name))


def weights_among(names: Collection[str]) -> str | None:
    """The file with the weights or the index of their shards: the plain one, else the only variant; None: neither."""
    plain = next((name for name in (WEIGHTS, INDEX) if name in names), None)
    variants = variants_among(names)
    return variants[0] if plain is None and len(variants) == 1 else plain


def other_weights(names: Collection[str]) -> list[str]:
    """What else may hold weights: indexes, and .safetensors files that are no shards of one, sorted."""
    indexes = [name for name in names if is_index(name)]
    files = [name for name in names if name.endswith(".safetensors") and not name.startswith(_NO_MODEL)]
    return sorted([*indexes, *(name for name in files if not (indexes and _SHARD.fullmatch(name)))])


def lost_index(names: Collection[str]) -> str | None:
    """The index that all of these files would need, where they are shards of one model."""
    stems = {found[1] if (found := _SHARD.fullmatch(name)) else None for name in names}
    stem = stems.pop() if len(stems) == 1 else None
    return None if stem is None else f"{stem}.safetensors.index.json"

"""A checkpoint of one file, or of several shards with an index of which shard has which tensor.

An index is untrusted, as a header is: each file must exist, inside the folder, and be named once.
"""

import os
import reprlib
from collections.abc import Sequence
from pathlib import Path

from gptcli.checkpoint.files.header import Header, TensorInfo, read_file
from gptcli.checkpoint.files.names import is_index
from gptcli.errors import CheckpointError
from gptcli.system.json_text import parse_object, read_bytes
from gptcli.text import clipped, listed


def read_header(path: Path) -> Header:
    """Read the header of a .safetensors file, or those of all shards of an index (``*.safetensors.index.json``).

    A tensor that is in a shard but not in the index's weight map is kept, as in transformers, which takes all tensors
    of every shard that the map names.

    Raises:
        CheckpointError: a file is missing or breaks the format; names the file and the tensor.
    """
    if not is_index(path.name):
        return read_file(path)
    names = read_shard_names(path)
    missing = [name for name in names if not os.path.isfile(path.parent / name)]  # False for any error
    if missing:
        raise CheckpointError(f"{path.parent} lacks {len(missing)} of {len(names)} shards: {listed(missing)}")
    for name in names:
        _check_stays(path.parent / name)
    return join_shards(path, [read_file(path.parent / name) for name in names])


def read_shard_names(path: Path) -> list[str]:
    """The names of the shards in an index, sorted.

    Raises:
        CheckpointError: the index breaks the format, or names a file outside its folder.
    """
    return sorted(set(_weight_map(path).values()))


def join_shards(index: Path, shards: Sequence[Header]) -> Header:
    """The header of a checkpoint, from those of all its shards, checked against its index.

    Raises:
        CheckpointError: a tensor is in two shards, or not in the one that the index says.
    """
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str] = {}
    for shard in shards:
        twice = shard.tensors.keys() & tensors.keys()
        if twice:
            first = min(twice)
            places = f"{tensors[first].file.name} and in {shard.tensors[first].file.name}"
            raise CheckpointError(f"{index}: tensor '{clipped(first, 80)}' lies in {places}")
        tensors.update(shard.tensors)
        metadata = shard.metadata | metadata
    absent = [key for key, name in _weight_map(index).items() if key not in tensors or tensors[key].file.name != name]
    if absent:
        raise CheckpointError(f"{index} names tensors that are not in the shard it gives for them: {listed(absent)}")
    return Header(tensors, metadata, tuple(file for shard in shards for file in shard.files))


def _weight_map(path: Path) -> dict[str, str]:
    weight_map = parse_object(read_bytes(path), path, "index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} has no weight_map")
    for key, name in weight_map.items():
        # Both separators count on every system, so that an index is valid everywhere or nowhere.
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0"):
            raise CheckpointError(
                f"{path}: tensor '{clipped(key, 80)}' lies in {reprlib.repr(name)}, which is not a plain file name"
            )
    return weight_map


def _check_stays(shard: Path) -> None:
    """Refuse a shard that is a link to outside its folder.

    The only exception is the Hugging Face cache, whose ``snapshots/<revision>/`` holds links to
    ``../../blobs/<hash>``: the blobs of a repository are its own files under other names.
    """
    folder = shard.parent.resolve()
    allowed = [folder]
    if folder.parent.name == "snapshots":
        allowed.append(folder.parent.parent / "blobs")
    target = shard.resolve()
    if target.parent not in allowed:
        raise CheckpointError(f"{shard} is a link that leaves its folder, to {target}")

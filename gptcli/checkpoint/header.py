"""What a safetensors checkpoint holds, from its headers alone: keys, shapes, dtypes, places. Nothing is loaded.

The format (https://huggingface.co/docs/safetensors): eight bytes with the header's length, little-endian; the header,
one JSON object ``{"name": {"dtype": ..., "shape": [...], "data_offsets": [start, end]}, "__metadata__": {...}}``; then
the tensors' bytes, back to back. Large checkpoints are cut into shards with an index that says which holds what.

Files come from strangers, so everything that the format demands is checked before anyone relies on it, and sizes are
judged against the file's length before memory is taken.
"""

import math
import os
import reprlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from gptcli.checkpoint.json_text import parse_json, read_bytes
from gptcli.errors import CheckpointError
from gptcli.show.text import visible

# The format's own limit, in bytes.
MAX_HEADER_BYTES = 100_000_000
# Bits of one element.
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
_MAX_U64 = 2**64 - 1


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint.

    Attributes:
        name: its key.
        dtype: the format's name of its element type (``F32``, ``BF16``, ...; a key of ``DTYPE_BITS``).
        shape: its dimensions; empty for a scalar.
        file: the file that holds it.
        start: where its bytes start, counted from the start of the file.
        end: where they end.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class Header:
    """All tensors of a checkpoint, over all its shards.

    Attributes:
        tensors: by name, in the order in which they lie in the files.
        metadata: the free-form texts under ``__metadata__``; where shards differ the first wins.
        files: the .safetensors files, in order.
    """

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def read_header(path: Path) -> Header:
    """Read the header of a .safetensors file, or those of all shards of a ``*.safetensors.index.json``.

    A tensor that lies in a shard but not in the index's weight map is kept, as transformers does: it opens every
    shard that the map names and takes all it finds.

    Raises:
        CheckpointError: a file is missing or breaks the format; names the file and the tensor.
    """
    if not path.name.endswith(".index.json"):
        return _read_file(path)
    names = read_shard_names(path)
    missing = [name for name in names if not os.path.isfile(path.parent / name)]  # False for whatever goes wrong
    if missing:
        raise CheckpointError(f"{path.parent} lacks {len(missing)} of {len(names)} shards: {_list(missing)}")
    for name in names:
        _check_stays(path.parent / name)
    return join_shards(path, [_read_file(path.parent / name) for name in names])


def _read_file(path: Path) -> Header:
    size, header = _header_bytes(path)
    return header_of(_parse_object(header, path, "header"), path, 8 + len(header), size)


def header_of(entries: dict[str, Any], path: Path, data_start: int, size: int) -> Header:
    """The header of one file, from its parsed JSON object.

    Args:
        entries: the object; it loses its ``__metadata__``.
        path: the file, which is not looked at.
        data_start: where its tensors' bytes start.
        size: its length in bytes.

    Raises:
        CheckpointError: the object breaks the format; names the file and the tensor.
    """
    metadata = _metadata(entries.pop("__metadata__", None), path)
    tensors = [_tensor(name, entry, path, data_start) for name, entry in entries.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.end))
    _check_layout(tensors, path, data_start, size)
    return Header({tensor.name: tensor for tensor in tensors}, metadata, (path,))


def _header_bytes(path: Path) -> tuple[int, bytes]:
    """The file's size and its header, read only once its length is known to be possible."""
    try:
        # Also keeps us from waiting on a pipe or reading a device.
        if not path.is_file():
            raise CheckpointError(f"{path} is missing, or is not a regular file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            if prefix == b"version ":
                raise CheckpointError(f"{path} is a git-lfs pointer, not the checkpoint itself: run 'git lfs pull'")
            if len(prefix) < 8:
                raise CheckpointError(f"{path} is too short for a safetensors file: {size} bytes")
            length: int = struct.unpack("<Q", prefix)[0]
            if length > MAX_HEADER_BYTES:
                raise CheckpointError(
                    f"{path} is not a safetensors file: its first 8 bytes give a header of {length:,} bytes, and the "
                    f"format allows {MAX_HEADER_BYTES:,}"
                )
            if 8 + length > size:
                raise CheckpointError(f"{path} is cut short: a header of {length:,} bytes, a file of {size:,}")
            header = file.read(length)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if len(header) != length or header[:1] != b"{":
        raise CheckpointError(f"{path} is not a safetensors file: its header is not a JSON object")
    return size, header


def _parse_object(text: bytes, path: Path, what: str) -> dict[str, Any]:
    """Parse strict JSON: no key twice, no number that no file can hold, no depth that breaks the parser."""
    value = parse_json(
        text, path, f"the {what}", object_pairs_hook=_unique, parse_int=_integer, parse_constant=_refuse_constant
    )
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: the {what} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key '{_short(key)}' stands there twice")
        for text in (key, value):
            if isinstance(text, str):
                text.encode()  # an unpaired surrogate is no text; UnicodeEncodeError is a ValueError
        made[key] = value
    return made


def _integer(digits: str) -> int:
    # Python's own parser takes quadratic time where it has no limit on digits. "-0" is no unsigned integer either.
    if len(digits) > 20 or digits.startswith("-"):
        raise ValueError(f"the number {_short(digits, 24)} is not between 0 and {_MAX_U64}")
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _metadata(value: Any, path: Path) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise CheckpointError(f"{path}: __metadata__ must map names to texts")
    return value


def _tensor(name: str, entry: Any, path: Path, data_start: int) -> TensorInfo:
    where = f"{path}: tensor '{_short(name)}'"
    if not isinstance(entry, dict):
        raise CheckpointError(f"{where} is not described by a JSON object")
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise CheckpointError(f"{where} has the unknown dtype {reprlib.repr(dtype)}")
    if not _are_sizes(shape):
        raise CheckpointError(f"{where} has no usable shape: {reprlib.repr(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(f"{where} has no usable data_offsets: {reprlib.repr(offsets)}")
    nbytes, bits = offsets[1] - offsets[0], _product(shape, where) * DTYPE_BITS[dtype]
    if bits != 8 * nbytes:
        needed = f"{dtype} {reprlib.repr(shape)} takes {bits / 8:,.10g}"
        raise CheckpointError(f"{where} is {nbytes:,} bytes long, but {needed}")
    return TensorInfo(name, dtype, tuple(shape), path, data_start + offsets[0], data_start + offsets[1])


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= _MAX_U64 for item in value)


def _product(shape: list[int], where: str) -> int:
    count = 1
    for size in shape:
        count *= size
        if count > _MAX_U64:  # before a long shape makes the number itself large
            raise CheckpointError(f"{where} has an impossible shape: {reprlib.repr(shape)}")
    return count


def _check_layout(tensors: list[TensorInfo], path: Path, data_start: int, size: int) -> None:
    """Tensors in order of their offsets must fill the file exactly."""
    reached = data_start
    for tensor in tensors:
        if tensor.start != reached:
            fault = "leaves a hole before it" if tensor.start > reached else "overlaps the tensor before it"
            raise CheckpointError(f"{path}: tensor '{_short(tensor.name)}' {fault}")
        reached = tensor.end
        if reached > size:
            raise CheckpointError(
                f"{path} is cut short: tensor '{_short(tensor.name)}' ends at byte {reached:,} of a file of {size:,}; "
                "fetch the file again"
            )
    if reached != size:
        raise CheckpointError(f"{path} has {size - reached:,} bytes after its last tensor")


def read_shard_names(path: Path) -> list[str]:
    """Names of the files that an index says a checkpoint consists of, sorted.

    Raises:
        CheckpointError: the index breaks the format, or names a file outside its folder.
    """
    return sorted(set(_weight_map(path).values()))


def join_shards(index: Path, shards: Sequence[Header]) -> Header:
    """The header of a checkpoint, from those of all its shards, checked against its index.

    Raises:
        CheckpointError: a tensor lies in two shards, or not where the index says.
    """
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str] = {}
    for shard in shards:
        twice = shard.tensors.keys() & tensors.keys()
        if twice:
            first = min(twice)
            places = f"{tensors[first].file.name} and in {shard.tensors[first].file.name}"
            raise CheckpointError(f"{index}: tensor '{_short(first)}' lies in {places}")
        tensors.update(shard.tensors)
        metadata = shard.metadata | metadata
    absent = [key for key, name in _weight_map(index).items() if key not in tensors or tensors[key].file.name != name]
    if absent:
        raise CheckpointError(f"{index} names tensors that are not in the shard it gives for them: {_list(absent)}")
    return Header(tensors, metadata, tuple(file for shard in shards for file in shard.files))


def _weight_map(path: Path) -> dict[str, str]:
    weight_map = _parse_object(read_bytes(path), path, "index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} has no weight_map")
    for key, name in weight_map.items():
        # Both separators count on every system, so that an index is equally good everywhere.
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0"):
            raise CheckpointError(
                f"{path}: tensor '{_short(key)}' lies in {reprlib.repr(name)}, which is not a plain file name"
            )
    return weight_map


def _check_stays(shard: Path) -> None:
    """Refuse a shard that is a link out of its folder.

    The one way out that is allowed is that of the Hugging Face cache, whose ``snapshots/<revision>/`` holds links to
    ``../../blobs/<hash>``: the blobs of a repository are its own files under other names.
    """
    folder = shard.parent.resolve()
    allowed = [folder]
    if folder.parent.name == "snapshots":
        allowed.append(folder.parent.parent / "blobs")
    target = shard.resolve()
    if target.parent not in allowed:
        raise CheckpointError(f"{shard} is a link that leaves its folder, to {target}")


def _short(text: str, limit: int = 80) -> str:
    """A name for a message: on one line, and not endless."""
    shown = visible(text[:limit], keep="")
    return shown if len(shown) <= limit and len(text) <= limit else f"{shown[: limit - 3]}..."


def _list(names: Iterable[str], limit: int = 5) -> str:
    shown = [_short(name) for name in names]
    more = f" and {len(shown) - limit:,} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more

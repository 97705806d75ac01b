"""The content of a safetensors checkpoint, from its headers alone: keys, shapes, dtypes, offsets. No data is loaded.

The format (https://huggingface.co/docs/safetensors): eight bytes with the header's length, little-endian; the header,
one JSON object ``{"name": {"dtype": ..., "shape": [...], "data_offsets": [start, end]}, "__metadata__": {...}}``; then
the tensors' bytes, back to back. Checkpoints of several files are joined in ``shards``.

Files are untrusted: everything that the format demands is checked first, and sizes are compared with the file's length
before memory is allocated.
"""

import math
import reprlib
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from gptcli.errors import CheckpointError
from gptcli.system.json_text import MAX_U64, parse_object
from gptcli.system.regular_file import Version, check_unchanged, opened
from gptcli.text import clipped

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


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint.

    Attributes:
        name: its key.
        dtype: the format's name of its element type (``F32``, ``BF16``, ...; a key of ``DTYPE_BITS``).
        shape: its dimensions; empty for a scalar.
        file: the file that holds it.
        start: offset of its first byte in the file.
        end: offset after its last byte.
        version: of the file when its header was read; None for a file on the hub.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int
    version: Version | None = field(default=None, compare=False, repr=False)

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
        tensors: by name, in the order of the files.
        metadata: the free-form texts under ``__metadata__``; where shards differ the first wins.
        files: the .safetensors files, in order.
    """

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def check_unchanged(self) -> None:
        """Check that no file has changed since its header was read.

        Raises:
            CheckpointError: one was changed, replaced or removed.
        """
        for file, version in {info.file: info.version for info in self.tensors.values()}.items():
            check_unchanged(file, version)


def read_file(path: Path) -> Header:
    """The header of one .safetensors file.

    Raises:
        CheckpointError: it is missing or breaks the format; names the file and the tensor.
    """
    version, header = _header_bytes(path)
    return parse_header(header, path, version.size, version)


def parse_header(header: bytes, path: Path, size: int, version: Version | None = None) -> Header:
    """The header of one file, from its bytes.

    Args:
        header: all bytes after the eight of its length.
        path: the file, for errors; it is not opened.
        size: its length in bytes.
        version: of the file, if it is on this machine.

    Raises:
        CheckpointError: the header breaks the format; names the file and the tensor.
    """
    if header[:1] != b"{":
        raise CheckpointError(f"{path} is not a safetensors file: its header is not a JSON object")
    entries, data_start = parse_object(header, path, "header"), 8 + len(header)
    metadata = _metadata(entries.pop("__metadata__", None), path)
    tensors = [_tensor(name, entry, path, data_start, version) for name, entry in entries.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.end))
    _check_layout(tensors, path, data_start, size)
    return Header({tensor.name: tensor for tensor in tensors}, metadata, (path,))


def _header_bytes(path: Path) -> tuple[Version, bytes]:
    """The file's version and its header, which is read only if its length is possible."""
    with opened(path) as (file, version):
        length = header_length(file.read(8), path, version.size)
        header = file.read(length)
    if len(header) != length:
        raise CheckpointError(f"{path} is cut short: a header of {length:,} bytes, of which {len(header):,} are there")
    return version, header


def header_length(prefix: bytes, path: Path, size: int) -> int:
    """The length of a file's header, checked.

    Args:
        prefix: the file's first bytes, of which eight are used.
        path: the file, for errors.
        size: its length in bytes.

    Raises:
        CheckpointError: it is no safetensors file, or is cut short.
    """
    prefix = prefix[:8]
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
    return length


def _metadata(value: Any, path: Path) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise CheckpointError(f"{path}: __metadata__ must map names to texts")
    return value


def _tensor(name: str, entry: Any, path: Path, data_start: int, version: Version | None) -> TensorInfo:
    where = f"{path}: tensor '{clipped(name, 80)}'"
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
    return TensorInfo(name, dtype, tuple(shape), path, data_start + offsets[0], data_start + offsets[1], version)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= MAX_U64 for item in value)


def _product(shape: list[int], where: str) -> int:
    count = 1
    for size in shape:
        count *= size
        if count > MAX_U64:  # before the product of a long shape becomes large
            raise CheckpointError(f"{where} has an impossible shape: {reprlib.repr(shape)}")
    return count


def _check_layout(tensors: list[TensorInfo], path: Path, data_start: int, size: int) -> None:
    """Tensors in order of their offsets must fill the file exactly."""
    reached = data_start
    for tensor in tensors:
        if tensor.start != reached:
            fault = "leaves a hole before it" if tensor.start > reached else "overlaps the tensor before it"
            raise CheckpointError(f"{path}: tensor '{clipped(tensor.name, 80)}' {fault}")
        reached = tensor.end
        if reached > size:
            raise CheckpointError(
                f"{path} is cut short: tensor '{clipped(tensor.name, 80)}' ends at byte {reached:,} of a file of "
                f"{size:,}; fetch the file again"
            )
    if reached != size:
        raise CheckpointError(f"{path} has {size - reached:,} bytes after its last tensor")

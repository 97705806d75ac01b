"""Read and write a file of quantized matrices in the user's cache.

A file (its path is from ``kept``) holds the matrices as the engine in C uses them, by the names of our GPT: int8 as
numbers [rows, columns] and ``.scale`` [rows]; int4 as bytes [rows, bytes of a row]. It is mapped, not read: opening
copies nothing, and processes share it. So matrices begin at multiples of 64 bytes where their sizes allow it, and the
file ends with bytes that vector loads may read. Its metadata identify the weights; ``seal`` is a hash of names, dtypes,
shapes and checksums, which detects a damaged file.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.checkpoint.files.mapped import map_file
from gptcli.checkpoint.weights.content import Fingerprint, changed, content_of, make_folder
from gptcli.checkpoint.weights.kept import FORMAT, BrokenKeptError, OpenKeptFile, described, path_of
from gptcli.errors import CheckpointError
from gptcli.model.engine import Quantize
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import OVERREAD_BYTES, Kind, StoredMatrix, checksum, row_bytes
from gptcli.system.whole_file import remove_unfinished, write_whole

_SCALE = ".scale"
_SPARE = "~spare"  # the last by name, and the last of the file: what vector loads past the end of a matrix read
_ALIGNMENT = 64
_PIECE = 4 << 20  # bytes that a thread checks at a time
_INFINITE = 0x7C00  # of float16: the exponent of NaN and infinity
_DTYPES = {"I8": np.int8, "U8": np.uint8, "F32": np.float32}


class _Piece(NamedTuple):
    """A part of a tensor: its name, the offset, and the bytes in memory."""

    name: str
    start: int
    memory: memoryview


def load_into(
    engine: NativeEngine, kept: OpenKeptFile, kinds: Mapping[str, Kind], shapes: Mapping[str, Sequence[int]]
) -> None:
    """Give the engine the matrices of a file, where they lie.

    Args:
        engine: without matrices; unusable after an error.
        kept: what ``kept.open_if_current`` found.
        kinds: how each is kept, by name.
        shapes: [rows, columns] of each.

    Raises:
        BrokenKeptError: the file is incomplete, damaged or of another model, or its scales are NaN or infinity.
        GptcliError: there is no memory.
    """
    file = kept.header.files[0]
    try:
        memory = memoryview(map_file(file, kept.state))
    except CheckpointError as error:
        raise BrokenKeptError(str(error)) from error
    tensors: dict[str, NDArray[Any]] = {}
    for name, (dtype, shape) in _expected(kinds, shapes).items():
        info = kept.header.tensors.get(name)
        if info is None or (info.dtype, info.shape) != (dtype, shape) or not _usable(info, len(memory)):
            raise BrokenKeptError(f"{file} does not fit its model ({name})")
        tensors[name] = np.frombuffer(memory[info.start : info.end], _DTYPES[dtype]).reshape(shape)
    if kept.header.metadata.get("seal") != _seal(kept.header.metadata, tensors, _sums(tensors, engine.threads)):
        raise BrokenKeptError(f"{file} is damaged: its checksum does not fit its numbers")
    for name, kind in kinds.items():
        stored = StoredMatrix(tensors[name].view(np.uint8), tensors.get(name + _SCALE))
        if not _finite(stored, shapes[name][1]):
            raise BrokenKeptError(f"{file}: scales of {name} are NaN or infinity")
        rows, columns = shapes[name]
        engine.borrow(name, kind, rows, columns, stored)


def _expected(kinds: Mapping[str, Kind], shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype and the shape of each tensor of a file."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, kind in kinds.items():
        rows, columns = shapes[name]
        nbytes = row_bytes(kind, columns)
        if nbytes == columns:  # int8, and int4 whose rows do not divide into groups
            found |= {name: ("I8", (rows, columns)), name + _SCALE: ("F32", (rows,))}
        else:
            found[name] = "U8", (rows, nbytes)
    return {**found, _SPARE: ("U8", (OVERREAD_BYTES,))}


def _usable(info: TensorInfo, size: int) -> bool:
    """Whether C may read a tensor where it lies: aligned as its type, with bytes after it that may be read."""
    spare = 0 if info.name == _SPARE else OVERREAD_BYTES
    return info.end + spare <= size and not (info.dtype == "F32" and info.start % 4)


def write(engine: NativeEngine, header: Header, fingerprint: Fingerprint, quantize: Quantize, name: str) -> Path:
    """Write an engine's matrices; returns the path.

    Args:
        engine: filled from the checkpoint.
        header: of the checkpoint.
        fingerprint: of the checkpoint's files, from before they were loaded.
        quantize: the format of the matrices.
        name: of the model, for people.

    Raises:
        CheckpointError: the checkpoint's files changed meanwhile.
        GptcliError: the cache cannot be written, or its disk is full.
    """
    content = content_of(fingerprint)
    if not fingerprint.unchanged():
        raise changed(fingerprint)
    tensors: dict[str, NDArray[Any]] = {}
    for matrix in engine.matrices:
        tensors |= _tensors(matrix, engine.kept(matrix))
    metadata = {"format": FORMAT, "content": content, "quantize": quantize}
    tensors[_SPARE] = np.zeros(OVERREAD_BYTES, np.uint8)
    metadata |= {"seal": _seal(metadata, tensors, _sums(tensors, engine.threads)), **described(name, header)}
    path = path_of(fingerprint, content, quantize)
    make_folder(path.parent)
    for folder in path.parent.parent.iterdir():
        remove_unfinished(folder)  # temporary files of killed processes, which may fill the disk
    write_whole(path, _parts(tensors, metadata))
    return path


def _tensors(name: str, matrix: StoredMatrix) -> dict[str, NDArray[Any]]:
    """A matrix's arrays by their names in the file: views of the engine's memory."""
    if matrix.scales is None:
        return {name: matrix.numbers}
    return {name: matrix.numbers.view(np.int8), name + _SCALE: matrix.scales}


def _dtype(values: NDArray[Any]) -> str:
    return {"int8": "I8", "uint8": "U8", "float32": "F32"}[values.dtype.name]


def _pieces(tensors: Mapping[str, NDArray[Any]]) -> list[_Piece]:
    """Tensors in pieces, in the order of their names."""
    pieces = []
    for name in sorted(tensors):
        memory = tensors[name].data.cast("B")
        pieces += [_Piece(name, start, memory[start : start + _PIECE]) for start in range(0, len(memory), _PIECE)]
    return pieces


def _sums(tensors: Mapping[str, NDArray[Any]], threads: int) -> list[int]:
    """The checksum of each piece, in order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda piece: checksum(piece.memory), _pieces(tensors)))


def _parts(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """A file in the safetensors format: its header, and the tensors in an order that keeps most of them aligned."""
    names = sorted(
        tensors, key=lambda name: (name == _SPARE, tensors[name].nbytes % _ALIGNMENT > 0, -tensors[name].itemsize, name)
    )
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {"dtype": _dtype(tensors[name]), "shape": tensors[name].shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)  # the format allows spaces at its end
    yield len(text).to_bytes(8, "little") + text
    yield from (tensors[name].data.cast("B") for name in names)


def _seal(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[Any]], sums: list[int]) -> str:
    """The hash of everything that the numbers depend on."""
    says = [metadata[key] for key in ("format", "content", "quantize")]
    shapes = [[name, _dtype(tensors[name]), *tensors[name].shape] for name in sorted(tensors)]
    return hashlib.sha256(json.dumps([says, shapes, sums]).encode()).hexdigest()


def _finite(matrix: StoredMatrix, columns: int) -> bool:
    """Whether all scales of a matrix are finite: one a row (int8), or float16 after the indices of each row (int4)."""
    if matrix.scales is not None:
        return bool(np.isfinite(matrix.scales).all())
    scales = np.ascontiguousarray(matrix.numbers[:, columns // 2 :]).view(np.uint16)
    return not ((scales & _INFINITE) == _INFINITE).any()

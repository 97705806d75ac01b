"""Read and write a file of quantized matrices in the user's cache.

A file (its path is from ``kept``) holds the matrices as the engine in C stores them, by the names of our GPT: int8 as
numbers [rows, columns] and ``.scale`` [rows]; int4 as bytes [rows, bytes of a row]. Its metadata identify the weights;
``seal`` is a hash of names, dtypes, shapes and checksums, which detects a damaged file.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.files.header import Header
from gptcli.checkpoint.weights.content import Fingerprint, changed, content_of, make_folder
from gptcli.checkpoint.weights.kept import FORMAT, BrokenKeptError, OpenKeptFile, described, path_of
from gptcli.model.engine import Quantize
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import Kind, StoredMatrix
from gptcli.system.regular_file import version_of
from gptcli.system.whole_file import remove_unfinished, write_whole

_SCALE = ".scale"
_PIECE = 4 << 20  # bytes that a thread reads at a time
_INFINITE = 0x7C00  # of float16: the exponent of NaN and infinity


class _Piece(NamedTuple):
    """A part of a tensor: its name, the offset, and the bytes in memory."""

    name: str
    start: int
    memory: memoryview


def load_into(
    engine: NativeEngine, kept: OpenKeptFile, kinds: Mapping[str, Kind], shapes: Mapping[str, Sequence[int]]
) -> None:
    """Load the matrices of a file into the engine.

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
    tensors: dict[str, NDArray[Any]] = {}
    for name, kind in kinds.items():
        tensors |= _tensors(name, engine.make_room(name, kind, *shapes[name]))
    for name, values in tensors.items():
        info = kept.header.tensors.get(name)
        if info is None or (info.dtype, info.shape) != (_dtype(values), values.shape):
            raise BrokenKeptError(f"{file} does not fit its model ({name})")
    with ThreadPoolExecutor(engine.threads) as readers:
        sums = list(readers.map(lambda piece: _read(kept, piece), _pieces(tensors)))
    if kept.header.metadata.get("seal") != _seal(kept.header.metadata, tensors, sums):
        raise BrokenKeptError(f"{file} is damaged: its checksum does not fit its numbers")
    for name in kinds:
        if not _finite(engine.kept(name), shapes[name][1]):
            raise BrokenKeptError(f"{file}: scales of {name} are NaN or infinity")


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
    from safetensors.numpy import save as to_bytes

    content = content_of(fingerprint)
    if not fingerprint.unchanged():
        raise changed(fingerprint)
    tensors: dict[str, NDArray[Any]] = {}
    for matrix in engine.matrices:
        tensors |= _tensors(matrix, engine.kept(matrix))
    metadata = {"format": FORMAT, "content": content, "quantize": quantize}
    with ThreadPoolExecutor(engine.threads) as threads:
        sums = list(threads.map(lambda piece: zlib.crc32(piece.memory), _pieces(tensors)))
    metadata |= {"seal": _seal(metadata, tensors, sums), **described(name, header)}
    path = path_of(fingerprint, content, quantize)
    make_folder(path.parent)
    for folder in path.parent.parent.iterdir():
        remove_unfinished(folder)  # temporary files of killed processes, which may fill the disk
    write_whole(path, to_bytes(tensors, metadata))
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


def _read(kept: OpenKeptFile, piece: _Piece) -> int:
    """Read a piece into memory, and return its checksum."""
    info, rest = kept.header.tensors[piece.name], piece.memory
    try:
        with info.file.open("rb", buffering=0) as file:
            if not version_of(file.fileno()).same_state(kept.state):
                raise BrokenKeptError(f"{info.file} changed while it was read")
            file.seek(info.start + piece.start)
            while rest:
                count = file.readinto(rest)
                if not count:
                    raise BrokenKeptError(f"{info.file} became shorter while it was read")
                rest = rest[count:]
    except OSError as error:
        raise BrokenKeptError(f"cannot read {info.file}: {error.strerror or error}") from error
    return zlib.crc32(piece.memory)


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

"""Matrices in 8 or 4 bits, kept in a file beside the model: worked out once, and from then on only read.

``gptcli/model-int8.safetensors`` belongs to ``model.safetensors`` of the folder above it. It holds what the engine in C
holds, the matrices only, under the names of our GPT: int8 as numbers [rows, columns] and ``.scale`` [rows]; int4 as
bytes [rows, bytes of a row]. Its metadata say what the model's files were, so that it is never read for others.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.header import Header, TensorInfo
from gptcli.checkpoint.shards import read_header
from gptcli.errors import CheckpointError, GptcliError
from gptcli.model.engine import Quantize
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import Kind
from gptcli.whole_file import write_whole

# Of the bytes of a matrix: raised when the engine keeps them otherwise.
_FORMAT = "1"
_DTYPES = {"int8": "I8", "int4": "U8"}
_SCALE = ".scale"
_PIECE = 4 << 20  # bytes that a thread reads at once


def place(header: Header, quantize: Quantize) -> Path:
    """Where the file of a checkpoint is, or would be."""
    first = header.files[0]
    return first.parent / "gptcli" / f"{first.stem}-{quantize}.safetensors"


def find(header: Header, quantize: Quantize) -> Header | None:
    """What is kept of exactly this checkpoint; None where nothing is, or it is of other weights, or unreadable."""
    path = place(header, quantize)
    if not path.is_file():
        return None
    try:
        kept = read_header(path)
        of = json.loads(kept.metadata["files"])
        return kept if kept.metadata.get("format") == _FORMAT and _are(of, header.files) else None
    except (CheckpointError, LookupError, TypeError, ValueError, OSError):
        return None  # then they are worked out anew


def fill(engine: NativeEngine, kept: Header, kinds: Mapping[str, Kind], shapes: Mapping[str, Sequence[int]]) -> None:
    """Give the engine its matrices as they are kept.

    Args:
        engine: has none of them yet.
        kept: what ``find`` found.
        kinds: how each is kept, by name.
        shapes: [rows, columns] of each.

    Raises:
        CheckpointError: one is not there, is of another shape, or cannot be read.
        GptcliError: there is no memory.
    """
    from concurrent.futures import ThreadPoolExecutor

    pieces: list[tuple[TensorInfo, int, memoryview]] = []
    for name, kind in kinds.items():
        room = engine.make_room(name, kind, *shapes[name])
        pieces += _pieces(kept, name, _DTYPES["int4" if room.scales is None else "int8"], room.numbers)
        if room.scales is not None:
            pieces += _pieces(kept, name + _SCALE, "F32", room.scales)
    with ThreadPoolExecutor(engine.threads) as readers:
        list(readers.map(_read, pieces))


def save(engine: NativeEngine, header: Header, quantize: Quantize) -> Path:
    """Keep an engine's matrices; returns the file.

    Args:
        engine: filled from the checkpoint.
        header: of the checkpoint.
        quantize: how the engine keeps them.

    Raises:
        GptcliError: the model's folder cannot be written, or its disk is full.
    """
    from safetensors.numpy import save as to_bytes

    tensors: dict[str, NDArray[Any]] = {}
    for name in engine.matrices:
        numbers, scales = engine.kept(name)
        if scales is None:
            tensors[name] = numbers
        else:
            tensors |= {name: numbers.view(np.int8), name + _SCALE: scales}
    path = place(header, quantize)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise GptcliError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
    files = json.dumps([_told(file) for file in header.files])
    write_whole(path, to_bytes(tensors, {"format": _FORMAT, "files": files}))
    return path


def _pieces(kept: Header, name: str, dtype: str, into: NDArray[Any]) -> Iterator[tuple[TensorInfo, int, memoryview]]:
    """A tensor in pieces: which one, where in it, and where to."""
    info = kept.tensors.get(name)
    if info is None or info.dtype != dtype or info.shape != into.shape:
        raise CheckpointError(f"{kept.files[0]} does not fit its model ({name}): delete it")
    place = into.data.cast("B")
    for start in range(0, info.nbytes, _PIECE):
        yield info, start, place[start : start + _PIECE]


def _read(piece: tuple[TensorInfo, int, memoryview]) -> None:
    info, start, place = piece
    try:
        with info.file.open("rb", buffering=0) as file:
            file.seek(info.start + start)
            while place:
                count = file.readinto(place)
                if not count:
                    raise CheckpointError(f"{info.file} became shorter while it was read")
                place = place[count:]
    except OSError as error:
        raise CheckpointError(f"cannot read {info.file}: {error.strerror or error}") from error


def _told(file: Path) -> dict[str, Any]:
    """What tells a file's content: by its size and date where they are the same, which is quick; by its hash if not."""
    about = file.stat()
    with file.open("rb") as content:
        digest = hashlib.sha256()
        while block := content.read(1 << 20):
            digest.update(block)
    return {"size": about.st_size, "mtime_ns": about.st_mtime_ns, "sha256": digest.hexdigest()}


def _are(told: list[dict[str, Any]], files: Sequence[Path]) -> bool:
    return len(told) == len(files) and all(_is(one, file) for one, file in zip(told, files, strict=True))


def _is(told: dict[str, Any], file: Path) -> bool:
    about = file.stat()
    if told["size"] != about.st_size:
        return False
    return bool(told["mtime_ns"] == about.st_mtime_ns or told["sha256"] == _told(file)["sha256"])

"""From files to the engine in C, without torch.

Matrices are used where they lie in the mapped files, or are converted and their pages given back, piece by piece.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.families import Blueprint, Part
from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.checkpoint.files.mapped import MappedFiles, bytes_after, release
from gptcli.checkpoint.weights.arrays import MAPPED, Stored, arranged, stored_numbers
from gptcli.checkpoint.weights.content import Fingerprint, changed
from gptcli.checkpoint.weights.faults import not_finite, too_large
from gptcli.checkpoint.weights.kept import BrokenKeptError, open_if_current
from gptcli.checkpoint.weights.placement import Placement
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import OVERREAD_BYTES, Kind, StoredMatrix, as_float32, is_matrix, why_not
from gptcli.model.quantize import kind_of
from gptcli.model.shapes import parameter_shapes

# Bytes of a large matrix that are in memory at once next to the engine's own.
_AT_ONCE = 1 << 23
# Numbers of a temporary array: small enough for a processor's cache, and to leave no hole in the heap.
_CHECKED_AT_ONCE = 1 << 16

_KINDS: dict[str, Kind] = {"float16": "F16", "bfloat16": "BF16"}


def why_not_native(blueprint: Blueprint, placement: Placement) -> str | None:
    """Why the engine in C cannot run a checkpoint, as a sentence without a full stop; None where it can.

    Args:
        blueprint: checked against the header.
        placement: where and how to run it.
    """
    why = why_not(blueprint.config)
    if why is not None:
        return why
    if placement.device != "cpu" and not (placement.device == "auto" and cpu_first()):
        return "the engine in C runs on the CPU only (--device cpu)"
    return None


def load_native(
    blueprint: Blueprint,
    header: Header,
    placement: Placement,
    *,
    ignore_cache: bool = False,
    notes: list[str] | None = None,
) -> NativeEngine:
    """The engine in C with a checkpoint's weights. Call ``why_not_native`` first.

    Weights in half precision stay so in memory: that is exact, and half the bytes to read.

    Args:
        blueprint: checked against the header.
        header: of the same checkpoint.
        placement: ``auto`` and ``float32`` keep the numbers of the file; ``float16`` and ``bfloat16`` round them, 8 and
            4 bits quantize matrices.
        ignore_cache: quantize even if the user's cache has the matrices.
        notes: receives the reason where the cached matrices cannot be used.

    Raises:
        CheckpointError: the files changed after their headers were read, or a weight holds NaN or infinity.
        InputError: a weight is too large for float16.
        GptcliError: there is no memory.
    """
    parts, quantize = _parts(blueprint, header), placement.quantize
    kinds: dict[str, Kind] = {
        name: kind_of(name, quantize) if quantize != "none" else _KINDS.get(placement.dtype, _widest(infos))
        for name, infos in parts.items()
    }
    if quantize != "none" and not ignore_cache:
        found = _from_kept(blueprint, header, placement, kinds, notes)
        if found is not None:
            engine, fingerprint = found
            vectors = {name: infos for name, infos in parts.items() if not is_matrix(name)}
            _fill_all(engine, blueprint, header, vectors, kinds)
            if not fingerprint.unchanged():
                raise changed(fingerprint)
            return engine
    engine = NativeEngine(blueprint.config, cache=placement.cache_type)
    _fill_all(engine, blueprint, header, parts, kinds)
    header.check_unchanged()
    return engine


def _parts(blueprint: Blueprint, header: Header) -> dict[str, list[TensorInfo]]:
    """The stored tensors that each of our tensors is made of."""
    return {name: [header.tensors[key] for key in part.keys] for name, part in blueprint.tensors.items()}


def _from_kept(
    blueprint: Blueprint, header: Header, placement: Placement, kinds: dict[str, Kind], notes: list[str] | None
) -> tuple[NativeEngine, Fingerprint] | None:
    """An engine with the cached matrices of exactly these weights, and the fingerprint of the weights."""
    from gptcli.checkpoint.weights.quantized_file import load_into

    try:
        kept = open_if_current(header, blueprint, placement.quantize)
        if kept is None:
            return None
        engine = NativeEngine(blueprint.config, cache=placement.cache_type)
        matrices = {name: kind for name, kind in kinds.items() if is_matrix(name)}
        load_into(engine, kept, matrices, parameter_shapes(blueprint.config))
    except BrokenKeptError as error:
        if notes is not None:
            notes.append(str(error))
        return None
    return engine, kept.fingerprint


def _fill_all(
    engine: NativeEngine,
    blueprint: Blueprint,
    header: Header,
    parts: dict[str, list[TensorInfo]],
    kinds: dict[str, Kind],
) -> None:
    """Load all weights into an engine."""
    files = MappedFiles()
    try:
        for name, infos in parts.items():
            stored = (stored_numbers(blueprint, header, info, files.tensor) for info in infos)
            _fill(engine, name, blueprint.tensors[name], stored, kinds[name])
    except MemoryError as error:
        raise engine.no_memory() from error


def _fill(engine: NativeEngine, name: str, part: Part, tensors: Iterable[Stored], kind: Kind) -> None:
    """Give the engine one weight: a matrix where it lies, or row by row from there; anything else from a copy."""
    pieces = [_Piece(*piece) for piece in arranged(part, tensors, engine.config)]
    if len(pieces) > 1 and not is_matrix(name):
        in_order = sorted(pieces, key=lambda piece: piece.first)
        pieces = [_Piece(0, np.concatenate([as_float32(*piece[1:]) for piece in in_order]), "F32")]
    transposed = part.how == "transposed"
    rows = sum(piece.stored.shape[1 if transposed else 0] for piece in pieces)
    if is_matrix(name) and not transposed and len(pieces) == 1 and _usable(pieces[0], kind):
        stored = pieces[0].stored
        if not engine.finite(stored, kind):
            raise not_finite(name, part)
        _, columns = stored.shape
        engine.borrow(name, kind, rows, columns, StoredMatrix(stored.view(np.uint8), None))
        return
    for piece in pieces:
        whole = transposed or not is_matrix(name)
        for first, stored in [(0, piece.stored)] if whole else _slices(piece.stored):
            if kind == "F16":
                _check_halves(name, part, stored, piece.dtype)
            aligned = np.require(stored, requirements="A")  # a copy where an odd header misaligns the file's numbers
            if not engine.fill(name, aligned, piece.dtype, kind, transposed, first=piece.first + first, rows=rows):
                raise not_finite(name, part)
            release(stored)


def _slices(stored: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows of a matrix, at most so many as ``_AT_ONCE`` says but at least one, and which is the first."""
    rows = max(_AT_ONCE * len(stored) // max(stored.nbytes, 1), 1)
    for first in range(0, len(stored), rows):
        yield first, stored[first : first + rows]


def _usable(piece: "_Piece", kind: Kind) -> bool:
    """Whether C can use a piece of a file where it lies: it has the type and the alignment, and a few bytes follow."""
    flags = piece.stored.flags
    whole = piece.dtype == kind and flags.c_contiguous and flags.aligned
    return whole and bytes_after(piece.stored) >= OVERREAD_BYTES


class _Piece(NamedTuple):
    """Rows of one of our tensors: which is the first, and where they lie."""

    first: int
    stored: NDArray[Any]
    dtype: str


def _check_halves(name: str, part: Part, stored: NDArray[Any], dtype: str) -> None:
    """Refuse numbers that float16 cannot hold."""
    if dtype == "F16":
        return
    numbers, most = stored.reshape(-1), np.finfo(np.float16).max
    for start in range(0, len(numbers), _CHECKED_AT_ONCE):
        largest = np.abs(as_float32(numbers[start : start + _CHECKED_AT_ONCE], dtype)).max()
        if most < largest < np.inf:
            raise too_large(name, part, "float16")


def cpu_first() -> bool:
    """Whether ``auto`` means this engine: there is no GPU that torch would use instead. Does not import torch.

    A Mac uses the engine in C: an Apple GPU shares its memory with the CPU, and a step of a GPT-2 is bound by reading
    that memory. torch's MPS adds a launch for each of a hundred small operations, and has no 8 or 4 bits.
    """
    if sys.platform == "darwin":
        return True
    if sys.platform != "linux":
        return False
    return not any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def _widest(infos: list[TensorInfo]) -> Kind:
    """The type that holds all numbers of some stored tensors exactly (float32 for what is converted)."""
    kinds = {info.dtype if info.dtype in MAPPED else "F32" for info in infos}
    return kinds.pop() if len(kinds) == 1 else "F32"  # type: ignore[return-value]

"""From files to the engine in C, without torch: tensors are mapped one by one, turned or quantised, and let go."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.content import Look, changed
from gptcli.checkpoint.families import Blueprint
from gptcli.checkpoint.header import Header, TensorInfo
from gptcli.checkpoint.kept import BrokenKeptError, find
from gptcli.checkpoint.mapped import map_tensor
from gptcli.model.engine import Quantize
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import Kind, as_float32, is_matrix, why_not
from gptcli.model.quantize import kind_of
from gptcli.model.shapes import parameter_shapes

_STORED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_KINDS: dict[str, Kind] = {"float16": "F16", "bfloat16": "BF16"}


def native_engine(
    blueprint: Blueprint,
    header: Header,
    *,
    device: str,
    dtype: str,
    quantize: Quantize = "none",
    anew: bool = False,
    notes: list[str] | None = None,
) -> NativeEngine | None:
    """The C engine with a checkpoint's weights, or None where it is not what the user wants or cannot do.

    Weights in half precision stay as they are in memory: that is exact, and half the bytes to read.

    Args:
        blueprint: checked against the header.
        header: of the same checkpoint.
        device: ``auto`` or ``cpu``; another one is torch's.
        dtype: ``auto`` or ``float32`` keep the numbers of the file; ``float16`` and ``bfloat16`` round them.
        quantize: or keep matrices in 8 or 4 bits.
        anew: work these out though they be kept in a file.
        notes: gets the reason where what is kept cannot be used.

    Raises:
        CheckpointError: the checkpoint's files changed after their headers were read.
        GptcliError: there is no memory.
    """
    if why_not(blueprint.config) is not None or not (device == "cpu" or (device == "auto" and no_gpu())):
        return None
    parts = {name: [header.tensors[key] for key in part.keys] for name, part in blueprint.tensors.items()}
    if any(part.how == "regrouped" for part in blueprint.tensors.values()):
        return None
    if any(info.dtype not in _STORED for infos in parts.values() for info in infos):
        return None
    kinds: dict[str, Kind] = {
        name: kind_of(name, quantize) if quantize != "none" else _KINDS.get(dtype, _widest(infos))
        for name, infos in parts.items()
    }
    if quantize != "none" and not anew:
        found = _from_kept(blueprint, header, quantize, kinds, notes)
        if found is not None:
            engine, look = found
            vectors = {name: infos for name, infos in parts.items() if not is_matrix(name)}
            if not _fill_all(engine, blueprint, vectors, kinds):
                return None
            if not look.unchanged():
                raise changed(look)
            return engine
    engine = NativeEngine(blueprint.config)
    if not _fill_all(engine, blueprint, parts, kinds):
        return None
    header.check_unchanged()
    return engine


def _from_kept(
    blueprint: Blueprint, header: Header, quantize: Quantize, kinds: dict[str, Kind], notes: list[str] | None
) -> tuple[NativeEngine, Look] | None:
    """An engine with the matrices that are kept of exactly these weights, and the look that found them to be."""
    from gptcli.checkpoint.quantized import fill

    try:
        kept = find(header, blueprint, quantize)
        if kept is None:
            return None
        engine = NativeEngine(blueprint.config)
        matrices = {name: kind for name, kind in kinds.items() if is_matrix(name)}
        fill(engine, kept, matrices, parameter_shapes(blueprint.config))
    except BrokenKeptError as error:
        if notes is not None:
            notes.append(str(error))
        return None
    return engine, kept.look


def _fill_all(
    engine: NativeEngine, blueprint: Blueprint, parts: dict[str, list[TensorInfo]], kinds: dict[str, Kind]
) -> bool:
    """Give an engine these weights; False where torch's loader has to say what is wrong with one."""
    try:
        return all(
            _fill(engine, name, infos, kinds[name], transposed=blueprint.tensors[name].how == "transposed")
            for name, infos in parts.items()
        )
    except MemoryError as error:
        raise engine.no_memory() from error


def _fill(engine: NativeEngine, name: str, infos: list[TensorInfo], kind: Kind, *, transposed: bool) -> bool:
    """Give the engine one weight; False where numbers are too large for ``kind``, or hold NaN or infinity."""
    stored, held = _read(infos)
    rounded = kind == "F16" and held != "F16"
    if rounded and np.abs(as_float32(stored, held)).max(initial=0) > np.finfo(np.float16).max:
        return False
    return engine.fill(name, stored, held, kind, transposed=transposed)


def no_gpu() -> bool:
    """Whether there is surely no GPU that torch would take, told without importing it."""
    if sys.platform != "linux":
        return False  # an Apple processor has one
    return not any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def _widest(infos: list[TensorInfo]) -> Kind:
    kinds = {info.dtype for info in infos}
    return kinds.pop() if len(kinds) == 1 else "F32"  # type: ignore[return-value]


def _read(infos: list[TensorInfo]) -> tuple[NDArray[Any], str]:
    """The stored tensors of a part as one array, and its dtype: theirs where it is the same, else float32."""
    arrays = [map_tensor(info, _STORED[info.dtype]) for info in infos]
    dtype = _widest(infos)
    if len(arrays) == 1:
        return arrays[0], dtype
    if any(info.dtype != dtype for info in infos):
        arrays = [as_float32(array, info.dtype) for array, info in zip(arrays, infos, strict=True)]
    return np.concatenate(arrays), dtype

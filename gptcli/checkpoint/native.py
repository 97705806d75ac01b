"""From files to the engine in C, without torch: tensors are mapped one by one, turned or quantised, and let go."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptcli.checkpoint.families import Blueprint
from gptcli.checkpoint.header import Header, TensorInfo
from gptcli.model.engine import Quantize
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.library import available
from gptcli.model.native.weights import Kind, as_float32, is_matrix, supports
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

    Raises:
        CheckpointError: the file of quantised matrices is not of this model.
        GptcliError: there is no memory.
    """
    if not (available() and supports(blueprint.config) and (device == "cpu" or (device == "auto" and cpu_first()))):
        return None
    parts = {name: [header.tensors[key] for key in part.keys] for name, part in blueprint.tensors.items()}
    if any(part.how == "regrouped" for part in blueprint.tensors.values()):
        return None
    if any(info.dtype not in _STORED for infos in parts.values() for info in infos):
        return None
    engine = NativeEngine(blueprint.config)
    kinds: dict[str, Kind] = {
        name: kind_of(name, quantize) if quantize != "none" else _KINDS.get(dtype, _widest(infos))
        for name, infos in parts.items()
    }
    if quantize != "none" and not anew:
        from gptcli.checkpoint import quantized

        kept = quantized.find(header, quantize)
        if kept is not None:
            matrices = {name: kind for name, kind in kinds.items() if is_matrix(name)}
            quantized.fill(engine, kept, matrices, parameter_shapes(blueprint.config))
            parts = {name: infos for name, infos in parts.items() if name not in matrices}
    for name, infos in parts.items():
        stored, held = _read(infos)
        rounded = kinds[name] == "F16" and held != "F16"
        if rounded and np.abs(as_float32(stored, held)).max(initial=0) > np.finfo(np.float16).max:
            return None  # torch's loader says which tensor is too large
        turned = blueprint.tensors[name].how == "transposed"
        if not engine.fill(name, stored, held, kinds[name], transposed=turned):
            return None  # NaN or infinity: torch's loader says where
    return engine


def cpu_first() -> bool:
    """Whether ``auto`` means this engine, told without importing torch: no GPU is there that torch would rather take.

    An Apple processor's GPU shares its memory with the CPU, and reading it is what a step of a GPT-2 costs; torch's MPS
    adds a launch for each of its hundred small operations, and has no weights in 8 or 4 bits. So a Mac runs it in C.
    """
    if sys.platform == "darwin":
        return True
    if sys.platform != "linux":
        return False
    return not any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def _widest(infos: list[TensorInfo]) -> Kind:
    kinds = {info.dtype for info in infos}
    return kinds.pop() if len(kinds) == 1 else "F32"  # type: ignore[return-value]


def _read(infos: list[TensorInfo]) -> tuple[NDArray[Any], str]:
    """The stored tensors of a part as one array, and its dtype: theirs where it is the same, else float32."""
    arrays: list[NDArray[Any]] = [
        np.memmap(info.file, _STORED[info.dtype], "r", offset=info.start, shape=info.shape or (1,)) for info in infos
    ]
    dtype = _widest(infos)
    if len(arrays) == 1:
        return arrays[0], dtype
    if any(info.dtype != dtype for info in infos):
        arrays = [as_float32(array, info.dtype) for array, info in zip(arrays, infos, strict=True)]
    return np.concatenate(arrays), dtype

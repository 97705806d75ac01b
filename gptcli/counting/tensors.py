"""The tensors of a checkpoint, counted from the headers and compared with the configuration."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.counting.packed import weights_held

# The unembedding's names in the families.
_UNEMBEDDINGS = ("lm_head.weight", "embed_out.weight", "out_head.weight")


@dataclass(frozen=True)
class TensorGroup:
    """Tensors of one kind: of the same shape, dtype and name, except for the numbers in it.

    Attributes:
        name: with ``*`` for the number of a layer.
        dtype: as the format names it.
        shape: of each of them.
        n_tensors: how many there are.
        count: elements of them all, or the weights that are packed in them.
        nbytes: size of them all.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    n_tensors: int
    count: int
    nbytes: int


@dataclass(frozen=True)
class Stored:
    """The tensors of a checkpoint, sorted into parameters and the rest.

    Attributes:
        files: that hold them.
        n_tensors: how many there are.
        count: elements of all tensors, or the weights that are packed in them.
        nbytes: size of all tensors.
        dtypes: elements by dtype.
        groups: all tensors by kind, in the order of the files.
        buffers: those that are not parameters, such as attention masks.
        duplicates: those that repeat a parameter: a tied unembedding that was saved too.
        parameters: the elements without buffers and duplicates.
        difference: ``parameters`` minus the configuration's number; None without a configuration.
    """

    files: tuple[Path, ...]
    n_tensors: int
    count: int
    nbytes: int
    dtypes: dict[str, int]
    groups: tuple[TensorGroup, ...]
    buffers: tuple[TensorGroup, ...]
    duplicates: tuple[TensorGroup, ...]
    parameters: int
    difference: int | None


def stored(header: Header, left_out: Collection[str] = (), *, expected: int | None = None, bits: int = 4) -> Stored:
    """Count the tensors of a checkpoint.

    Args:
        header: of its files.
        left_out: keys that are not parameters, or repeat one (a blueprint's ``buffers``).
        expected: the number of parameters by its configuration.
        bits: of one weight, where several lie in one number.
    """
    tensors = list(header.tensors.values())
    held = {tensor.name: weights_held(tensor, header.tensors.keys(), bits) for tensor in tensors}
    names = frozenset(left_out)
    apart = [tensor for tensor in tensors if tensor.name in names]
    twice = [tensor for tensor in apart if tensor.name.endswith(_UNEMBEDDINGS)]
    dtypes: Counter[str] = Counter()
    for tensor in tensors:
        dtypes[tensor.dtype] += held[tensor.name]
    parameters = sum(dtypes.values()) - sum(held[tensor.name] for tensor in apart)
    return Stored(
        files=header.files,
        n_tensors=len(tensors),
        count=sum(dtypes.values()),
        nbytes=sum(tensor.nbytes for tensor in tensors),
        dtypes=dict(dtypes.most_common()),
        groups=group(tensors, held),
        buffers=group((tensor for tensor in apart if tensor not in twice), held),
        duplicates=group(twice, held),
        parameters=parameters,
        difference=None if expected is None else parameters - expected,
    )


def group(tensors: Iterable[TensorInfo], held: Mapping[str, int]) -> tuple[TensorGroup, ...]:
    """Group tensors by kind, in the order of the first of each; ``held``: the weights in each, by its name."""
    kinds: dict[tuple[str, str, tuple[int, ...]], list[TensorInfo]] = {}
    for tensor in tensors:
        pattern = re.sub(r"(?<![^.])\d+(?![^.])", "*", tensor.name)
        kinds.setdefault((pattern, tensor.dtype, tensor.shape), []).append(tensor)
    return tuple(
        TensorGroup(
            # A group of one keeps its number.
            name=name if len(members) > 1 else members[0].name,
            dtype=dtype,
            shape=shape,
            n_tensors=len(members),
            count=sum(held[member.name] for member in members),
            nbytes=sum(member.nbytes for member in members),
        )
        for (name, dtype, shape), members in kinds.items()
    )

"""From a file's keys to our parameters' names: what every family does alike. The families bring the tables."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gptcli.checkpoint.families.blueprint import Blueprint, How, Part
from gptcli.checkpoint.header import Header, TensorInfo
from gptcli.checkpoint.regular_file import opened
from gptcli.model.config import GPTConfig

# What DistributedDataParallel and torch.compile put before every key.
_WRAPPERS = ("module.", "_orig_mod.")
_LAYER = re.compile(r"(?<![^.])(0|[1-9][0-9]{0,8})(?![^.])")
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Naming:
    """How a family calls its tensors.

    Attributes:
        modules: its module -> ours; ``N`` stands for a layer's number.
        stacks: our module -> the modules of which it is the stack, in order.
        prefixes: what may stand before its keys; the first that does is taken off.
        buffers: matches the names of tensors that are no parameters.
        leaves: its last part of a name -> ours, where it is not ``weight`` and ``bias``.
    """

    modules: Mapping[str, str]
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    buffers: str = r"(?!)"
    leaves: Mapping[str, str] = field(default_factory=lambda: {"weight": "weight", "bias": "bias"})

    def bare(self, key: str) -> str:
        """A key without what wrappers put before it."""
        for wrapper in _WRAPPERS:
            key = key.removeprefix(wrapper)
        return key.removeprefix(next((prefix for prefix in self.prefixes if key.startswith(prefix)), ""))

    def ours(self, key: str) -> tuple[str, int] | None:
        """Our name for a key, and its place where several are stacked; None for a key that the family does not have."""
        module, _, leaf = self.bare(key).rpartition(".")
        number = _LAYER.search(module)
        pattern = _LAYER.sub("N", module, count=1)
        named = self._module(pattern)
        if named is None or leaf not in self.leaves:
            return None
        name, place = named
        return f"{name if number is None else name.replace('N', number[0], 1)}.{self.leaves[leaf]}", place

    def _module(self, pattern: str) -> tuple[str, int] | None:
        if pattern in self.modules:
            return self.modules[pattern], 0
        return next(((name, parts.index(pattern)) for name, parts in self.stacks.items() if pattern in parts), None)

    def has(self, header: Header, name: str) -> bool:
        """Whether a file has a tensor of this name, under any prefix."""
        return any(self.bare(key) == name for key in header.tensors)


@dataclass(frozen=True)
class Located:
    """What the keys of a file mean: the fields of ``Blueprint`` with these names."""

    tensors: dict[str, Part]
    buffers: tuple[str, ...]
    unknown: tuple[str, ...]


def locate(header: Header, naming: Naming, how: Callable[[str], How] = lambda name: "as is") -> Located:
    """Find our parameters in a file.

    Args:
        header: of the file.
        naming: the family's.
        how: our name -> what has to be done to a tensor that is not stacked.
    """
    found: dict[str, dict[int, str]] = {}
    buffers, unknown = [], []
    for key in header.tensors:
        if re.fullmatch(naming.buffers, naming.bare(key)):
            buffers.append(key)
            continue
        named = naming.ours(key)
        places = {} if named is None else found.setdefault(named[0], {})
        if named is None or named[1] in places:  # the second of two keys for one tensor is as unknown as any other
            unknown.append(key)
        else:
            places[named[1]] = key
    tensors = {
        name: Part(
            tuple(places[place] for place in sorted(places)), "stacked" if _is_stack(name, naming) else how(name)
        )
        for name, places in found.items()
    }
    return Located(tensors, tuple(buffers), tuple(unknown))


def _is_stack(name: str, naming: Naming) -> bool:
    return _LAYER.sub("N", name.rpartition(".")[0], count=1) in naming.stacks


def assemble(
    family: str,
    config: GPTConfig,
    header: Header | None,
    located: Located | None,
    *,
    notes: tuple[str, ...] = (),
    eos_ids: tuple[int, ...] = (),
) -> Blueprint:
    """Put a blueprint together, and settle what is tied.

    Files of tied models store the unembedding, the embedding or both, whatever was at hand. Where both are there and
    differ, the configuration is wrong and they are not tied, which is how transformers reads it too.
    """
    if header is None or located is None:
        return Blueprint(family, config, {}, notes=notes, eos_ids=eos_ids)
    tensors, buffers = dict(located.tensors), located.buffers
    embedding, unembedding = tensors.get("wte.weight"), tensors.get("lm_head.weight")
    if config.tied and unembedding is not None:
        (key,) = unembedding.keys
        if embedding is None:
            tensors["wte.weight"] = tensors.pop("lm_head.weight")
        elif _is_copy(header.tensors[key], header.tensors[embedding.keys[0]]):
            buffers = (*buffers, key)
            del tensors["lm_head.weight"]
        else:
            config = replace(config, tied=False)
            notes = (*notes, f"{key} differs from the token embedding, so the two are not tied")
    return Blueprint(family, config, tensors, buffers, located.unknown, notes, eos_ids)


def _is_copy(one: TensorInfo, other: TensorInfo) -> bool:
    """Whether two tensors hold the same, judged by their starts, middles and ends."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    places = (0, one.nbytes // 2, max(one.nbytes - _CHUNK, 0))
    return all(_chunk(one, place) == _chunk(other, place) for place in places)


def _chunk(tensor: TensorInfo, place: int) -> bytes:
    with opened(tensor.file, tensor.version) as (file, _):
        file.seek(tensor.start + place)
        return file.read(min(_CHUNK, tensor.nbytes - place))


def made_shape(part: Part, header: Header, config: GPTConfig | None = None) -> tuple[int, ...] | None:
    """The shape of a tensor of ours once it is made; None where what would be stacked does not fit together.

    Args:
        part: what it is made of.
        header: of the file.
        config: says how many rows each tensor of a stack has to have; None where that is not known yet.
    """
    first, *others = (header.tensors[key].shape for key in part.keys)
    if part.how == "transposed":
        return first[::-1]
    if part.how != "stacked":
        return first
    if not all(shape and shape[1:] == first[1:] for shape in (first, *others)):
        return None
    rows = tuple(shape[0] for shape in (first, *others))
    divided_otherwise = config is not None and sum(rows) == sum(config.qkv_widths) and rows != config.qkv_widths
    return None if divided_otherwise else (sum(rows), *first[1:])

"""Maps a file's keys to our parameters' names. This code is shared; each family supplies its table of names."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gptcli.checkpoint.families.blueprint import Blueprint, How, Part
from gptcli.checkpoint.files.header import Header, TensorInfo
from gptcli.model.config import GPTConfig
from gptcli.system.regular_file import opened

_LAYER = re.compile(r"(?<![^.])(0|[1-9][0-9]{0,8})(?![^.])")
_CHUNK = 1 << 16
_HALVES: tuple[How, How] = ("first half", "second half")


@dataclass(frozen=True)
class Naming:
    """A family's tensor names.

    Attributes:
        modules: its module -> ours; ``N`` is the layer's index.
        stacks: our module -> the modules that are concatenated to make it, in order.
        rows: our module -> the modules whose vectors are its rows; ``M`` is the row's index.
        halves: its module -> our two modules, which take the first and the second half of its rows.
        prefixes: prefixes that its keys may have; the first one that matches is removed.
        buffers: matches the names of tensors that are no parameters.
        leaves: the last part of its names -> ours, if it is not ``weight`` and ``bias``.
    """

    modules: Mapping[str, str]
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    halves: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    buffers: str = r"(?!)"
    leaves: Mapping[str, str] = field(default_factory=lambda: {"weight": "weight", "bias": "bias"})

    def bare(self, key: str) -> str:
        """A key without the family's own prefix; those of wrappers are gone already (see ``wrapped``)."""
        return key.removeprefix(next((prefix for prefix in self.prefixes if key.startswith(prefix)), ""))

    def ours(self, key: str) -> list[tuple[str, int, How | None]]:
        """Our parameters that a key belongs to; empty if the family does not know the key.

        Returns:
            For each: our name; the key's index if several tensors make one of ours; and how that one is made, if that
            is fixed by the name.
        """
        module, _, leaf = self.bare(key).rpartition(".")
        number = _LAYER.search(module)
        pattern = _LAYER.sub("N", module, count=1)
        if leaf not in self.leaves:
            return []
        return [
            (f"{name if number is None else name.replace('N', number[0], 1)}.{self.leaves[leaf]}", place, how)
            for name, place, how in self._modules(pattern)
        ]

    def _modules(self, pattern: str) -> Iterator[tuple[str, int, How | None]]:
        if pattern in self.modules:
            yield self.modules[pattern], 0, None
        for name, half in zip(self.halves.get(pattern, ()), _HALVES, strict=False):
            yield name, 0, half
        for name, parts in self.stacks.items():
            if pattern in parts:
                yield name, parts.index(pattern), "stacked"
        row = _LAYER.search(pattern)
        for name, part in self.rows.items():
            if row is not None and _LAYER.sub("M", pattern, count=1) == part:
                yield name, int(row[0]), "rows"

    def has(self, header: Header, name: str) -> bool:
        """Whether a file has a tensor of this name, under any prefix."""
        return any(self.bare(key) == name for key in header.tensors)


@dataclass(frozen=True)
class Located:
    """The result of ``locate``: the fields of ``Blueprint`` with the same names."""

    tensors: dict[str, Part]
    buffers: tuple[str, ...]
    unknown: tuple[str, ...]


def locate(header: Header, naming: Naming, how: Callable[[str], How] = lambda name: "as is") -> Located:
    """Find our parameters in a file.

    Args:
        header: the file's header.
        naming: the family's tensor names.
        how: our name -> how a tensor that is not stacked is made.
    """
    found: dict[str, dict[int, str]] = {}
    fixed: dict[str, How] = {}
    buffers, unknown = [], []
    for key in header.tensors:
        if re.fullmatch(naming.buffers, naming.bare(key)):
            buffers.append(key)
            continue
        named = naming.ours(key)
        # If two keys map to the same tensor, the second one is an unknown key.
        if not named or any(place in found.get(name, {}) for name, place, _ in named):
            unknown.append(key)
            continue
        for name, place, made in named:
            found.setdefault(name, {})[place] = key
            if made is not None:
                fixed[name] = made
    tensors = {
        name: Part(tuple(places[place] for place in sorted(places)), fixed.get(name) or how(name))
        for name, places in found.items()
    }
    return Located(tensors, tuple(buffers), tuple(unknown))


def assemble(
    family: str,
    config: GPTConfig,
    header: Header | None,
    located: Located | None,
    *,
    notes: tuple[str, ...] = (),
    eos_ids: tuple[int, ...] = (),
) -> Blueprint:
    """Build the blueprint, and decide whether the embeddings are tied.

    Files of tied models store the unembedding, the embedding or both. If both are present and differ, they are not
    tied, whatever the configuration says; transformers does the same.
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
    """Whether two tensors are equal, judged by samples of their start, middle and end."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    places = (0, one.nbytes // 2, max(one.nbytes - _CHUNK, 0))
    return all(_chunk(one, place) == _chunk(other, place) for place in places)


def _chunk(tensor: TensorInfo, place: int) -> bytes:
    with opened(tensor.file, tensor.version) as (file, _):
        file.seek(tensor.start + place)
        return file.read(min(_CHUNK, tensor.nbytes - place))


def made_shape(part: Part, header: Header, config: GPTConfig | None = None) -> tuple[int, ...] | None:
    """The shape of one of our tensors; None if its parts cannot be stacked.

    Args:
        part: the tensor's source.
        header: the file's header.
        config: gives the number of rows that each stacked tensor must have; None if that is not known yet.
    """
    first, *others = (header.tensors[key].shape for key in part.keys)
    if part.how == "transposed":
        return first[::-1]
    if part.how in _HALVES:
        return (first[0] // 2, *first[1:]) if first and first[0] % 2 == 0 else None
    if part.how == "rows":
        return (len(part.keys), *first) if all(shape == first for shape in others) else None
    if part.how != "stacked":
        return first
    if not all(shape and shape[1:] == first[1:] for shape in (first, *others)):
        return None
    rows = tuple(shape[0] for shape in (first, *others))
    divided_otherwise = config is not None and sum(rows) == sum(config.qkv_widths) and rows != config.qkv_widths
    return None if divided_otherwise else (sum(rows), *first[1:])

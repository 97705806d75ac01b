"""The keys of a checkpoint without what wrappers and trainers add to them.

A trainer saves its model as it holds it: torch.compile, DistributedDataParallel, FSDP and activation checkpointing add
a component to the names of what they wrap, at any depth and in any order, and a class around the model (a
LightningModule, a policy with a value head) puts the name of its attribute in front of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from gptcli.checkpoint.families.blueprint import Blueprint
from gptcli.checkpoint.families.scaled import Scale
from gptcli.checkpoint.files.header import Header

# Components of a name that PyTorch's wrappers add; no family has a module of such a name.
_MARKERS = frozenset(
    {
        "module",  # DataParallel, DistributedDataParallel, DeepSpeed, AveragedModel
        "_module",  # Opacus
        "_orig_mod",  # torch.compile
        "_fsdp_wrapped_module",
        "_fpw_module",  # FSDP of PyTorch 1.x
        "_checkpoint_wrapped_module",  # activation checkpointing
        "_forward_module",  # Lightning Fabric
        "base_layer",  # PEFT, around a layer with an adapter
    }
)
# Names that classes around a model give it. Families have modules of such names, so these go only where nothing else
# fits.
_ATTRIBUTES = frozenset(
    {"model", "pretrained_model", "base_model", "gpt", "net", "network", "lm", "llm", "policy", "actor"}
)
# The most prefixes that are tried.
_MOST_PREFIXES = 12


@dataclass(frozen=True)
class Unwrapped:
    """A header under other keys.

    Attributes:
        header: with the keys that a family is to read.
        originals: these keys -> those of the file.
        outside: keys of the file that lack the prefix that is left out.
    """

    header: Header
    originals: Mapping[str, str]
    outside: frozenset[str] = frozenset()

    def restored(self, blueprint: Blueprint) -> Blueprint:
        """A blueprint of this header, with the keys of the file."""
        old = self.originals
        tensors = {
            name: replace(part, keys=tuple(old[key] for key in part.keys)) for name, part in blueprint.tensors.items()
        }
        scales = {old[key]: Scale(old[scale.key], scale.block) for key, scale in blueprint.scales.items()}
        buffers, unknown = (tuple(old[key] for key in keys) for keys in (blueprint.buffers, blueprint.unknown))
        return replace(blueprint, tensors=tensors, scales=scales, buffers=buffers, unknown=unknown)


def without_markers(header: Header) -> Unwrapped:
    """A header whose keys lack the components that PyTorch's wrappers add.

    A key stays as it is if another one has its new name: then the two are different tensors.
    """
    originals: dict[str, str] = {}
    for key in header.tensors:
        bare = key if _MARKERS.isdisjoint(parts := key.split(".")) else ".".join(p for p in parts if p not in _MARKERS)
        taken = bare != key and (bare in header.tensors or bare in originals)
        originals[key if taken else bare] = key
    return _renamed(header, originals)


def without_prefixes(plain: Unwrapped) -> Iterator[tuple[str, Unwrapped]]:
    """The same header under each prefix that its keys may have in common, the shortest first."""
    counted: Counter[str] = Counter()
    # Where all keys have it, the place in an nn.Sequential is a part of a prefix too.
    columns = zip(*(key.split(".") for key in plain.originals), strict=False)
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, columns)))
    for key in plain.originals:
        prefix = ""
        for depth, part in enumerate(key.split(".")[:-1]):
            if part.isdigit() and depth >= shared:
                break
            prefix += f"{part}."
            counted[prefix] += 1
    for prefix in sorted((prefix for prefix, _ in counted.most_common(_MOST_PREFIXES)), key=len):
        originals = {key.removeprefix(prefix): old for key, old in plain.originals.items()}
        if len(originals) == len(plain.originals):
            renamed = {bare: plain.header.tensors[key] for bare, key in zip(originals, plain.originals, strict=True)}
            outside = frozenset(old for key, old in plain.originals.items() if not key.startswith(prefix))
            yield prefix, Unwrapped(replace(plain.header, tensors=renamed), originals, outside)


def without_attributes(plain: Unwrapped) -> Unwrapped | None:
    """A header whose keys lack the names in front that classes around a model give it, each key those that it has.

    None where no key has one, or where two keys would become one.
    """
    originals: dict[str, str] = {}
    for key, old in plain.originals.items():
        parts = key.split(".")
        while len(parts) > 1 and parts[0] in _ATTRIBUTES:
            del parts[0]
        originals[".".join(parts)] = old
    if len(originals) < len(plain.originals) or originals.keys() == plain.originals.keys():
        return None
    renamed = {bare: plain.header.tensors[key] for bare, key in zip(originals, plain.originals, strict=True)}
    return Unwrapped(replace(plain.header, tensors=renamed), originals)


def _renamed(header: Header, originals: Mapping[str, str]) -> Unwrapped:
    return Unwrapped(replace(header, tensors={bare: header.tensors[key] for bare, key in originals.items()}), originals)

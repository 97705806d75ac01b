"""The interface of a family file, and its result for a checkpoint: our configuration and the source of each tensor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.scaled import Scale
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig


class Folder(Protocol):
    """The parts of a checkpoint that a family reads: its folder, its weights file, the header and config.json."""

    @property
    def folder(self) -> Path:
        """The folder that holds its files."""

    @property
    def weights(self) -> Path | None:
        """The .safetensors file, or the index of its shards."""

    @property
    def header(self) -> Header | None:
        """The header of the weights."""

    @property
    def config(self) -> dict[str, Any] | None:
        """The contents of config.json, unchanged."""


# How one of our tensors is made from the file's tensors:
#   as is       the same tensor
#   transposed  GPT-2's Conv1D keeps [in, out]; we keep torch's [out, in]
#   stacked     several tensors concatenated along the rows (separate q, k and v)
#   regrouped   GPT-NeoX's row order, q, k, v of one (key) head after the other -> all q, all k, all v
#   rows        several vectors, each one row of the matrix
#   first half, second half   of the rows of one tensor (a fused gate and up projection)
How = Literal["as is", "transposed", "stacked", "regrouped", "rows", "first half", "second half"]


@dataclass(frozen=True)
class Part:
    """The source of one of our tensors.

    Attributes:
        keys: the names of the file's tensors; more than one for ``stacked`` and ``rows``.
        how: how our tensor is made from them.
    """

    keys: tuple[str, ...]
    how: How = "as is"


@dataclass(frozen=True)
class Blueprint:
    """The description of a checkpoint whose weights are not loaded yet.

    Attributes:
        family: the name of the family file.
        config: the GPT to build.
        tensors: our parameter's name -> its source; empty if only a config.json was read.
        buffers: keys in the file that are no parameters (attention masks), or repeat one (a stored tied unembedding).
        unknown: keys that the family does not know; empty once the blueprint has been checked.
        notes: the values that were inferred, one sentence each.
        eos_ids: ids that end a text, if the configuration has any.
        scales: keys of matrices that are stored in 8 bits -> their scales.
    """

    family: str
    config: GPTConfig
    tensors: dict[str, Part]
    buffers: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    eos_ids: tuple[int, ...] = ()
    scales: Mapping[str, Scale] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """One family of checkpoints: how to recognise one, and how to read it.

    Attributes:
        name: its name.
        model_types: the values of ``model_type`` in its config.json; empty if it has no such field.
        recognise: whether the keys are this family's, for a checkpoint whose config.json is missing or names no family.
        from_config: reads a config.json, and locates the tensors if a header is given.
        from_shapes: infers the configuration of a file without a config.json from the header, the number of heads (if
            the user gave it) and the file's name for errors; None if the shapes do not determine the configuration.
        config_field: a field that only this family's config.json has, for one without a ``model_type``.
    """

    name: str
    model_types: tuple[str, ...]
    recognise: Callable[[Header], bool]
    from_config: Callable[[Fields, Header | None], Blueprint]
    from_shapes: Callable[[Header, int | None, str], Blueprint] | None = None
    config_field: str | None = None


def never(header: Header) -> bool:
    """``recognise`` of a family with another family's tensor names: only a config.json can identify it."""
    return False

"""What a family file is, and what it makes of a checkpoint: our configuration, and where each of our tensors lies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.scaled import Scale
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig


class Folder(Protocol):
    """Where a checkpoint lies, as far as a family asks: its folder, its weights, and what is in them."""

    @property
    def folder(self) -> Path:
        """The folder that holds its files."""

    @property
    def weights(self) -> Path | None:
        """The .safetensors file, or the index of its shards."""

    @property
    def header(self) -> Header | None:
        """What the weights hold."""

    @property
    def config(self) -> dict[str, Any] | None:
        """config.json as it is."""


# How a tensor of ours is made from those of the file:
#   as is       the same tensor
#   transposed  GPT-2's Conv1D keeps [in, out]; we keep torch's [out, in]
#   stacked     several tensors on top of each other (separate q, k and v)
#   regrouped   GPT-NeoX's rows, q, k, v for each head (of keys) in turn -> all q, all k, all v
#   rows        several vectors, each a row of a matrix
#   first half, second half   of the rows of one tensor (a fused gate and up projection)
How = Literal["as is", "transposed", "stacked", "regrouped", "rows", "first half", "second half"]


@dataclass(frozen=True)
class Part:
    """Where one tensor of ours comes from.

    Attributes:
        keys: its names in the file; more than one when stacked, or rows.
        how: what has to be done to them.
    """

    keys: tuple[str, ...]
    how: How = "as is"


@dataclass(frozen=True)
class Blueprint:
    """A checkpoint, understood but not loaded.

    Attributes:
        family: name of the family file.
        config: the GPT to build.
        tensors: our parameter's name -> where it lies; empty when only a config.json was read.
        buffers: keys in the file that are no parameters (attention masks), or repeat one (a stored tied unembedding).
        unknown: keys that mean nothing to the family; none is left once a blueprint has been checked.
        notes: what was inferred rather than read, one sentence each.
        eos_ids: ids that end a text, as far as the configuration says.
        scales: keys of matrices that are stored in 8 bits -> what they are multiplied by.
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
    """One family of checkpoints: how to tell that a checkpoint is of it, and how to read it.

    Attributes:
        name: what to call it.
        model_types: what ``model_type`` its config.json may have; none where it has no such field.
        recognise: whether the keys are this family's, for a checkpoint whose config.json does not say, or is not there.
        from_config: reads a config.json, and finds the tensors where there is a header.
        from_shapes: infers the configuration of a file without a config.json, from the header, the number of heads (if
            the user said it) and the file's name for errors; None where shapes do not tell enough.
        config_field: a field that only this family's config.json has, for one without a ``model_type``.
    """

    name: str
    model_types: tuple[str, ...]
    recognise: Callable[[Header], bool]
    from_config: Callable[[Fields, Header | None], Blueprint]
    from_shapes: Callable[[Header, int | None, str], Blueprint] | None = None
    config_field: str | None = None


def never(header: Header) -> bool:
    """A family whose tensors look like another's: only a config.json tells it."""
    return False

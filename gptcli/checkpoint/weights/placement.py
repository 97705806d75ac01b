"""How a checkpoint is placed: on which device, how precisely, and in how many processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy and torch.distributed, which a value that names things does without
    from gptcli.model.engine import Quantize
    from gptcli.model.parallel import Group


@dataclass(frozen=True)
class Placement:
    """Where and how a model is to run.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantize: keep matrices in 8 or 4 bits.
        group: the processes that hold the model together, this one among them; it says which device. None: this one
            holds it alone.
    """

    device: str = "auto"
    dtype: str = "auto"
    quantize: "Quantize" = "none"
    group: "Group | None" = None

"""Where and how a checkpoint runs: device, precision, quantization, processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy and torch.distributed, which a plain value does not need
    from gptcli.model.engine import Quantize
    from gptcli.model.parallel import Group


@dataclass(frozen=True)
class Placement:
    """Where and how to run a model.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantize: keep matrices in 8 or 4 bits.
        group: the processes that share the model, including this one; it determines the device. None: this process
            alone.
    """

    device: str = "auto"
    dtype: str = "auto"
    quantize: "Quantize" = "none"
    group: "Group | None" = None

"""Where and how a checkpoint runs: device, precision, quantization, processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # numpy and torch.distributed, which a plain value does not need
    from gptcli.model.engine import CacheType, Quantize
    from gptcli.model.parallel import Group


@dataclass(frozen=True)
class Placement:
    """Where and how to run a model.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantize: keep matrices in 8 or 4 bits.
        cache: precision of the cached keys and values: ``float32``, ``float16``, or ``auto``: float16 where matrices
            are in 8 or 4 bits, which is far less exact than it. Only the engine in C has the choice.
        group: the processes that share the model, including this one; it determines the device. None: this process
            alone.
    """

    device: str = "auto"
    dtype: str = "auto"
    quantize: "Quantize" = "none"
    cache: 'CacheType | Literal["auto"]' = "auto"
    group: "Group | None" = None

    @property
    def cache_type(self) -> "CacheType":
        """The precision of the cached keys and values in the engine in C."""
        if self.cache != "auto":
            return self.cache
        return "float32" if self.quantize == "none" else "float16"

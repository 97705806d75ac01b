"""Whether a tensor holds NaN or infinity (an exponent of all ones), checked without a copy."""

import torch
from torch import Tensor

from gptcli.model.native.library import library

# For each dtype: its number in C, the integer of the same size, and the mask of the exponent.
_KINDS = {
    torch.float32: (0, torch.int32, 0x7F800000),
    torch.float16: (1, torch.int16, 0x7C00),
    torch.bfloat16: (2, torch.int16, 0x7F80),
}
_BLOCK = 1 << 18  # numbers checked at once without the engine in C: they fit into the cache


def all_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    flat = _as_it_lies(tensor)
    if flat is None or tensor.dtype not in _KINDS or tensor.device.type != "cpu":
        extremes = torch.stack((tensor.amin(), tensor.amax())) if tensor.numel() else tensor
        return bool(torch.isfinite(extremes).all())
    kind, whole, exponent = _KINDS[tensor.dtype]
    found = library()
    if found is not None:
        return bool(found.gptcli_finite(flat.data_ptr(), flat.numel(), kind))
    blocks = torch.split(flat.view(whole), _BLOCK)
    return not any(((block & exponent) == exponent).any() for block in blocks)


def _as_it_lies(tensor: Tensor) -> Tensor | None:
    """The numbers in the order of the memory; None where they are not contiguous."""
    if tensor.is_contiguous():
        return tensor.view(-1)
    return tensor.t().view(-1) if tensor.dim() == 2 and tensor.t().is_contiguous() else None

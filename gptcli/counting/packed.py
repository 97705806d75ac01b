"""Counts the weights in a tensor of a quantized checkpoint: several packed in one element, or none if it holds scales.

The tensor names are those of the methods' own files: mxfp4 (gpt-oss), AWQ, GPTQ, bitsandbytes, compressed-tensors, and
float8 with scales.
"""

from collections.abc import Collection
from fractions import Fraction

from gptcli.checkpoint.files.header import TensorInfo

# Tensors that accompany packed weights and hold no weights: scales, zero points, orders, shapes, tables.
_NO_WEIGHTS = (
    "_scales",
    ".scales",
    ".qzeros",
    ".g_idx",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_zero_point",
    ".weight_global_scale",
    ".weight_shape",
    ".input_scale",
    ".absmax",
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".SCB",
    ".weight_format",
)
_QUANTIZED = ("_blocks", ".qweight", ".weight_packed")


def weights_held(tensor: TensorInfo, names: Collection[str], bits: int = 4) -> int:
    """The number of weights in a tensor; the number of its elements if it is not packed.

    Args:
        tensor: a tensor of a checkpoint.
        names: the names of all the checkpoint's tensors, which tell how this one is packed.
        bits: the bits of one weight, for methods that support several widths.
    """
    name = tensor.name
    if name.endswith("_blocks") and tensor.dtype == "U8":
        return 2 * tensor.count
    if name.endswith((".qweight", ".weight_packed")) and tensor.dtype == "I32":
        return int(tensor.count * Fraction(32, bits))
    if tensor.dtype == "U8" and f"{name}.absmax" in names:  # bitsandbytes in 4 bits
        return 2 * tensor.count
    if name.endswith(_NO_WEIGHTS) or ".quant_state." in name:
        base = name
        for ending in _NO_WEIGHTS:
            base = base.removesuffix(ending)
        stored = (f"{base}{ending}" for ending in (*_QUANTIZED, ".weight", ""))
        return 0 if ".quant_state." in name or any(other in names for other in stored) else tensor.count
    return tensor.count

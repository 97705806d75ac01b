"""How many weights a tensor of a quantized checkpoint holds: several in a number, or none where it holds scales.

The names are those that the methods' own files have: mxfp4 (gpt-oss), AWQ, GPTQ, bitsandbytes, compressed-tensors,
and float8 with scales.
"""

from collections.abc import Collection
from fractions import Fraction

from gptcli.checkpoint.files.header import TensorInfo

# What stands next to packed weights and holds none: scales, zero points, orders, shapes, tables.
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
    """The weights that a tensor holds; its elements, where nothing is packed.

    Args:
        tensor: of a checkpoint.
        names: of all its tensors: what stands next to a tensor tells how it is packed.
        bits: of one weight, where a method may have several numbers of them.
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

"""8-bit weights that are stored with separate scales; a weight's value is the product of both.

Two formats are supported: ``fp8`` (DeepSeek, Qwen, Mistral: float8 with one scale per block of a matrix, or one for the
whole matrix), and unpacked compressed-tensors (int8 or float8 with one scale per row, or one for all rows).
"""

from dataclasses import dataclass, replace

from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError

_EIGHT_BITS = ("I8", "F8_E4M3", "F8_E5M2")
_SCALES = (".weight_scale_inv", ".weight_scale")  # a factor under either name
_OF_ACTIVATIONS = (".activation_scale", ".input_scale")
_PLAIN_FORMATS = ("int-quantized", "float-quantized", "naive-quantized")
_NAMES = {"gptq": "GPTQ", "awq": "AWQ", "bitsandbytes": "bitsandbytes", "mxfp4": "MXFP4"}


@dataclass(frozen=True)
class Scale:
    """The scale of a stored matrix.

    Attributes:
        key: the key of the scales in the file.
        block: the rows and columns of a block that shares one scale; None: one scale for the whole matrix.
    """

    key: str
    block: tuple[int, int] | None


def take_scales(fields: Fields, header: Header | None) -> tuple[Header | None, dict[str, Scale], tuple[str, ...]]:
    """Separate the scales of a checkpoint from its weights.

    Args:
        fields: of config.json.
        header: of its weights.

    Returns:
        The header without scales; the scale of each stored matrix, by its key; and the keys that were removed.

    Raises:
        CheckpointError: the quantization is not supported, or scales do not fit their matrix.
    """
    section = fields.section("quantization_config")
    if not section.values:
        return header, {}, ()
    method = section.values.get("quant_method", "some method")
    form = section.values.get("format", _PLAIN_FORMATS[0])
    if method != "fp8" and not (method == "compressed-tensors" and form in _PLAIN_FORMATS):
        name = _NAMES.get(method, "") if isinstance(method, str) else ""
        packed = f" with the format {form!r:.40}" if method == "compressed-tensors" else ""
        raise CheckpointError(
            f"{fields.place}: the weights are quantized ({method!r:.40}{packed}), and gptcli does not read "
            f"{name or 'that'}: open the original model and, to save memory, use --quantize"
        )
    if header is None:
        return None, {}, ()
    scales = {}
    for key, info in header.tensors.items():
        found = [key.removesuffix(".weight") + suffix for suffix in _SCALES if key.endswith(".weight")]
        scale = next((name for name in found if name in header.tensors), None)
        if scale is not None and info.dtype in _EIGHT_BITS:
            scales[key] = Scale(scale, _block(section, header, key, scale))
    aside = {scale.key for scale in scales.values()} | {key for key in header.tensors if key.endswith(_OF_ACTIVATIONS)}
    kept = {key: info for key, info in header.tensors.items() if key not in aside}
    return replace(header, tensors=kept), scales, tuple(sorted(aside))


def _block(section: Fields, header: Header, key: str, scale: str) -> tuple[int, int] | None:
    """The rows and columns of a block that shares a scale."""
    info, matrix = header.tensors[scale], header.tensors[key].shape
    if info.dtype not in ("F32", "F16", "BF16"):
        raise CheckpointError(f"{info.file}: {scale} is {info.dtype}, which is no scale's type")
    if info.count == 1:
        return None
    if len(matrix) == 2:
        rows, columns = matrix
        said = section.values.get("weight_block_size")
        whole = isinstance(said, list) and len(said) == 2 and all(type(size) is int and size > 0 for size in said)
        for block in ([(said[0], said[1])] if whole and said else []) + [(1, columns)]:
            if info.shape == (-(-rows // block[0]), -(-columns // block[1])):
                return block
        if info.shape == (rows,):
            return 1, columns
    raise CheckpointError(f"{info.file}: {scale} {list(info.shape)} does not fit {key} {list(matrix)}")

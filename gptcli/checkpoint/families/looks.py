"""What the keys of a checkpoint look like that no family here reads, for its error."""

import re
from collections.abc import Iterable

from gptcli.text import clipped

# A pattern of a key -> what a file with such a key is. The first that matches any key counts.
_LOOKS: tuple[tuple[str, str], ...] = (
    (r".*(_flat_param|flat_param_\d+)", "one process's part of a model in FSDP: save the full state dict"),
    (r".*\b(lora_[AB]|lora_embedding_[AB]|lora\.[AB])\b.*", "a model with LoRA layers: merge them into it first"),
    (r".*\b(exp_avg|exp_avg_sq|momentum_buffer)\b.*", "the state of an optimizer, not a model"),
    (r".*\.(qweight|qzeros|g_idx)", "a model quantized by GPTQ or AWQ: open the original one"),
    (r".*\.(absmax|quant_map|SCB|quant_state\..*)", "a model quantized by bitsandbytes: open the original one"),
    (r"(blk\.\d+|token_embd)\..*", "a file converted from GGUF: open the original model"),
    (r"(.*\.)?layers\.\d+\.attention\.w[qkvo]\..*", "Meta's own format of Llama: open the repository's other files"),
    (r"(.*\.)?blocks\.\d+\.attn\.W_[QKVO]", "a model of TransformerLens, which folds norms into it: open its original"),
    (r".*\.self_attention\.linear_qkv\..*", "Megatron's format: convert it to that of transformers"),
    (r"(.*\.)?transformer\.h\.\d+\.attn\.c_[qkv]\..*", "nanochat's model, which gptcli does not run"),
    (r"(.*\.)?h\.\d+\.(attn\.(attn|qkv)|norm_1)\..*", "litgpt's format: convert it with litgpt convert_from_litgpt"),
    (r"(.*\.)?encoder\.layer\.\d+\.attention\.self\..*", "BERT, an encoder: gptcli runs decoders only"),
    (r"(.*\.)?(encoder|decoder)\.block\.\d+\..*", "T5, an encoder with a decoder: gptcli runs decoders alone"),
    (r".*\.(mixer\.(in_proj|A_log|conv1d)|A_log)\b.*", "Mamba, which has state spaces in place of attention"),
    (r".*\.experts\.\d+\..*", "a mixture of experts, which gptcli does not run yet"),
    (r".*\b(conv\d*|downsample|resnets?)\.\d*.*", "a network for pictures"),
)  # fmt: skip


def look_of(keys: Iterable[str]) -> str | None:
    """What a file with these keys is, as a noun; None where they are of no known kind."""
    keys = list(keys)
    for pattern, what in _LOOKS:
        if any(re.fullmatch(pattern, key) for key in keys):
            return what
    return None


def one_key(keys: Iterable[str]) -> str:
    """The key that tells most of a model: of a layer's attention if there is one, else the first."""
    keys = list(keys)
    told = next((key for key in keys if re.search(r"(?<![^.])\d+\..*att.*\.weight$", key)), None)
    told = told or next((key for key in keys if re.search(r"(?<![^.])\d+\.", key)), keys[0] if keys else "")
    return clipped(told, 100)

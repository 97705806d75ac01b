"""Tensors that a checkpoint has besides its model, and that cannot change the model's logits."""

import re
from collections.abc import Iterable

from gptcli.checkpoint.files.header import TensorInfo
from gptcli.model.config import GPTConfig
from gptcli.text import listed

# Counters of averaging (AveragedModel, EMA), of training, of quantization and of profiling; one number each.
_COUNTERS = frozenset(
    {
        "n_averaged", "num_updates", "updates", "decay", "ema_decay", "initted", "step", "steps", "global_step",
        "epoch", "num_batches_tracked", "total_ops", "total_params", "iter_num", "lr", "learning_rate", "loss",
        "val_loss", "best_loss", "best_val_loss", "mean_value",
    }
)  # fmt: skip
_WHOLE_NUMBERS = ("U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64")
# Integers under such a name are packed weights: what they stand for may well change the logits.
_PACKED = re.compile(r".*(weight|packed|blocks|zeros|bias|absmax)")
# The first component of the name of a head that reads the model's last layer.
_HEAD = re.compile(
    r"(\w+_)?(heads?|classifier|pooler|scorer?|values?|critic|rewards?|cls|(qa|value|reward|score)_outputs?)"
)
_LOSS = re.compile(r"(\w+_)?(loss(_fn|_fct|_func|_function)?|criterion)")
# Square masks of causal attention, and tables of rotary angles, which the configuration gives.
_MASKS = frozenset({"mask", "causal_mask", "attn_mask", "attention_mask", "tril", "masked_bias"})
_ANGLES = re.compile(r"(\w+_)?(inv_freq|freqs_cis|cos_cached|sin_cached|cos_cache|sin_cache|freqs_(cos|sin))|freqs")
_LANGUAGE_HEADS = ("lm_head", "lm_heads", "out_head", "unembedding_head")


def why_left_out(key: str, info: TensorInfo, config: GPTConfig) -> str | None:
    """Why a surplus tensor cannot change the logits, as a noun; None where it might.

    Args:
        key: its name, without what wrappers add.
        info: of the tensor.
        config: of the model; a head with as many rows as its vocabulary might be a part of it.
    """
    first, _, rest = key.partition(".")
    leaf = key.rpartition(".")[2]
    if info.count == 0:
        return "empty tensor"
    if info.count == 1 and leaf in _COUNTERS:
        return "counter"
    if info.dtype == "BOOL" or (info.dtype in _WHOLE_NUMBERS and not _PACKED.fullmatch(leaf)):
        return "buffer of whole numbers"
    if leaf in _MASKS and len(info.shape) >= 2 and info.shape[-1] == info.shape[-2]:
        return "causal mask"
    if config.positions == "rotary" and _ANGLES.fullmatch(leaf):
        return "table of rotary angles"
    if rest and _LOSS.fullmatch(first):
        return "weights of the loss"
    of_vocabulary = config.vocab_size in info.shape
    if rest and first not in _LANGUAGE_HEADS and _HEAD.fullmatch(first) and not of_vocabulary:
        return "head next to the language model"
    return None


def left_out_note(left_out: Iterable[tuple[str, str]]) -> str:
    """A note about tensors that are left out.

    Args:
        left_out: the key of each, and the reason (see ``why_left_out``).
    """
    by_reason: dict[str, list[str]] = {}
    for key, reason in left_out:
        by_reason.setdefault(reason, []).append(key)
    said = "; ".join(f"{listed(keys)} ({reason})" for reason, keys in by_reason.items())
    return f"left out, as they cannot change the logits: {said}"

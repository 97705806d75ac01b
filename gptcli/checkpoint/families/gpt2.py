"""GPT-2: OpenAI's four sizes and everything that keeps their names (distilgpt2, DialoGPT, Cerebras-GPT, mGPT, ...).

Keys come with and without ``transformer.``. Matrices come as Conv1D keeps them, [in, out], or as Linear does,
[out, in]: the shape of ``c_attn`` tells, which is never square.
"""

import re

from gptcli.checkpoint.families.blueprint import Blueprint, Fields, Part
from gptcli.checkpoint.header import Header, TensorInfo
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig

MODEL_TYPES = ("gpt2",)
_BUFFER = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
_MATRIX = re.compile(r"h\.\d+\.(attn|mlp)\.c_(attn|proj|fc)\.weight")
_HEAD_SIZE = 64  # of all of OpenAI's sizes


def recognise(header: Header) -> bool:
    """Whether the keys are GPT-2's, for a file without a config.json."""
    return any(key.endswith("h.0.attn.c_attn.weight") for key in header.tensors)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and find the tensors where there is a header."""
    if fields.boolean("add_cross_attention", default=False):
        raise CheckpointError(f"{fields.place}: add_cross_attention is true: gptcli runs decoders only")
    inner = fields.values.get("n_inner")
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50257),
        n_positions=fields.integer("n_positions", "max_position_embeddings", default=1024),
        n_embd=fields.integer("n_embd", "hidden_size", default=768),
        n_layer=fields.integer("n_layer", "num_hidden_layers", default=12, least=0, most=10_000),
        n_head=fields.integer("n_head", "num_attention_heads", default=12),
        n_inner=None if inner is None else fields.integer("n_inner"),
        activation=fields.activation("activation_function", default="gelu_new"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        scale_attention=fields.boolean("scale_attn_weights", default=True),
        scale_by_layer=fields.boolean("scale_attn_by_inverse_layer_idx", default=False),
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    eos_ids = fields.ids("eos_token_id")
    if header is None:
        return Blueprint("gpt2", config, {}, eos_ids=eos_ids)
    tensors, buffers = _locate(config, _names(header))
    return Blueprint("gpt2", config, tensors, buffers, eos_ids=eos_ids)


def from_shapes(header: Header, n_head: int | None, place: str) -> Blueprint:
    """Infer the configuration of a lone file from the shapes of its tensors.

    Raises:
        CheckpointError: a tensor that tells the shape is missing or has other dimensions.
    """
    names = _names(header)
    vocab_size, n_embd = _matrix(names, "wte.weight", place)
    n_positions, _ = _matrix(names, "wpe.weight", place)
    fc_shape = _matrix(names, "h.0.mlp.c_fc.weight", place)
    if n_head is None and n_embd % _HEAD_SIZE:
        raise CheckpointError(f"{place}: width {n_embd} is no multiple of GPT-2's head size 64: say --n-head")
    config = GPTConfig(
        vocab_size=vocab_size,
        n_positions=n_positions,
        n_embd=n_embd,
        n_layer=1 + max(int(name.split(".")[1]) for name in names if re.match(r"h\.\d+\.", name)),
        n_head=n_head or n_embd // _HEAD_SIZE,
        n_inner=max(fc_shape) if min(fc_shape) == n_embd else min(fc_shape),
        qkv_bias="h.0.attn.c_attn.bias" in names,
        attention_bias="h.0.attn.c_proj.bias" in names,
        mlp_bias="h.0.mlp.c_fc.bias" in names,
        norm_bias="h.0.ln_1.bias" in names,
        tied="lm_head.weight" not in names,
    )
    heads = "as --n-head says" if n_head else f"heads of GPT-2's size {_HEAD_SIZE}"
    note = (
        f"no config.json: inferred from the shapes a GPT-2 of {config.n_layer} layers, width {n_embd}, "
        f"{config.n_head} heads ({heads}), {n_positions:,} positions, {vocab_size:,} tokens"
    )
    tensors, buffers = _locate(config, names)
    return Blueprint("gpt2", config, tensors, buffers, notes=(note,))


def _names(header: Header) -> dict[str, TensorInfo]:
    """Our name -> tensor, without the prefixes that wrappers put before it."""
    return {key.removeprefix("_orig_mod.").removeprefix("transformer."): info for key, info in header.tensors.items()}


def _locate(config: GPTConfig, names: dict[str, TensorInfo]) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Where each parameter lies, and which keys are buffers."""
    first = names.get("h.0.attn.c_attn.weight")
    conv1d = first is not None and first.shape == (config.n_embd, 3 * config.n_embd)
    buffers = tuple(
        info.name
        for name, info in names.items()
        if _BUFFER.fullmatch(name) or (config.tied and name == "lm_head.weight")
    )
    tensors = {
        name: Part((info.name,), "transposed" if conv1d and _MATRIX.fullmatch(name) else "as is")
        for name, info in names.items()
        if info.name not in buffers
    }
    return tensors, buffers


def _matrix(names: dict[str, TensorInfo], name: str, place: str) -> tuple[int, int]:
    if name not in names or len(names[name].shape) != 2:
        raise CheckpointError(f"{place} has no config.json, and no matrix {name} to infer the configuration from")
    rows, columns = names[name].shape
    return rows, columns

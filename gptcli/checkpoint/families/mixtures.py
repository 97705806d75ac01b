"""Mixture-of-experts families whose parameters are counted and shown, but which do not run yet.

They are Mixtral, Qwen's two and gpt-oss. Their configuration is read in full. Of their tensors only the embeddings are
read, so that tokens can still be compared.
"""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family, Part, never
from gptcli.checkpoint.families.decoder import LLAMA, RMS, biases, rotated, sizes, sliding, window_of, windows
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig
from gptcli.model.experts import Experts

_EMBEDDINGS = {"wte.weight": "model.embed_tokens.weight", "lm_head.weight": "lm_head.weight"}


def mixtral(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Mixtral, and locate the embeddings if a header is given."""
    found = sizes(fields, kv_heads=8)
    experts = Experts(
        fields.integer("num_local_experts", default=8),
        active=fields.integer("num_experts_per_tok", default=2),
        width=found["n_inner"],
    )
    slides = (window_of(fields, None),) * found["n_layer"]
    return _blueprint("mixtral", fields, header, found, experts, windows=slides if any(slides) else (), **LLAMA)


def qwen2(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Qwen's mixtures up to 2.5, which have a shared expert that processes every token."""
    found = sizes(fields, kv_heads=16)
    shared = fields.integer("shared_expert_intermediate_size", default=5632)
    experts = _qwen_experts(fields, found["n_layer"], count=60, active=4, width=1408, shared_width=shared)
    return _blueprint("qwen2_moe", fields, header, found, experts, **LLAMA, qkv_bias=True)


def qwen3(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Qwen 3's mixtures, and locate the embeddings if a header is given."""
    found = sizes(fields, kv_heads=4, head_width=128)
    experts = _qwen_experts(fields, found["n_layer"], count=128, active=8, width=768)
    own = biases(fields, mlp=False)
    return _blueprint("qwen3_moe", fields, header, found, experts, **LLAMA, qk_norm="head", **own)


def gpt_oss(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of gpt-oss, and locate the embeddings if a header is given."""
    found = sizes(fields, kv_heads=8, head_width=64)
    experts = Experts(
        fields.integer("num_local_experts", "num_experts", default=128),
        active=fields.integer("num_experts_per_tok", "experts_per_token", default=4),
        width=found["n_inner"],
        bias=True,
    )
    slides = sliding(fields, found["n_layer"], lambda layer: layer % 2 == 0)
    own: dict[str, Any] = {"qkv_bias": True, "attention_bias": True, "gated": True, "sinks": True}
    seen = windows(slides, window_of(fields, 128))
    return _blueprint("gpt_oss", fields, header, found, experts, windows=seen, **RMS, **own)


def _qwen_experts(
    fields: Fields, n_layer: int, *, count: int, active: int, width: int, shared_width: int | None = None
) -> Experts:
    step = fields.integer("decoder_sparse_step", default=1)
    plain = fields.ids("mlp_only_layers")
    layers = tuple(layer not in plain and (layer + 1) % step == 0 for layer in range(n_layer))
    return Experts(
        fields.integer("num_experts", "num_local_experts", default=count),
        active=fields.integer("num_experts_per_tok", default=active),
        width=fields.integer("moe_intermediate_size", default=width),
        shared_width=shared_width,
        layers=() if all(layers) else layers,
    )


def _blueprint(
    family: str, fields: Fields, header: Header | None, found: dict[str, Any], experts: Experts, **own: Any
) -> Blueprint:
    none = {"qkv_bias": False, "attention_bias": False, "mlp_bias": False}
    shape = {
        **found,
        **rotated(found, read_rope(fields, context=32768)),
        **none,
        **own,
        "experts": experts,
        "activation": fields.activation("hidden_act", default="silu"),
        "layer_norm_epsilon": fields.number("rms_norm_eps", default=1e-6),
        "tied": fields.boolean("tie_word_embeddings", default=False),
    }
    config = GPTConfig(**shape)
    keys = () if header is None else tuple(header.tensors)
    tensors = {ours: Part((key,)) for ours, key in _EMBEDDINGS.items() if key in keys}
    again = tuple(part.keys[0] for ours, part in tensors.items() if ours == "lm_head.weight" and config.tied)
    return Blueprint(family, config, tensors, buffers=again, eos_ids=fields.ids("eos_token_id"))


FAMILIES = tuple(
    Family(name, (name,), never, reader)
    for name, reader in (("mixtral", mixtral), ("qwen2_moe", qwen2), ("qwen3_moe", qwen3), ("gpt_oss", gpt_oss))
)

"""Qwen 2 and 2.5, with biases on queries, keys and values; Qwen 3, with norms on queries and keys instead."""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import (
    LLAMA,
    QK_NORMS,
    biases,
    llama_names,
    rotated,
    sizes,
    sliding,
    window_of,
    windows,
)
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

_NAMING_2, _NAMING_3 = llama_names(), llama_names(QK_NORMS)


def from_config_2(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Qwen 2 or 2.5, and locate the tensors if a header is given."""
    config = _config(fields, head_width=None, qkv_bias=True, attention_bias=False, mlp_bias=False)
    located = None if header is None else locate(header, _NAMING_2)
    return assemble("qwen2", config, header, located, eos_ids=fields.ids("eos_token_id"))


def from_config_3(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Qwen 3, and locate the tensors if a header is given."""
    config = _config(fields, head_width=128, qk_norm="head", **biases(fields, mlp=False))
    located = None if header is None else locate(header, _NAMING_3)
    return assemble("qwen3", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _config(fields: Fields, head_width: int | None, **own: Any) -> GPTConfig:
    found = sizes(fields, kv_heads=32, head_width=head_width)
    first = fields.integer("max_window_layers", default=28, least=0)
    window = window_of(fields, 4096) if fields.boolean("use_sliding_window", default=False) else None
    return GPTConfig(
        **found,
        **rotated(found, read_rope(fields, context=32768)),
        **LLAMA,
        **own,
        windows=windows(sliding(fields, found["n_layer"], lambda layer: layer >= first), window),
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("rms_norm_eps", default=1e-6),
        tied=fields.boolean("tie_word_embeddings", default=False),
    )


QWEN2 = Family("qwen2", ("qwen2",), never, from_config_2)
QWEN3 = Family("qwen3", ("qwen3",), never, from_config_3)

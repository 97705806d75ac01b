"""Llama (Touvron et al. 2023) and models with its model_type: Llama 2 to 3.3, SmolLM2, TinyLlama, Yi, R1-Distill."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.decoder import LLAMA, biases, llama_names, rotated, sizes
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names()


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    found = sizes(fields)
    config = GPTConfig(
        **found,
        **rotated(found, read_rope(fields)),
        **LLAMA,
        **biases(fields),
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("rms_norm_eps", default=1e-6),
        tied=fields.boolean("tie_word_embeddings", default=False),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("llama", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "layers.0.self_attn.q_proj.weight") and NAMING.has(
        header, "layers.0.mlp.gate_proj.weight"
    )


FAMILY = Family("llama", ("llama",), _recognise, from_config)

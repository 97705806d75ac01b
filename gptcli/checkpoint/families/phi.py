"""Phi 1 to 2: attention and MLP in parallel after one norm, partial rotary positions, a biased unembedding."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.decoder import biases, llama_names, rotated, sizes
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names(
    {
        "layers.N.self_attn.dense": "h.N.attn.c_proj",
        "layers.N.self_attn.q_layernorm": "h.N.attn.q_norm",
        "layers.N.self_attn.k_layernorm": "h.N.attn.k_norm",
        "layers.N.mlp.fc1": "h.N.mlp.c_fc",
        "layers.N.mlp.fc2": "h.N.mlp.c_proj",
        "final_layernorm": "ln_f",
    }
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    found = sizes(fields)
    normed = fields.boolean("qk_layernorm", default=False)
    config = GPTConfig(
        **found,
        **rotated(found, read_rope(fields, share=0.5)),
        **biases(fields, attention=True, mlp=True),
        activation=fields.activation("hidden_act", default="gelu_new"),
        layer_norm_epsilon=fields.number("layer_norm_eps", default=1e-5),
        parallel_residual=True,
        shared_norm=True,
        qk_norm="head" if normed else "none",
        qk_norm_bias=normed,
        tied=fields.boolean("tie_word_embeddings", default=False),
        unembedding_bias=True,
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("phi", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "layers.0.self_attn.dense.weight") and NAMING.has(header, "layers.0.mlp.fc1.weight")


FAMILY = Family("phi", ("phi",), _recognise, from_config)

"""Granite 3: Llama's layer, with multipliers on the embedding, the scores, the sub-layers' outputs and the logits."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
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
        embedding_scale=fields.number("embedding_multiplier", default=1.0),
        attention_scale=fields.number("attention_multiplier", default=1.0),
        residual_scale=fields.number("residual_multiplier", default=1.0),
        logit_scale=1 / fields.number("logits_scaling", default=1.0),
        tied=fields.boolean("tie_word_embeddings", default=False),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("granite", config, header, located, eos_ids=fields.ids("eos_token_id"))


FAMILY = Family("granite", ("granite",), never, from_config)

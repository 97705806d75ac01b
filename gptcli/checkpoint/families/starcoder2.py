"""StarCoder 2: GPT-2's layer with rotary positions, and two or four key heads."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import biases, llama_names, rotated, sizes, window_of, windows
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names({"layers.N.mlp.c_fc": "h.N.mlp.c_fc", "layers.N.mlp.c_proj": "h.N.mlp.c_proj"})


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    found = sizes(fields, kv_heads=2)
    biased = fields.boolean("use_bias", default=True)
    config = GPTConfig(
        **found,
        **rotated(found, read_rope(fields, context=4096)),
        **biases(fields, attention=biased, mlp=biased),
        windows=windows((True,) * found["n_layer"], window_of(fields, None)),
        activation=fields.activation("hidden_act", default="gelu_pytorch_tanh"),
        layer_norm_epsilon=fields.number("norm_epsilon", default=1e-5),
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("starcoder2", config, header, located, eos_ids=fields.ids("eos_token_id"))


FAMILY = Family("starcoder2", ("starcoder2",), never, from_config)

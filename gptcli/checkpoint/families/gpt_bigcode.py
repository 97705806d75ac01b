"""GPT-BigCode (SantaCoder, StarCoder): GPT-2 with one key head for all query heads, and Linear matrices."""

from gptcli.checkpoint.families import gpt2
from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    if fields.boolean("add_cross_attention", default=False):
        raise CheckpointError(f"{fields.place}: add_cross_attention is true: gptcli runs decoders only")
    shared = fields.boolean("multi_query", default=True)
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50257),
        n_positions=fields.integer("n_positions", "max_position_embeddings", default=1024),
        n_embd=fields.integer("n_embd", "hidden_size", default=768),
        n_layer=fields.layers("n_layer", "num_hidden_layers", default=12),
        n_head=fields.integer("n_head", "num_attention_heads", default=12),
        n_inner=fields.optional_integer("n_inner"),
        n_kv_head=1 if shared else None,
        activation=fields.activation("activation_function", default="gelu_pytorch_tanh"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        scale_attention=fields.boolean("scale_attn_weights", default=True),
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None
    if header is not None:  # with a key head for each query head, rows are grouped by head
        located = locate(
            header, gpt2.NAMING, lambda name: "regrouped" if not shared and ".c_attn." in name else "as is"
        )
    return assemble("gpt_bigcode", config, header, located, eos_ids=fields.ids("eos_token_id"))


FAMILY = Family("gpt_bigcode", ("gpt_bigcode",), never, from_config)

"""BLOOM: ALiBi instead of position embeddings, and a norm after the embedding. Falcon uses the same tensor names."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig

NAMING = Naming(
    modules={
        "word_embeddings": "wte",
        "word_embeddings_layernorm": "ln_0",
        "h.N.input_layernorm": "h.N.ln_1",
        "h.N.ln_attn": "h.N.ln_1",
        "h.N.self_attention.query_key_value": "h.N.attn.c_attn",
        "h.N.self_attention.dense": "h.N.attn.c_proj",
        "h.N.post_attention_layernorm": "h.N.ln_2",
        "h.N.ln_mlp": "h.N.ln_2",
        "h.N.mlp.dense_h_to_4h": "h.N.mlp.c_fc",
        "h.N.mlp.dense_4h_to_h": "h.N.mlp.c_proj",
        "ln_f": "ln_f",
        "lm_head": "lm_head",
    },
    prefixes=("transformer.",),
    buffers=r"h\.[0-9]+\.self_attention\.(rotary_emb\.inv_freq|rotary\.inv_freq|bias|masked_bias)",
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    if fields.boolean("apply_residual_connection_post_layernorm", default=False):
        raise CheckpointError(
            f"{fields.place}: apply_residual_connection_post_layernorm is true, which is not supported"
        )
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size"),
        n_positions=fields.integer("seq_length", default=2048),
        n_embd=fields.integer("n_embed", "hidden_size"),
        n_layer=fields.layers("n_layer", "num_hidden_layers"),
        n_head=fields.integer("n_head", "num_attention_heads"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        positions="alibi",
        embedding_norm=True,
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None
    if header is not None:
        located = locate(header, NAMING, lambda name: "regrouped" if ".c_attn." in name else "as is")
    return assemble("bloom", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "word_embeddings_layernorm.weight")


FAMILY = Family("bloom", ("bloom",), _recognise, from_config)

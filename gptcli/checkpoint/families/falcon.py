"""Falcon: attention and MLP in parallel, after one norm (7B) or two (40B); falcon-rw is GPT-2's layer with ALiBi."""

from typing import Any

from gptcli.checkpoint.families import bloom
from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    new = fields.boolean("new_decoder_architecture", default=False)
    parallel = new or fields.boolean("parallel_attn", default=True)
    norms = fields.integer("num_ln_in_parallel_attn", default=2 if new else 1, most=2)
    shared = not new and fields.boolean("multi_query", default=True)
    biased = fields.boolean("bias", default=False)
    n_embd = fields.integer("n_embed", "hidden_size")
    found: dict[str, Any] = {
        "vocab_size": fields.integer("vocab_size"),
        "n_embd": n_embd,
        "n_layer": fields.layers("n_layer", "num_hidden_layers"),
        "n_head": fields.integer("n_head", "num_attention_heads"),
        "n_kv_head": fields.optional_integer("num_kv_heads", "n_head_kv") if new else 1 if shared else None,
        "n_inner": fields.integer("ffn_hidden_size", default=4 * n_embd),
    }
    config = GPTConfig(
        **found,
        **_positions(fields, GPTConfig(**found).head_size),
        activation=fields.activation("activation", default="gelu"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        parallel_residual=parallel,
        shared_norm=parallel and not (new and norms == 2),
        qkv_bias=biased,
        attention_bias=biased,
        mlp_bias=biased,
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None
    if header is not None:  # with one key head for all, the rows are in our order
        located = locate(
            header, bloom.NAMING, lambda name: "regrouped" if not shared and ".c_attn." in name else "as is"
        )
    return assemble("falcon", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _positions(fields: Fields, head_size: int) -> dict[str, Any]:
    if fields.boolean("alibi", default=False):
        context = fields.integer("max_position_embeddings", default=2048)
        return {"positions": "alibi", "alibi_scaled": True, "n_positions": context}
    rope = read_rope(fields)
    turned = {"rotary_dim": int(head_size * rope.share), "rotary": (rope.rotary,)}
    return {"positions": "rotary", "n_positions": rope.context, **turned}


FAMILY = Family("falcon", ("falcon",), never, from_config)

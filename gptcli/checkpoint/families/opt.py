"""OPT: positions start at the third row of their table; ReLU; in one size, norms after the sub-layers."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = Naming(
    modules={
        "embed_tokens": "wte",
        "embed_positions": "wpe",
        "project_in": "project_in",
        "project_out": "project_out",
        "layers.N.self_attn_layer_norm": "h.N.ln_1",
        "layers.N.self_attn.out_proj": "h.N.attn.c_proj",
        "layers.N.final_layer_norm": "h.N.ln_2",
        "layers.N.fc1": "h.N.mlp.c_fc",
        "layers.N.fc2": "h.N.mlp.c_proj",
        "final_layer_norm": "ln_f",
        "lm_head": "lm_head",
    },
    stacks={"h.N.attn.c_attn": tuple(f"layers.N.self_attn.{name}_proj" for name in "qkv")},
    prefixes=("model.decoder.", "decoder."),
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    before = fields.boolean("do_layer_norm_before", default=True)
    biased = fields.boolean("enable_bias", default=True)
    affine = fields.boolean("layer_norm_elementwise_affine", default=True)
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50272),
        n_positions=fields.integer("max_position_embeddings", default=2048),
        n_embd=fields.integer("hidden_size", default=768),
        n_layer=fields.layers("num_hidden_layers", default=12),
        n_head=fields.integer("num_attention_heads", default=12),
        n_inner=fields.integer("ffn_dim", default=3072),
        activation=fields.activation("activation_function", default="relu"),
        position_offset=2,
        norm="pre" if before else "post",
        final_norm=before and not fields.boolean("_remove_final_layer_norm", default=False),
        qkv_bias=biased,
        attention_bias=biased,
        mlp_bias=biased,
        norm_weight=affine,
        norm_bias=affine,
        tied=fields.boolean("tie_word_embeddings", default=True),
        token_width=fields.optional_integer("word_embed_proj_dim"),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("opt", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "layers.0.self_attn.q_proj.weight") and NAMING.has(header, "embed_positions.weight")


FAMILY = Family("opt", ("opt",), _recognise, from_config)

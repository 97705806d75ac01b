"""MPT: ALiBi instead of position embeddings, and no biases."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig

NAMING = Naming(
    modules={
        "wte": "wte",
        "blocks.N.norm_1": "h.N.ln_1",
        "blocks.N.attn.Wqkv": "h.N.attn.c_attn",
        "blocks.N.attn.out_proj": "h.N.attn.c_proj",
        "blocks.N.norm_2": "h.N.ln_2",
        "blocks.N.ffn.up_proj": "h.N.mlp.c_fc",
        "blocks.N.ffn.down_proj": "h.N.mlp.c_proj",
        "norm_f": "ln_f",
        "lm_head": "lm_head",
    },
    prefixes=("transformer.",),
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    attention = fields.section("attn_config")
    _check(fields, attention)
    n_embd = fields.integer("d_model", "hidden_size")
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size"),
        n_positions=fields.integer("max_seq_len", default=2048),
        n_embd=n_embd,
        n_layer=fields.layers("n_layers", "num_hidden_layers"),
        n_head=fields.integer("n_heads", "num_attention_heads"),
        n_inner=n_embd * fields.integer("expansion_ratio", default=4, most=1000),
        activation="gelu",
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        positions="alibi",
        alibi_slopes="mpt",
        alibi_max=attention.number("alibi_bias_max", default=8.0),
        qkv_clip=attention.optional_number("clip_qkv"),
        attention_scale=attention.optional_number("softmax_scale"),
        qkv_bias=False,
        attention_bias=False,
        mlp_bias=False,
        norm_bias=False,
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("mpt", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _check(fields: Fields, attention: Fields) -> None:
    """Refuse options that MPT's training code has and no well-known checkpoint uses."""
    plain = {"attn_type": "multihead_attention", "prefix_lm": False, "qk_ln": False, "alibi": True}
    for name, value in plain.items():
        said = attention.values.get(name)
        if said is not None and said != value:
            raise CheckpointError(f"{attention.place}: {name} {said!r:.40} is not supported, only {value!r}")
    for name, common in (("no_bias", True), ("logit_scale", None)):
        said = fields.values.get(name)
        if said is not None and said != common:
            raise CheckpointError(f"{fields.place}: {name} {said!r:.40} is not supported, only {common!r}")


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "blocks.0.attn.Wqkv.weight")


FAMILY = Family("mpt", ("mpt",), _recognise, from_config)

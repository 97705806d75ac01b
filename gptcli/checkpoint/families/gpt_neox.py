"""GPT-NeoX and Pythia: partial rotary positions that pair the two halves, attention and MLP in parallel.

Queries, keys and values are stored head by head (q, k, v of the first head, then of the second) and are regrouped.
"""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = Naming(
    modules={
        "embed_in": "wte",
        "layers.N.input_layernorm": "h.N.ln_1",
        "layers.N.attention.query_key_value": "h.N.attn.c_attn",
        "layers.N.attention.dense": "h.N.attn.c_proj",
        "layers.N.post_attention_layernorm": "h.N.ln_2",
        "layers.N.mlp.dense_h_to_4h": "h.N.mlp.c_fc",
        "layers.N.mlp.dense_4h_to_h": "h.N.mlp.c_proj",
        "final_layer_norm": "ln_f",
        "embed_out": "lm_head",
        "lm_head": "lm_head",
    },
    prefixes=("gpt_neox.",),
    buffers=r"(layers\.[0-9]+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq))|rotary_emb\.inv_freq",
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    n_embd = fields.integer("hidden_size", default=6144)
    n_head = fields.integer("num_attention_heads", default=64)
    rope = read_rope(fields, share=0.25)
    biased = fields.boolean("attention_bias", default=True)
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50432),
        n_positions=rope.context,
        n_embd=n_embd,
        n_layer=fields.layers("num_hidden_layers", default=44),
        n_head=n_head,
        n_inner=fields.integer("intermediate_size", default=24576),
        activation=fields.activation("hidden_act", default="gelu"),
        layer_norm_epsilon=fields.number("layer_norm_eps", default=1e-5),
        positions="rotary",
        rotary_dim=int(GPTConfig(n_embd=n_embd, n_head=n_head).head_size * rope.share),
        rotary=(rope.rotary,),
        parallel_residual=fields.boolean("use_parallel_residual", default=True),
        qkv_bias=biased,
        attention_bias=biased,
        tied=fields.boolean("tie_word_embeddings", default=False),
    )
    located = None
    if header is not None:
        located = locate(header, NAMING, lambda name: "regrouped" if ".c_attn." in name else "as is")
    return assemble("gpt_neox", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "layers.0.attention.query_key_value.weight")


FAMILY = Family("gpt_neox", ("gpt_neox",), _recognise, from_config)

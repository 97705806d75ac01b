"""GPT-NeoX and Pythia: rotary positions on halves of part of each head, attention and MLP side by side.

Queries, keys and values lie head by head (q, k, v of the first head, then of the second), and are regrouped.
"""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from gptcli.model.rotary import Rotary

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
    """Read a config.json, and find the tensors where there is a header."""
    n_embd = fields.integer("hidden_size", default=6144)
    n_head = fields.integer("num_attention_heads", default=64)
    share, base = _rotary(fields)
    biased = fields.boolean("attention_bias", default=True)
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50432),
        n_positions=fields.integer("max_position_embeddings", default=2048),
        n_embd=n_embd,
        n_layer=fields.layers("num_hidden_layers", default=44),
        n_head=n_head,
        n_inner=fields.integer("intermediate_size", default=24576),
        activation=fields.activation("hidden_act", default="gelu"),
        layer_norm_epsilon=fields.number("layer_norm_eps", default=1e-5),
        positions="rotary",
        rotary_dim=int(GPTConfig(n_embd=n_embd, n_head=n_head).head_size * share),
        rotary=(Rotary(base=base),),
        parallel_residual=fields.boolean("use_parallel_residual", default=True),
        qkv_bias=biased,
        attention_bias=biased,
        tied=fields.boolean("tie_word_embeddings", default=False),
    )
    located = None
    if header is not None:
        located = locate(header, NAMING, lambda name: "regrouped" if ".c_attn." in name else "as is")
    return assemble("gpt_neox", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _rotary(fields: Fields) -> tuple[float, float]:
    """The share of each head that is rotated, and the wavelengths' base, in old and in new fields."""
    rope = fields.section("rope_scaling", "rope_parameters")
    kind = rope.values.get("rope_type", rope.values.get("type", "default"))
    if kind not in ("default", None):
        raise CheckpointError(
            f"{rope.place}: rotary positions of type {kind!r:.40} are not supported, only the default"
        )
    share = fields.number("rotary_pct", "partial_rotary_factor", default=0.25)
    base = fields.number("rotary_emb_base", "rope_theta", default=10000.0)
    share = rope.number("partial_rotary_factor", default=share)
    if not 0 <= share <= 1:
        raise CheckpointError(f"{fields.place}: {share:g} of each head cannot be rotated: a share is from 0 to 1")
    return share, rope.number("rope_theta", default=base)


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "layers.0.attention.query_key_value.weight")


FAMILY = Family("gpt_neox", ("gpt_neox",), _recognise, from_config)

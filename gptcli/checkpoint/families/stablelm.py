"""StableLM: layer norms, a gated MLP, a quarter of each head rotated; in some sizes attention and MLP in parallel."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import llama_names, rotated, sizes
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names(
    rows={f"h.N.attn.{name}_norm": f"layers.N.self_attn.{name}_layernorm.norms.M" for name in "qk"},
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    found = sizes(fields, kv_heads=32)
    parallel = fields.boolean("use_parallel_residual", default=False)
    config = GPTConfig(
        **found,
        **rotated(found, read_rope(fields, share=0.25, context=4096)),
        gated=True,
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("layer_norm_eps", default=1e-5),
        parallel_residual=parallel,
        shared_norm=parallel,
        qk_norm="each head" if fields.boolean("qk_layernorm", default=False) else "none",
        qkv_bias=fields.boolean("use_qkv_bias", default=False),
        attention_bias=False,
        mlp_bias=False,
        tied=fields.boolean("tie_word_embeddings", default=False),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("stablelm", config, header, located, eos_ids=fields.ids("eos_token_id"))


FAMILY = Family("stablelm", ("stablelm",), never, from_config)

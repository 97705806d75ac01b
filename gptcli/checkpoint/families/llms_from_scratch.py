"""Exports of the GPT from Sebastian Raschka's "Build a Large Language Model (From Scratch)" (2024).

GPT-2 with other tensor names: separate queries, keys and values, norms with ``scale`` and ``shift``, and an untied
unembedding. A config.json, if there is one, holds the book's dictionary (``emb_dim``, ``context_length``, ...).
"""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.infer import infer_config
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = Naming(
    modules={
        "tok_emb": "wte",
        "pos_emb": "wpe",
        "trf_blocks.N.norm1": "h.N.ln_1",
        "trf_blocks.N.att.out_proj": "h.N.attn.c_proj",
        "trf_blocks.N.norm2": "h.N.ln_2",
        "trf_blocks.N.ff.layers.0": "h.N.mlp.c_fc",
        "trf_blocks.N.ff.layers.2": "h.N.mlp.c_proj",
        "final_norm": "ln_f",
        "out_head": "lm_head",
    },
    stacks={"h.N.attn.c_attn": tuple(f"trf_blocks.N.att.W_{name}" for name in ("query", "key", "value"))},
    buffers=r"trf_blocks\.[0-9]+\.att\.mask",
    leaves={"weight": "weight", "bias": "bias", "scale": "weight", "shift": "bias"},
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json with the book's fields, and locate the tensors if a header is given."""
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50257),
        n_positions=fields.integer("context_length", default=1024),
        n_embd=fields.integer("emb_dim"),
        n_layer=fields.layers("n_layers"),
        n_head=fields.integer("n_heads"),
        qkv_bias=fields.boolean("qkv_bias", default=False),
        tied=header is not None and not NAMING.has(header, "out_head.weight"),
    )
    return assemble("llms_from_scratch", config, header, None if header is None else locate(header, NAMING))


def from_shapes(header: Header, n_head: int | None, place: str) -> Blueprint:
    """Infer the configuration of a lone file from the shapes of its tensors."""
    located = locate(header, NAMING)
    config, note = infer_config(located, header, n_head, place, "gelu_new")
    return assemble("llms_from_scratch", config, header, located, notes=(note,))


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "trf_blocks.0.att.W_query.weight")


FAMILY = Family("llms_from_scratch", (), _recognise, from_config, from_shapes, config_field="emb_dim")

"""Phi 3 to 4-mini: Llama's layer with fused matrices: one for q, k and v, one for the gate and up projections."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.decoder import LLAMA, biases, llama_names, rotated, sizes, window_of, windows
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names(
    {"layers.N.self_attn.qkv_proj": "h.N.attn.c_attn"},
    stacks={},
    halves={"layers.N.mlp.gate_up_proj": ("h.N.mlp.c_gate", "h.N.mlp.c_fc")},
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    found = sizes(fields)
    config = GPTConfig(
        **found,
        **rotated(found, read_rope(_renamed(fields), context=4096, original=4096)),
        **LLAMA,
        **biases(fields, attention=False, mlp=False),
        windows=windows((True,) * found["n_layer"], window_of(fields, None)),
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("rms_norm_eps", default=1e-5),
        tied=fields.boolean("tie_word_embeddings", default=False),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("phi3", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _renamed(fields: Fields) -> Fields:
    """The fields with today's name for longrope; older files call it ``su`` or ``yarn``."""
    changed = dict(fields.values)
    for name in ("rope_scaling", "rope_parameters"):
        said = fields.section(name).values
        if "yarn" in (said.get("rope_type"), said.get("type")):
            changed[name] = {**said, "rope_type": "longrope"}
    return Fields(changed, fields.place)


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "layers.0.mlp.gate_up_proj.weight")


FAMILY = Family("phi3", ("phi3",), _recognise, from_config)

"""OLMo 1: layer norms without weights. OLMo 2 and 3: RMS norms after the sub-layers, and on all queries and keys."""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import (
    QK_NORMS,
    RMS,
    biases,
    every,
    llama_names,
    rotated,
    sizes,
    sliding,
    window_of,
    windows,
)
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope, read_ropes
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

_AFTER = {
    "layers.N.input_layernorm": None,
    "layers.N.post_attention_layernorm": "h.N.ln_1_out",
    "layers.N.post_feedforward_layernorm": "h.N.ln_2_out",
}
_NAMING_1, _NAMING_2 = llama_names(), llama_names({**_AFTER, **QK_NORMS})


def from_config_1(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of OLMo 1, and locate the tensors if a header is given."""
    found = sizes(fields)
    config = _config(
        fields,
        found,
        **rotated(found, read_rope(fields)),
        norm_weight=False,
        norm_bias=False,
        layer_norm_epsilon=1e-5,
        qkv_clip=fields.optional_number("clip_qkv"),
    )
    located = None if header is None else locate(header, _NAMING_1)
    return assemble("olmo", config, header, located, eos_ids=fields.ids("eos_token_id"))


def from_config_2(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of OLMo 2, and locate the tensors if a header is given."""
    found = sizes(fields)
    config = _after(fields, found, **rotated(found, read_rope(fields)))
    located = None if header is None else locate(header, _NAMING_2)
    return assemble("olmo2", config, header, located, eos_ids=fields.ids("eos_token_id"))


def from_config_3(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of OLMo 3, and locate the tensors if a header is given."""
    found = sizes(fields)
    slides = sliding(fields, found["n_layer"], every(fields, 4))
    full, local = read_ropes(fields, base=5e5, local_base=5e5, local_name="rope_theta", context=2048)
    tables = {**rotated(found, full), "rotary": (full.rotary, local.rotary), "rotary_layers": tuple(map(int, slides))}
    config = _after(fields, found, **tables, windows=windows(slides, window_of(fields, 4096)))
    located = None if header is None else locate(header, _NAMING_2)
    return assemble("olmo3", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _after(fields: Fields, found: dict[str, Any], **own: Any) -> GPTConfig:
    epsilon = fields.number("rms_norm_eps", default=1e-5)
    return _config(fields, found, **RMS, norm="after", qk_norm="whole", layer_norm_epsilon=epsilon, **own)


def _config(fields: Fields, found: dict[str, Any], **own: Any) -> GPTConfig:
    return GPTConfig(
        **found,
        **biases(fields, mlp=False),
        **own,
        gated=True,
        activation=fields.activation("hidden_act", default="silu"),
        tied=fields.boolean("tie_word_embeddings", default=False),
    )


OLMO = Family("olmo", ("olmo",), never, from_config_1)
OLMO2 = Family("olmo2", ("olmo2",), never, from_config_2)
OLMO3 = Family("olmo3", ("olmo3",), never, from_config_3)

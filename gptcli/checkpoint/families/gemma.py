"""Gemma 1 to 3: RMS norms that scale by one plus their weight; embeddings times the square root of the width.

Gemma 2 has norms before and after each sub-layer, sliding windows, and soft caps on scores and logits. Gemma 3 has
norms on queries and keys instead of the caps, and two rotary tables.
"""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import (
    PICTURES_LEFT_OUT,
    QK_NORMS,
    RMS,
    biases,
    every,
    llama_names,
    rotated,
    sizes,
    sliding,
    text_part,
    window_of,
    windows,
)
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope, read_ropes
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import Activation, GPTConfig

_SANDWICH = {
    "layers.N.post_attention_layernorm": "h.N.ln_1_out",
    "layers.N.pre_feedforward_layernorm": "h.N.ln_2",
    "layers.N.post_feedforward_layernorm": "h.N.ln_2_out",
}
_NAMING_1, _NAMING_2, _NAMING_3 = llama_names(), llama_names(_SANDWICH), llama_names({**_SANDWICH, **QK_NORMS})
# The text_config of models that take images leaves out the fields that have these values.
_GEMMA_3 = {
    "vocab_size": 262208,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
}


def from_config_1(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Gemma 1, and locate the tensors if a header is given."""
    found = sizes(fields, kv_heads=16, head_width=256)
    config = _config(fields, found, **rotated(found, read_rope(fields, context=8192)))
    located = None if header is None else locate(header, _NAMING_1)
    return assemble("gemma", config, header, located, eos_ids=fields.ids("eos_token_id"))


def from_config_2(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Gemma 2, and locate the tensors if a header is given."""
    found = sizes(fields, kv_heads=4, head_width=256)
    slides = sliding(fields, found["n_layer"], lambda layer: layer % 2 == 0)
    config = _config(
        fields,
        found,
        **rotated(found, read_rope(fields, context=8192)),
        **_scale_and_caps(fields, GPTConfig(**found).head_size, 50.0, 30.0),
        norm="sandwich",
        windows=windows(slides, window_of(fields, 4096)),
    )
    located = None if header is None else locate(header, _NAMING_2)
    return assemble("gemma2", config, header, located, eos_ids=fields.ids("eos_token_id"))


def from_config_3(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Gemma 3, or of its text part, and locate the tensors if a header is given."""
    text = text_part(fields)
    found = sizes(text, kv_heads=4, head_width=256, defaults=_GEMMA_3)
    slides = sliding(text, found["n_layer"], every(text, 6))
    full, local = read_ropes(text, base=1e6, local_base=1e4, context=131072)
    scale_and_caps = _scale_and_caps(text, GPTConfig(**found).head_size, None, None)
    scale_and_caps["attention_cap"] = None  # Gemma 3 has the field but does not use it
    tables = {**rotated(found, full), "rotary": (full.rotary, local.rotary), "rotary_layers": tuple(map(int, slides))}
    config = _config(
        text,
        found,
        **tables,
        **scale_and_caps,
        norm="sandwich",
        qk_norm="head",
        windows=windows(slides, window_of(text, 4096)),
    )
    located = None if header is None else locate(header, _NAMING_3)
    notes = () if text is fields else (PICTURES_LEFT_OUT,)
    return assemble("gemma3", config, header, located, notes=notes, eos_ids=text.ids("eos_token_id"))


def _config(fields: Fields, found: dict[str, Any], **own: Any) -> GPTConfig:
    if fields.values.get("use_bidirectional_attention"):
        raise CheckpointError(f"{fields.place}: use_bidirectional_attention is true: gptcli runs decoders only")
    return GPTConfig(
        **found,
        **RMS,
        **biases(fields, mlp=False),
        **own,
        norm_plus_one=True,
        gated=True,
        activation=_activation(fields),
        layer_norm_epsilon=fields.number("rms_norm_eps", default=1e-6),
        embedding_scale=found["n_embd"] ** 0.5,
        embedding_scale_rounded=True,
        tied=fields.boolean("tie_word_embeddings", default=True),
    )


def _activation(fields: Fields) -> Activation:
    """The activation. Files of the first release say "gelu" but mean its tanh approximation, as in all Gemma models."""
    said = fields.activation("hidden_activation", "hidden_act", default="gelu_pytorch_tanh")
    return "gelu_new" if said == "gelu" else said


def _scale_and_caps(fields: Fields, head_size: int, attention: float | None, logits: float | None) -> dict[str, Any]:
    """The scale of the scores and the caps. Null removes a cap; a missing field keeps the family's default."""

    def cap(name: str, default: float | None) -> float | None:
        return fields.optional_number(name) if name in fields.values else default

    scalar = fields.number("query_pre_attn_scalar", default=256.0)
    return {
        "attention_scale": None if scalar == head_size else scalar**-0.5,
        "attention_cap": cap("attn_logit_softcapping", attention),
        "logit_cap": cap("final_logit_softcapping", logits),
    }


GEMMA = Family("gemma", ("gemma",), never, from_config_1)
GEMMA2 = Family("gemma2", ("gemma2",), never, from_config_2)
GEMMA3 = Family("gemma3", ("gemma3_text", "gemma3"), never, from_config_3)

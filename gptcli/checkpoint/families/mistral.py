"""Mistral: Llama's layer with a sliding window. Ministral 3: no window; queries are scaled up with the position."""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import (
    LLAMA,
    PICTURES_LEFT_OUT,
    biases,
    llama_names,
    rotated,
    sizes,
    text_part,
    window_of,
    windows,
)
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import Rope, read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig

NAMING = llama_names()
# The value if a Ministral 3 config.json lacks the field.
_MINISTRAL_ROPE = {
    "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16384,
    "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
}  # fmt: skip


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Mistral, and locate the tensors if a header is given."""
    config = _config(fields, read_rope(fields, context=131072), window_of(fields, 4096), epsilon=1e-6)
    return _assemble("mistral", fields, config, header)


def from_config_3(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Ministral 3, and locate the tensors if a header is given."""
    if fields.values.get("rope_parameters") is None and fields.values.get("rope_scaling") is None:
        fields = Fields({**fields.values, "rope_parameters": _MINISTRAL_ROPE}, fields.place)
    rope = read_rope(fields, context=262144)
    section = fields.section("rope_parameters", "rope_scaling")
    growth = section.optional_number("llama_4_scaling_beta") or 0.0
    own = {"query_growth": growth, "query_growth_every": rope.rotary.original or rope.context}
    config = _config(fields, rope, window_of(fields, None), epsilon=1e-5, head_width=128, **own)
    return _assemble("ministral3", fields, config, header)


def from_config_with_pictures(fields: Fields, header: Header | None) -> Blueprint:
    """Read the text part of a model that also takes images."""
    text = text_part(fields)
    kind = text.values.get("model_type", "mistral")
    if kind not in ("mistral", "ministral3"):
        raise CheckpointError(f"{text.place}: a text model of type {kind!r:.40} is not supported in a mistral3")
    return (from_config if kind == "mistral" else from_config_3)(text, header)


def _config(
    fields: Fields, rope: Rope, window: int | None, *, epsilon: float, head_width: int | None = None, **own: Any
) -> GPTConfig:
    found = sizes(fields, kv_heads=8, head_width=head_width)
    return GPTConfig(
        **found,
        **rotated(found, rope),
        **LLAMA,
        **biases(fields, attention=False, mlp=False),
        **own,
        windows=windows((True,) * found["n_layer"], window),
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("rms_norm_eps", default=epsilon),
        tied=fields.boolean("tie_word_embeddings", default=False),
    )


def _assemble(name: str, fields: Fields, config: GPTConfig, header: Header | None) -> Blueprint:
    located = None if header is None else locate(header, NAMING)
    notes = (PICTURES_LEFT_OUT,) if fields.place.endswith("text_config") else ()
    return assemble(name, config, header, located, notes=notes, eos_ids=fields.ids("eos_token_id"))


MISTRAL = Family("mistral", ("mistral",), never, from_config)
MINISTRAL3 = Family("ministral3", ("ministral3",), never, from_config_3)
MISTRAL3 = Family("mistral3", ("mistral3",), never, from_config_with_pictures)

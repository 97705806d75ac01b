"""Cohere's Command R: interleaved rotary pairs, attention and MLP in parallel after one norm, scaled logits.

Command R7B (``cohere2``) has sliding windows in three of four layers, and rotates queries and keys only in those.
"""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import (
    QK_NORMS,
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
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names(QK_NORMS)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Command R, and locate the tensors if a header is given."""
    found = sizes(fields)
    normed = fields.boolean("use_qk_norm", default=False)
    rope = read_rope(fields, base=5e5, context=8192)
    config = _config(fields, found, **rotated(found, rope), qk_norm="each head" if normed else "none")
    return _assemble("cohere", fields, config, header)


def from_config_2(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json of Command R7B, and locate the tensors if a header is given."""
    found = sizes(fields)
    slides = sliding(fields, found["n_layer"], every(fields, 4))
    window = window_of(fields, 4096)
    config = _config(
        fields,
        found,
        **rotated(found, read_rope(fields, context=8192)),
        rotary_layers=tuple(0 if one and window is not None else None for one in slides),
        windows=windows(slides, window),
    )
    return _assemble("cohere2", fields, config, header)


def _config(fields: Fields, found: dict[str, Any], **own: Any) -> GPTConfig:
    return GPTConfig(
        **found,
        **biases(fields, mlp=False),
        **own,
        rotary_interleaved=True,
        gated=True,
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("layer_norm_eps", default=1e-5),
        norm_bias=False,
        parallel_residual=True,
        shared_norm=True,
        logit_scale=fields.number("logit_scale", default=0.0625),
        tied=fields.boolean("tie_word_embeddings", default=True),
    )


def _assemble(name: str, fields: Fields, config: GPTConfig, header: Header | None) -> Blueprint:
    located = None if header is None else locate(header, NAMING)
    return assemble(name, config, header, located, eos_ids=fields.ids("eos_token_id"))


COHERE = Family("cohere", ("cohere",), never, from_config)
COHERE2 = Family("cohere2", ("cohere2",), never, from_config_2)

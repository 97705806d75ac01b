"""GPT-Neo and the TinyStories models: alternating global and local attention, and unscaled attention scores.

The openly available form of GPT-3's alternating dense and locally banded layers (Brown et al. 2020, section 2.1).
"""

from typing import Any

from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming, assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

_SAME = ("wte", "wpe", "h.N.ln_1", "h.N.ln_2", "h.N.mlp.c_fc", "h.N.mlp.c_proj", "ln_f", "lm_head")
NAMING = Naming(
    modules={**{name: name for name in _SAME}, "h.N.attn.attention.out_proj": "h.N.attn.c_proj"},
    stacks={"h.N.attn.c_attn": tuple(f"h.N.attn.attention.{name}_proj" for name in "qkv")},
    prefixes=("transformer.",),
    buffers=r"h\.[0-9]+\.attn\.attention\.(bias|masked_bias)",
)


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    n_layer = fields.layers("num_layers", "num_hidden_layers", default=24)
    window = fields.integer("window_size", default=256)
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50257),
        n_positions=fields.integer("max_position_embeddings", default=2048),
        n_embd=fields.integer("hidden_size", default=2048),
        n_layer=n_layer,
        n_head=fields.integer("num_heads", "num_attention_heads", default=16),
        n_inner=fields.optional_integer("intermediate_size"),
        activation=fields.activation("activation_function", default="gelu_new"),
        layer_norm_epsilon=fields.number("layer_norm_epsilon", default=1e-5),
        scale_attention=False,
        windows=tuple(window if kind == "local" else None for kind in _kinds(fields, n_layer)),
        qkv_bias=False,
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("gpt_neo", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _kinds(fields: Fields, n_layer: int) -> list[str]:
    """``global`` or ``local`` for each layer: from a list, or from [[kinds], times] pairs."""
    listed: Any = fields.values.get("attention_layers")
    if listed is None:
        name, value = "attention_types", fields.values.get("attention_types") or [[["global", "local"], 12]]
        listed = _expand(value, n_layer)
    else:
        name, value = "attention_layers", listed
    if (
        not isinstance(listed, list)
        or len(listed) != n_layer
        or any(kind not in ("global", "local") for kind in listed)
    ):
        raise fields.wrong([name], value, f"'global' or 'local' for each of the {n_layer} layers")
    return listed


def _expand(types: Any, n_layer: int) -> list[Any] | None:
    """The expanded pairs; None if they are not pairs, or expand to more than ``n_layer`` entries."""
    kinds: list[Any] = []
    for pair in types if isinstance(types, list) else [None]:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], list) and type(pair[1]) is int):
            return None
        if len(kinds) + len(pair[0]) * max(pair[1], 0) > n_layer:
            return None
        kinds += pair[0] * pair[1]
    return kinds


def _recognise(header: Header) -> bool:
    return NAMING.has(header, "h.0.attn.attention.q_proj.weight")


FAMILY = Family("gpt_neo", ("gpt_neo",), _recognise, from_config)

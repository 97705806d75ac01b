"""What most decoders since Llama share: the fields of config.json, and Llama's tensor names."""

from collections.abc import Callable, Mapping
from typing import Any

from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import Naming
from gptcli.checkpoint.families.rope import Rope
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig

_MODULES = {
    "embed_tokens": "wte",
    "layers.N.input_layernorm": "h.N.ln_1",
    "layers.N.self_attn.o_proj": "h.N.attn.c_proj",
    "layers.N.post_attention_layernorm": "h.N.ln_2",
    "layers.N.mlp.gate_proj": "h.N.mlp.c_gate",
    "layers.N.mlp.up_proj": "h.N.mlp.c_fc",
    "layers.N.mlp.down_proj": "h.N.mlp.c_proj",
    "norm": "ln_f",
    "lm_head": "lm_head",
}
_STACKS = {"h.N.attn.c_attn": tuple(f"layers.N.self_attn.{name}_proj" for name in "qkv")}
# Of a model that takes images only the text part is read: its keys have one of the first three prefixes.
_PREFIXES = ("model.language_model.", "language_model.model.", "language_model.", "model.")
_PICTURES = r"(model\.)?(vision_tower|vision_model|vision_encoder|multi_modal_projector|patch_merger)\..*"
_BUFFERS = rf"(layers\.[0-9]+\.self_attn\.)?rotary_emb\.inv_freq|{_PICTURES}"

QK_NORMS = {f"layers.N.self_attn.{name}_norm": f"h.N.attn.{name}_norm" for name in "qk"}
"""The names that most families give the norms on queries and keys."""

PICTURES_LEFT_OUT = "the model also reads pictures: that part is left out, and only its text model is run"

RMS: dict[str, Any] = {"norm_kind": "rms", "norm_bias": False}
"""RMS norms that round only once in 16 bits."""

LLAMA: dict[str, Any] = {**RMS, "norm_rounds_first": True, "gated": True}
"""Llama's layer: RMS norms and a gated MLP."""


def llama_names(modules: Mapping[str, str | None] | None = None, **changes: Any) -> Naming:
    """Llama's tensor names.

    Args:
        modules: the family's own names, which extend or replace Llama's; None removes one of Llama's.
        changes: other fields of ``Naming``.
    """
    named = {**_MODULES, **(modules or {})}
    kept = {theirs: ours for theirs, ours in named.items() if ours is not None}
    return Naming(**{"modules": kept, "stacks": _STACKS, "prefixes": _PREFIXES, "buffers": _BUFFERS, **changes})


def sizes(
    fields: Fields,
    *,
    kv_heads: int | None = None,
    head_width: int | None = None,
    defaults: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The sizes of a model, under Llama's field names; a field without a default is required.

    Args:
        fields: of config.json.
        defaults: the family's defaults for missing fields.
        kv_heads: the number of key heads if ``num_key_value_heads`` is absent; None: as many as query heads.
        head_width: the head size if ``head_dim`` is absent; None: the width divided by the number of heads.
    """
    usual = defaults or {}

    def integer(name: str) -> int:
        return fields.integer(name, default=usual.get(name))

    n_head, n_embd = integer("num_attention_heads"), integer("hidden_size")
    if fields.values.get("num_key_value_heads", kv_heads) is None:
        kv_heads = n_head  # null
    width = fields.optional_integer("head_dim")
    if width is None and "head_dim" not in fields.values:
        width = head_width
    found: dict[str, Any] = {
        "vocab_size": integer("vocab_size"),
        "n_embd": n_embd,
        "n_layer": fields.layers("num_hidden_layers", default=usual.get("num_hidden_layers")),
        "n_head": n_head,
        "n_inner": integer("intermediate_size"),
        "n_kv_head": fields.integer("num_key_value_heads", default=kv_heads),
        "head_width": None if width is not None and width * n_head == n_embd else width,
    }
    GPTConfig(**found)  # reports invalid sizes before they are divided
    return found


def rotated(found: Mapping[str, Any], rope: Rope) -> dict[str, Any]:
    """The configuration's fields for rotary positions with one table.

    Args:
        found: the result of ``sizes``.
        rope: the rotary settings of config.json.
    """
    return {
        "positions": "rotary",
        "rotary_dim": int(GPTConfig(**found).head_size * rope.share),
        "rotary": (rope.rotary,),
        "n_positions": rope.context,
    }


def biases(fields: Fields, *, attention: bool | None = None, mlp: bool | None = None) -> dict[str, Any]:
    """The configuration's fields for the biases of linear layers.

    Args:
        fields: of config.json.
        attention: whether queries, keys, values and output have biases; None: read ``attention_bias``, default False.
        mlp: whether the MLP has biases; None: read ``mlp_bias``, default False.
    """
    attention = fields.boolean("attention_bias", default=False) if attention is None else attention
    mlp = fields.boolean("mlp_bias", default=False) if mlp is None else mlp
    return {"qkv_bias": attention, "attention_bias": attention, "mlp_bias": mlp}


def window_of(fields: Fields, default: int | None) -> int | None:
    """``sliding_window``: null means no window; a missing field means the default."""
    return fields.optional_integer("sliding_window") if "sliding_window" in fields.values else default


def sliding(fields: Fields, n_layer: int, rule: Callable[[int], bool]) -> tuple[bool, ...]:
    """Which layers have a window: from ``layer_types`` if it is there, else by a rule.

    Args:
        fields: of config.json.
        n_layer: the number of layers.
        rule: takes a layer's index.
    """
    listed = fields.values.get("layer_types")
    if listed is None:
        return tuple(map(rule, range(n_layer)))
    known = ("full_attention", "sliding_attention")
    if not isinstance(listed, list) or len(listed) != n_layer:
        raise fields.wrong(["layer_types"], listed, f"a list of {n_layer:,} types, one a layer")
    other = next((kind for kind in listed if kind not in known), None)
    if other is not None:
        raise CheckpointError(
            f"{fields.place}: layers of type {other!r:.40} are not supported, only {', '.join(known)}"
        )
    return tuple(kind == "sliding_attention" for kind in listed)


def every(fields: Fields, default: int) -> Callable[[int], bool]:
    """The rule that every n-th layer has full attention and the others a window (``sliding_window_pattern``)."""
    pattern = fields.integer("sliding_window_pattern", "_sliding_window_pattern", default=default)
    return lambda layer: (layer + 1) % pattern != 0


def windows(slides: tuple[bool, ...], window: int | None) -> tuple[int | None, ...]:
    """Each layer's window; empty if no layer has one."""
    if window is None or not any(slides):
        return ()
    return tuple(window if one else None for one in slides)


def text_part(fields: Fields) -> Fields:
    """The fields of the text model, also if the model takes images; top-level fields are the fallback."""
    if not isinstance(fields.values.get("text_config"), dict):
        return fields
    text = fields.section("text_config")
    outside = {name: value for name, value in fields.values.items() if name in ("tie_word_embeddings", "eos_token_id")}
    return Fields({**outside, **text.values}, text.place)

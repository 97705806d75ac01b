"""What most decoders since Llama say alike: the fields of config.json, and Llama's names of tensors."""

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
# Of a model with pictures only the text part is read: its keys stand behind one of the first three.
_PREFIXES = ("model.language_model.", "language_model.model.", "language_model.", "model.")
_PICTURES = r"(model\.)?(vision_tower|vision_model|vision_encoder|multi_modal_projector|patch_merger)\..*"
_BUFFERS = rf"(layers\.[0-9]+\.self_attn\.)?rotary_emb\.inv_freq|{_PICTURES}"

QK_NORMS = {f"layers.N.self_attn.{name}_norm": f"h.N.attn.{name}_norm" for name in "qk"}
"""Norms on queries and keys, as most families call them."""

PICTURES_LEFT_OUT = "the model also reads pictures: that part is left out, and only its text model is run"

RMS: dict[str, Any] = {"norm_kind": "rms", "norm_bias": False}
"""RMS norms that are rounded once in 16 bits."""

LLAMA: dict[str, Any] = {**RMS, "norm_rounds_first": True, "gated": True}
"""Llama's block: RMS norms and a gate."""


def llama_names(modules: Mapping[str, str | None] | None = None, **changes: Any) -> Naming:
    """Llama's names of tensors.

    Args:
        modules: a family's own, which are added or come in place of Llama's; None takes one of Llama's out.
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
    """The numbers that make a model large or small, in Llama's names; all of them are needed but those with a default.

    Args:
        fields: of config.json.
        defaults: the family's, of files that leave some out.
        kv_heads: the family's key heads where ``num_key_value_heads`` is absent; None: as many as query heads.
        head_width: the family's head size where ``head_dim`` is absent; None: what the width divides into.
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
    GPTConfig(**found)  # says what is wrong with them before they are divided
    return found


def rotated(found: Mapping[str, Any], rope: Rope) -> dict[str, Any]:
    """Rotary positions of one table.

    Args:
        found: what ``sizes`` found.
        rope: what config.json says of them.
    """
    return {
        "positions": "rotary",
        "rotary_dim": int(GPTConfig(**found).head_size * rope.share),
        "rotary": (rope.rotary,),
        "n_positions": rope.context,
    }


def biases(fields: Fields, *, attention: bool | None = None, mlp: bool | None = None) -> dict[str, Any]:
    """Which linear layers have biases.

    Args:
        fields: of config.json.
        attention: of queries, keys, values and output; None: as ``attention_bias`` says, else none.
        mlp: of the MLP's; None: as ``mlp_bias`` says, else none.
    """
    attention = fields.boolean("attention_bias", default=False) if attention is None else attention
    mlp = fields.boolean("mlp_bias", default=False) if mlp is None else mlp
    return {"qkv_bias": attention, "attention_bias": attention, "mlp_bias": mlp}


def window_of(fields: Fields, default: int | None) -> int | None:
    """``sliding_window``: null says that there is none, which is not the same as a missing field."""
    return fields.optional_integer("sliding_window") if "sliding_window" in fields.values else default


def sliding(fields: Fields, n_layer: int, rule: Callable[[int], bool]) -> tuple[bool, ...]:
    """Which layers have a window: as ``layer_types`` lists, else by a rule.

    Args:
        fields: of config.json.
        n_layer: layers.
        rule: of a layer's place.
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
    """The rule that every so many layers one is full, the others slide (``sliding_window_pattern``)."""
    pattern = fields.integer("sliding_window_pattern", "_sliding_window_pattern", default=default)
    return lambda layer: (layer + 1) % pattern != 0


def windows(slides: tuple[bool, ...], window: int | None) -> tuple[int | None, ...]:
    """Each layer's window; empty where no layer has one."""
    if window is None or not any(slides):
        return ()
    return tuple(window if one else None for one in slides)


def text_part(fields: Fields) -> Fields:
    """The text model's fields, of a model with pictures too; what stands outside counts where these do not say it."""
    if not isinstance(fields.values.get("text_config"), dict):
        return fields
    text = fields.section("text_config")
    outside = {name: value for name, value in fields.values.items() if name in ("tie_word_embeddings", "eos_token_id")}
    return Fields({**outside, **text.values}, text.place)

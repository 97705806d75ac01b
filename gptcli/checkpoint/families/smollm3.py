"""SmolLM3: Llama's layer; every fourth has no rotary positions (Yang et al. 2025, "Rope to Nope and back again")."""

from gptcli.checkpoint.families.blueprint import Blueprint, Family, never
from gptcli.checkpoint.families.decoder import LLAMA, biases, llama_names, rotated, sizes, sliding, window_of, windows
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.families.rope import read_rope
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import GPTConfig

NAMING = llama_names()


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json, and locate the tensors if a header is given."""
    found = sizes(fields, kv_heads=4)
    turned = _rotated_layers(fields, found["n_layer"])
    window = window_of(fields, None) if fields.boolean("use_sliding_window", default=False) else None
    slides = sliding(fields, found["n_layer"], lambda layer: not turned[layer])
    config = GPTConfig(
        **found,
        **rotated(found, read_rope(fields, base=2e6, context=32768)),
        **LLAMA,
        **biases(fields),
        rotary_layers=() if all(turned) else tuple(0 if one else None for one in turned),
        windows=windows(slides, window),
        activation=fields.activation("hidden_act", default="silu"),
        layer_norm_epsilon=fields.number("rms_norm_eps", default=1e-6),
        tied=fields.boolean("tie_word_embeddings", default=True),
    )
    located = None if header is None else locate(header, NAMING)
    return assemble("smollm3", config, header, located, eos_ids=fields.ids("eos_token_id"))


def _rotated_layers(fields: Fields, n_layer: int) -> list[bool]:
    """The rotated layers: ``no_rope_layers`` has 1 for a layer that is rotated, 0 for one that is not."""
    listed = fields.values.get("no_rope_layers")
    if listed is None:
        interval = fields.integer("no_rope_layer_interval", default=4)
        return [(layer + 1) % interval != 0 for layer in range(n_layer)]
    if not isinstance(listed, list) or len(listed) != n_layer or any(one not in (0, 1) for one in listed):
        raise fields.wrong(["no_rope_layers"], listed, f"a list of {n_layer:,} zeros and ones, one a layer")
    return [one == 1 for one in listed]


FAMILY = Family("smollm3", ("smollm3",), never, from_config)

"""Exports of nanoGPT and build-nanogpt: GPT-2's tensor names, but Linear matrices and optional biases.

Both tie the unembedding. nanoGPT uses the exact GELU, build-nanogpt its tanh approximation. A nanoGPT configuration is
recognised by its fields ``bias`` and ``dropout``, its tensors by missing biases: build-nanogpt always has them.
"""

from gptcli.checkpoint.families import gpt2
from gptcli.checkpoint.families.blueprint import Blueprint, Family
from gptcli.checkpoint.families.fields import Fields
from gptcli.checkpoint.families.infer import infer_config, with_biases
from gptcli.checkpoint.families.keys import assemble, locate
from gptcli.checkpoint.files.header import Header
from gptcli.model.config import Activation, GPTConfig


def from_config(fields: Fields, header: Header | None) -> Blueprint:
    """Read a config.json that holds the training script's own fields, and locate the tensors if a header is given."""
    located = None if header is None else locate(header, gpt2.NAMING, gpt2.orientation(header))
    nanogpt = "bias" in fields.values or "dropout" in fields.values
    bias = fields.boolean("bias", default=True)
    config = GPTConfig(
        vocab_size=fields.integer("vocab_size", default=50304 if nanogpt else 50257),
        n_positions=fields.integer("block_size", default=1024),
        n_embd=fields.integer("n_embd", default=768),
        n_layer=fields.layers("n_layer", default=12),
        n_head=fields.integer("n_head", default=12),
        activation=fields.activation("activation_function", default="gelu" if nanogpt else "gelu_new"),
        qkv_bias=bias,
        attention_bias=bias,
        mlp_bias=bias,
        norm_bias=bias,
    )
    if "bias" not in fields.values and located is not None:
        config = with_biases(config, located)
    said = "activation_function" in fields.values
    note = f"{fields.place} does not name an activation: assumed {config.activation}"
    return assemble("nanogpt", config, header, located, notes=() if said else (note,))


def from_shapes(header: Header, n_head: int | None, place: str) -> Blueprint:
    """Infer the configuration of a lone file from the shapes of its tensors."""
    located = locate(header, gpt2.NAMING, gpt2.orientation(header))
    activation: Activation = "gelu_new" if "h.0.mlp.c_fc.bias" in located.tensors else "gelu"
    config, note = infer_config(located, header, n_head, place, activation)
    return assemble("nanogpt", config, header, located, notes=(note,))


def _recognise(header: Header) -> bool:
    return gpt2.NAMING.has(header, "h.0.attn.c_attn.weight") and not gpt2.has_conv1d(header)


FAMILY = Family("nanogpt", (), _recognise, from_config, from_shapes, config_field="block_size")

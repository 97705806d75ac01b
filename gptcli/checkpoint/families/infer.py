"""Infers a configuration from tensor shapes alone, for files without a config.json."""

from dataclasses import replace

from gptcli.checkpoint.families.blueprint import Part
from gptcli.checkpoint.families.keys import Located, made_shape
from gptcli.checkpoint.files.header import Header
from gptcli.errors import CheckpointError
from gptcli.model.config import Activation, GPTConfig

HEAD_SIZE = 64  # in all of OpenAI's GPT-2 sizes, and in most models modelled on them


def infer_config(
    located: Located, header: Header, n_head: int | None, place: str, activation: Activation
) -> tuple[GPTConfig, str]:
    """The configuration of a GPT-2-like model, from the shapes of its tensors.

    Args:
        located: the source of each tensor.
        header: the file's header.
        n_head: the number of heads, which shapes do not determine; None: the width divided by 64.
        place: the file's name, for errors.
        activation: the activation function, which shapes do not determine either.

    Returns:
        The configuration, and a sentence that says where each value comes from.

    Raises:
        CheckpointError: a tensor that determines the configuration is missing or has the wrong number of dimensions.
        ValueError: no GPT can have these shapes.
    """
    tensors = located.tensors
    vocab_size, n_embd = _matrix(tensors, ("wte.weight", "lm_head.weight"), header, place)
    n_positions, _ = _matrix(tensors, ("wpe.weight",), header, place)
    n_inner, _ = _matrix(tensors, ("h.0.mlp.c_fc.weight",), header, place)
    if n_head is None and n_embd % HEAD_SIZE:
        raise CheckpointError(
            f"{place} has no config.json, and its width {n_embd} is no multiple of the usual head size {HEAD_SIZE}: "
            "say how many heads with --n-head"
        )
    config = GPTConfig(
        vocab_size=vocab_size,
        n_positions=n_positions,
        n_embd=n_embd,
        n_layer=len({name.split(".")[1] for name in tensors if name.startswith("h.")}),
        n_head=n_head or n_embd // HEAD_SIZE,
        n_inner=n_inner,
        activation=activation,
    )
    heads = "as --n-head says" if n_head else f"heads of the usual size {HEAD_SIZE}"
    return with_biases(config, located), (
        f"no config.json: inferred from the shapes {config.n_layer} layers, width {n_embd}, {config.n_head} heads "
        f"({heads}), {n_positions:,} positions, {vocab_size:,} tokens; assumed the activation {activation}"
    )


def with_biases(config: GPTConfig, located: Located) -> GPTConfig:
    """The configuration with the biases that the first layer has."""
    return replace(
        config,
        qkv_bias="h.0.attn.c_attn.bias" in located.tensors,
        attention_bias="h.0.attn.c_proj.bias" in located.tensors,
        mlp_bias="h.0.mlp.c_fc.bias" in located.tensors,
        norm_bias="h.0.ln_1.bias" in located.tensors,
    )


def _matrix(tensors: dict[str, Part], names: tuple[str, ...], header: Header, place: str) -> tuple[int, int]:
    """The shape of the first of these tensors that exists."""
    part = next((tensors[name] for name in names if name in tensors), None)
    shape = None if part is None else made_shape(part, header)
    if shape is None or len(shape) != 2:
        raise CheckpointError(f"{place} has no config.json, and no matrix {names[0]} to infer the configuration from")
    return shape[0], shape[1]

"""transformers' models with their activations changed by hooks of their own: what interventions are compared with."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

# Cases of the zoo: learned positions, parallel blocks, grouped query heads and gates, sandwich norms, scaled sums.
SLOW_CASES = [pytest.param(name, marks=pytest.mark.slow) for name in ("gemma2", "granite")]
CASE_PARAMS: list[Any] = ["gpt2", "gpt_neox", "llama", *SLOW_CASES]
Edit = Callable[[Tensor], Tensor]


def layers_of(theirs: Any) -> Any:
    """Their blocks."""
    body = theirs.base_model
    return body.h if hasattr(body, "h") else body.layers


def n_heads(theirs: Any) -> int:
    """How many query heads a layer has."""
    return int(theirs.config.num_attention_heads)


def point(theirs: Any, kind: str, layer: int) -> tuple[Any, bool]:
    """The module at which a kind of activation stands, and whether it is the module's input (else its output)."""
    block = layers_of(theirs)[layer]
    if kind == "layer":
        return block, False
    if kind == "embedding":
        return layers_of(theirs)[0], True
    attention = next(getattr(block, name) for name in ("attn", "attention", "self_attn") if hasattr(block, name))
    if kind == "head":
        return next(
            getattr(attention, each) for each in ("c_proj", "dense", "o_proj") if hasattr(attention, each)
        ), True
    if kind == "neuron":
        names = ("c_proj", "dense_4h_to_h", "down_proj")
        return next(getattr(block.mlp, name) for name in names if hasattr(block.mlp, name)), True
    if theirs.config.model_type == "gemma2":  # what is added to the stream has been through a norm
        return getattr(block, f"post_{'attention' if kind == 'attention' else 'feedforward'}_layernorm"), False
    return (attention if kind == "attention" else block.mlp), False


@contextmanager
def edited(theirs: Any, edits: Sequence[tuple[str, int, Edit]]) -> Iterator[None]:
    """Their model with activations [B, T, ...] replaced by what the edits make of them."""
    handles = []
    for kind, layer, edit in edits:
        module, is_input = point(theirs, kind, layer)

        def before(_: Any, inputs: Any, kwargs: Any, edit: Edit = edit) -> Any:
            if inputs:
                return (edit(inputs[0]), *inputs[1:]), kwargs
            return inputs, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}

        def behind(_: Any, inputs: Any, output: Any, edit: Edit = edit) -> Any:
            return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)

        if is_input:
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(behind))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def logits(theirs: Any, ids: Sequence[int], *edits: tuple[str, int, Edit]) -> Tensor:
    """Their logits [T, V] under some edits."""
    with edited(theirs, edits):
        said: Tensor = theirs(torch.tensor([list(ids)])).logits[0]
    return said


def seen(theirs: Any, ids: Sequence[int], kind: str, layer: int) -> Tensor:
    """What stands at a point while their model reads a text, [T, ...]."""
    found: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        found.append(value[0].clone())
        return value

    logits(theirs, ids, (kind, layer, keep))
    return found[0]


def columns(theirs: Any, kind: str, member: int | None) -> slice:
    """The columns of an activation that a head or a neuron (from 0) has; all where it is None."""
    if member is None:
        return slice(None)
    size = 1
    if kind == "head":
        config = theirs.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return slice(member * size, (member + 1) * size)

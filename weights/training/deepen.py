"""A trained model with more layers, which says at first what it said before."""

import torch
import typer

from weights.training.checkpoint import Tensors


def deepen(weights: Tensors, old: int, new: int) -> Tensors:
    """Weights with copies of blocks between the others; a copy adds nothing yet.

    A copy reads the residual stream as the block before it does, and the matrices and biases with which its attention
    and its MLP write are zero (as LLaMA Pro does, Wu et al. 2024), so that logits stay. Copied are the middle blocks,
    which differ least from what stands around them.

    Args:
        weights: by the GPT's own names.
        old: how many layers they have.
        new: how many are wanted, at most twice as many.

    Raises:
        typer.BadParameter: the model cannot be brought to so many layers.
    """
    if not old <= new <= 2 * old:
        raise typer.BadParameter(f"--layers {new}: a start of {old} layers can get {old} to {2 * old}")
    first = (2 * old - new) // 2
    copied = range(first, first + new - old)
    order = [(layer, copy) for layer in range(old) for copy in (False, True) if not copy or layer in copied]
    deeper = {name: value for name, value in weights.items() if not name.startswith("h.")}
    for place, (layer, copy) in enumerate(order):
        before = f"h.{layer}."
        for name, value in weights.items():
            if name.startswith(before):
                writes = copy and ".c_proj." in name
                deeper[f"h.{place}.{name.removeprefix(before)}"] = torch.zeros_like(value) if writes else value
    return deeper

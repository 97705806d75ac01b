"""A run of the PyTorch model that shows the neurons of one layer after the other (see ``neurons``)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from gptcli.inspection.record import token_batch
from gptcli.inspection.stream import Floats
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT


@torch.inference_mode()
def watched(
    model: GPT,
    ids: Sequence[int],
    layers: Sequence[int],
    norms: Mapping[str, Callable[[GPTConfig, Floats], list[float]]],
    see: Callable[[int, Floats], None],
) -> dict[str, list[float]]:
    """Run a model in eval mode.

    Args:
        model: the model.
        ids: the text, at most the context long.
        layers: from 0.
        norms: by their names, and what is made of that which each reads, [T, C].
        see: is given each of these layers and what its MLP's last matrix reads, [T, neurons].

    Returns:
        What was made at each norm.
    """
    made: dict[str, list[float]] = {}

    def saw(take: Callable[[Floats], None]) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            take(inputs[0][0].float().cpu().numpy())

        return hook

    def neurons(layer: int) -> Any:
        return saw(lambda activations: see(layer, activations))

    def norm(name: str) -> Any:
        return saw(lambda read: made.update({name: norms[name](model.config, read)}))

    places = {f"h.{layer}.mlp.c_proj": neurons(layer) for layer in layers} | {name: norm(name) for name in norms}
    with ExitStack() as hooks:
        for name, hook in places.items():
            hooks.callback(model.get_submodule(name).register_forward_pre_hook(hook).remove)
        model.ln_f(model.transform(token_batch(model, ids)))
    return made

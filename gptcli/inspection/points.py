"""The points of the model at which activations are read and changed, and the hooks on them.

What stands at a point, for B texts of T positions:

    head        what the heads gathered, before the output projection   [B, T, H, D]
    attention   what attention adds to the residual stream              [B, T, C]
    neuron      what the MLP's last layer reads                         [B, T, F]
    mlp         what the MLP adds to the residual stream                [B, T, C]
    layer       the residual stream after the layer                     [B, T, C]
    embedding   the residual stream before the first layer              [B, T, C]

Hooks that are set first run first: a recording that begins inside of a change sees what was changed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gptcli.inspection.places import Point, check_layers
from gptcli.model.gpt import GPT, Block
from gptcli.probability.reading import check_fits

See = Callable[[Tensor], Tensor | None]
"""Gets what stands at a point; what it returns takes its place, unless that is None."""


@contextmanager
def seeing(model: GPT, points: Sequence[tuple[Point, See]]) -> Iterator[None]:
    """Hooks on some points, for as long as the context lasts; at one point they run in the order given.

    Raises:
        InputError: the model has no layers.
    """
    check_layers(model.config)
    handles: list[Any] = []
    try:
        for point, see in points:
            handles.append(_hook(model, point, see))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(model: GPT, point: Point, see: See) -> Any:
    kind, layer = point
    block = model.h[layer]
    assert isinstance(block, Block)
    if kind == "embedding":
        return block.register_forward_pre_hook(_before(see))
    if kind == "neuron":
        return block.mlp.c_proj.register_forward_pre_hook(_before(see))
    if kind == "head":
        return block.attn.attend.register_forward_hook(_behind(see, transposed=True))
    if kind == "layer":
        return block.register_forward_hook(_behind(see))
    out = block.ln_1_out if kind == "attention" else block.ln_2_out
    return out.register_forward_hook(_behind(see, scale=block.config.residual_scale))


def _before(see: See) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...] | None]:
    """A hook on a module's first input."""

    def hook(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        changed = see(inputs[0])
        return None if changed is None else (changed, *inputs[1:])

    return hook


def _behind(
    see: See, *, transposed: bool = False, scale: float = 1.0
) -> Callable[[Any, tuple[Any, ...], Tensor], Tensor | None]:
    """A hook on a module's output.

    Args:
        see: what is called with it.
        transposed: it is [B, H, T, D], and ``see`` gets [B, T, H, D].
        scale: what the block multiplies it with before it is added to the stream.
    """

    def hook(module: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        shown = output.transpose(1, 2) if transposed else output
        changed = see(shown if scale == 1 else shown * scale)
        if changed is None:
            return None
        if scale != 1:
            changed = changed / scale
        return changed.transpose(1, 2) if transposed else changed

    return hook


@torch.inference_mode()
def capture(model: GPT, ids: Sequence[int], points: Sequence[Point]) -> dict[Point, Tensor]:
    """What stands at some points while the model reads one text: [T, ...] each.

    Raises:
        InputError: there is no token, or more than the context holds.
    """
    check_fits(ids, model.config.n_positions)
    seen: dict[Point, Tensor] = {}

    def keep(point: Point) -> See:
        return lambda value: seen.update({point: value[0]})

    with seeing(model, [(point, keep(point)) for point in dict.fromkeys(points)]):
        model.transform(torch.tensor([list(ids)], device=model.wte.weight.device))
    return seen

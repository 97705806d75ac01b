"""Norms, over the residual stream and over queries and keys, of the kind that the configuration says."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gptcli.model.config import GPTConfig


class Norm(nn.Module):
    """An RMS norm (Zhang & Sennrich 2019), or a layer norm whose weight has a row for each head.

    Both compute in float32, whatever comes in.

    Args:
        config: says which, and how its weight counts.
        shape: of the weight, of which the last dimension is what is normalized.
        bias: whether it has one.

    Attributes:
        mean_square: of [..., D], [..., 1]; where several processes hold a part of D each, over all of them.
    """

    def __init__(self, config: GPTConfig, shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.ones(shape)) if config.norm_weight else None
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None
        self.mean_square: Callable[[Tensor], Tensor] = lambda x: x.square().mean(-1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]; where the weight is [H, D], [..., H, D]."""
        normed = x.float()
        if self.config.norm_kind == "layer":
            normed = normed - normed.mean(-1, keepdim=True)
        normed = normed * torch.rsqrt(self.mean_square(normed) + self.config.layer_norm_epsilon)
        if self.weight is None:
            return normed.to(x.dtype)
        if self.config.norm_rounds_first:
            return normed.to(x.dtype) * self.weight
        scaled = normed * norm_scale(self.config, self.weight.float())
        return (scaled if self.bias is None else scaled + self.bias.float()).to(x.dtype)


def norm_scale(config: GPTConfig, weight: Tensor) -> Tensor:
    """What a norm multiplies by, from its weight."""
    return 1 + weight if config.norm_plus_one else weight


def make_norm(config: GPTConfig, shape: tuple[int, ...] | None = None, bias: bool | None = None) -> nn.Module:
    """A norm.

    Args:
        config: of the GPT.
        shape: of its weight; None: over the residual stream.
        bias: whether it has one; None: as those over the residual stream.
    """
    shape = (config.n_embd,) if shape is None else shape
    bias = config.norm_bias if bias is None else bias
    if config.norm_kind == "layer" and len(shape) == 1:
        return nn.LayerNorm(shape, eps=config.layer_norm_epsilon, elementwise_affine=config.norm_weight, bias=bias)
    return Norm(config, shape, bias)


def normalize_heads(norm: nn.Module, x: Tensor) -> Tensor:
    """A norm over queries or keys that lie side by side: [B, T, H D] -> [B, T, H D].

    Whether it is over each head or over all tells the shape of its weight: [D], [H, D] or [H D].
    """
    weight = norm.get_parameter("weight")
    heads = x.reshape(*x.shape[:-1], -1, weight.shape[-1])  # [B, T, H, D], or [B, T, 1, H D]
    normed: Tensor = norm(heads)
    return normed.flatten(-2)

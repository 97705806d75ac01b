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
        part: of the weight's first dimension, what this process uses where several divide the heads.
        mean_square: of [..., D], [..., 1]; where several processes hold a part of D each, over all of them.
    """

    def __init__(self, config: GPTConfig, shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.ones(shape)) if config.norm_weight else None
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None
        self.part = slice(None)
        self.mean_square: Callable[[Tensor], Tensor] = lambda x: x.square().mean(-1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]; where the weight is [H, D], [..., H, D]."""
        normed = x.float()
        if self.config.norm_kind == "layer":
            normed = normed - normed.mean(-1, keepdim=True)
        normed = normed * torch.rsqrt(self.mean_square(normed) + self.config.layer_norm_epsilon)
        if self.weight is None:
            return normed.to(x.dtype)
        weight = self.weight[self.part]
        if self.config.norm_rounds_first:
            return normed.to(x.dtype) * weight
        scaled = normed * norm_scale(self.config, weight.float())
        return (scaled if self.bias is None else scaled + self.bias[self.part].float()).to(x.dtype)


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
    if config.norm_kind == "layer" and shape in ((config.n_embd,), (config.head_size,)):
        return nn.LayerNorm(shape, eps=config.layer_norm_epsilon, elementwise_affine=config.norm_weight, bias=bias)
    return Norm(config, shape, bias)


def normalize_heads(config: GPTConfig, norm: nn.Module, x: Tensor) -> Tensor:
    """A norm over queries or keys that lie side by side: [B, T, H D] -> [B, T, H D]."""
    if config.qk_norm == "whole":
        return norm(x)  # type: ignore[no-any-return]
    normed: Tensor = norm(x.reshape(*x.shape[:-1], -1, config.head_size))  # [B, T, H, D]
    return normed.flatten(-2)

"""Norms of the residual stream and of queries and keys, as the configuration defines them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gptcli.model.config import GPTConfig


class Norm(nn.Module):
    """An RMS norm (Zhang & Sennrich 2019), or a layer norm whose weight has a row for each head.

    Both compute in float32, whatever the type of the input.

    Args:
        config: gives the kind of norm, and how the weight is applied.
        shape: of the weight; its last dimension is the normalized one.
        bias: whether the norm has a bias.

    Attributes:
        part: slice of the weight's first dimension that this process uses (tensor parallelism).
        mean_square: [..., D] -> [..., 1]; where each of several processes holds a part of D, the mean over all of them.
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
    """The factor of the normalized numbers: the weight, or one plus the weight."""
    return 1 + weight if config.norm_plus_one else weight


def make_norm(config: GPTConfig, shape: tuple[int, ...] | None = None, bias: bool | None = None) -> nn.Module:
    """Make a norm.

    Args:
        config: of the GPT.
        shape: of its weight; None: that of norms on the residual stream.
        bias: whether it has a bias; None: as norms on the residual stream.
    """
    shape = (config.n_embd,) if shape is None else shape
    bias = config.norm_bias if bias is None else bias
    if config.norm_kind == "layer" and shape in ((config.n_embd,), (config.head_size,)):
        return nn.LayerNorm(shape, eps=config.layer_norm_epsilon, elementwise_affine=config.norm_weight, bias=bias)
    return Norm(config, shape, bias)


def normalize_heads(config: GPTConfig, norm: nn.Module, x: Tensor) -> Tensor:
    """Normalize the concatenated queries or keys of all heads: [B, T, H D] -> [B, T, H D]."""
    if config.qk_norm == "whole":
        return norm(x)  # type: ignore[no-any-return]
    normed: Tensor = norm(x.reshape(*x.shape[:-1], -1, config.head_size))  # [B, T, H, D]
    return normed.flatten(-2)

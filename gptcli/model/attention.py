"""Causal attention. The letters in shapes are defined in ``gpt``."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcli.model.cache import KeyValueCache
from gptcli.model.config import GPTConfig
from gptcli.model.norm import make_norm, normalize_heads
from gptcli.model.positions import rotate


class Places(NamedTuple):
    """The position-dependent inputs of a layer's attention.

    Attributes:
        mask: the mask argument of ``Attend``.
        turns: cosines and sines that rotate queries and keys, [B or 1, 1, T, R / 2, 2]; None: no rotation.
        growth: factor of the queries after the rotation, [B or 1, 1, T, 1]; None: no factor.
    """

    mask: Tensor | None
    turns: Tensor | None
    growth: Tensor | None


class Attend(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), in one fused kernel.

    It has no weights. It is a module so that a hook can record its inputs. The kernel never stores the attention
    pattern; callers that need it compute it from the queries and keys.
    """

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.scale, self.cap = config.scale(layer), config.attention_cap

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Compute softmax(q k^T scale) v.

        Args:
            q: [B, H, T, D].
            k, v: [B, K, S, D].
            mask: True where a query may attend, [B or 1, 1, T, S]; or a bias that is added to the scores (ALiBi),
                [B or 1, H, T, S], -inf where it may not; None: causal when T = S, no mask when T = 1.

        Returns:
            [B, H, T, D].
        """
        k, v = (repeat_heads(shared, q.shape[1]) for shared in (k, v))
        if self.cap is not None:
            return self._capped(q, k, v, mask)
        causal = mask is None and q.shape[2] > 1
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=self.scale)

    def _capped(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Attention with scores that are capped before the mask, which the fused kernel does not support."""
        assert self.cap is not None
        scores = torch.tanh(q @ k.mT * self.scale / self.cap) * self.cap  # [B, H, T, S]
        if mask is None:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril(k.shape[2] - q.shape[2])
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v


class Attention(nn.Module):
    """Causal multi-head attention."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.c_attn = nn.Linear(config.n_embd, sum(config.qkv_widths), bias=config.qkv_bias)
        norms = config.qk_norm_shapes
        self.q_norm = make_norm(config, norms["q_norm"], config.qk_norm_bias) if norms else None
        self.k_norm = make_norm(config, norms["k_norm"], config.qk_norm_bias) if norms else None
        self.attend = Attend(config, layer)
        self.c_proj = nn.Linear(config.heads_width, config.n_embd, bias=config.attention_bias)

    def forward(self, x: Tensor, places: Places, cache: KeyValueCache | None) -> Tensor:
        """Attend and project back. ``x`` and the result are [B, T, C]."""
        B, T, _ = x.shape
        q, k, v = self.project(x)  # [B, H, T, D], twice [B, K, T, D]
        if places.turns is not None:
            q = rotate(q, places.turns, self.config.rotary_interleaved)
            k = rotate(k, places.turns, self.config.rotary_interleaved)
        if places.growth is not None:
            q = q * places.growth.to(q.dtype)
        if cache is not None:
            k, v = cache.write(self.layer, k, v)  # [B, K, S, D]
        mixed = self.attend(q, k, v, places.mask)  # [B, H, T, D]
        out: Tensor = self.c_proj(mixed.transpose(1, 2).reshape(B, T, -1))
        return out

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values before the rotation: [B, T, C] -> [B, H, T, D], twice [B, K, T, D].

        With tensor parallelism, these are the heads of this process (see ``parallel``).
        """
        q, k, v = self.multiply(x)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = normalize_heads(self.config, self.q_norm, q), normalize_heads(self.config, self.k_norm, k)
        return self.by_head(q), self.by_head(k), self.by_head(v)

    def multiply(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values before their norms: [B, T, C] -> [B, T, H D], twice [B, T, K D]."""
        qkv = self.c_attn(x)
        if self.config.qkv_clip is not None:
            qkv = qkv.clamp(-self.config.qkv_clip, self.config.qkv_clip)
        widths = [width * qkv.shape[-1] // sum(self.config.qkv_widths) for width in self.config.qkv_widths]
        q, k, v = torch.split(qkv, widths, dim=-1)
        return q, k, v

    def by_head(self, part: Tensor) -> Tensor:
        """[B, T, heads D] -> [B, heads, T, D]."""
        return part.reshape(*part.shape[:2], -1, self.config.head_size).transpose(1, 2)


def repeat_heads(shared: Tensor, heads: int) -> Tensor:
    """Repeat keys or values so that each query head has its own: [..., K, S, D] -> [..., heads, S, D]."""
    times = heads // shared.shape[-3]
    return shared if times == 1 else shared.repeat_interleave(times, dim=-3)

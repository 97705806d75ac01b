"""The GPT itself, from token ids to logits, to be read from top to bottom.

Shapes, here and in the comments that trail the lines:

    B  rows of the batch          H  heads of the queries
    T  positions of the input     K  heads of the keys and values, of which H / K queries share one; K = H in GPT-2
    S  positions attended to      D  head size, C / H unless the configuration says else
    C  width of the residual stream, V  vocabulary

Modules carry GPT-2's own names (Radford et al. 2019; its code calls the embeddings ``wte`` and ``wpe``), so that a
checkpoint's keys and the paper's reader both know the room. One implementation serves every family: they differ only
in what ``GPTConfig`` says. To look inside, put a hook on a module: ``h.3`` for the residual stream after block 3,
``h.3.attn.attend`` for queries, keys and values, ``ln_f`` for what is unembedded.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptcli.model.cache import KeyValueCache
from gptcli.model.config import GPTConfig
from gptcli.model.positions import rotary_table, rotate, sinusoids

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu": F.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "silu": F.silu,
    "mish": F.mish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class Attend(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), in one fused kernel.

    It has no weights. It is a module so that a hook can see what goes in; the kernel never stores the attention
    pattern, and callers that want to see it compute it from the queries and keys.
    """

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.scale = 1.0 / math.sqrt(config.head_size) if config.scale_attention else 1.0
        if config.scale_by_layer:
            self.scale /= layer + 1

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Mix the values: softmax(q k^T scale) v.

        Args:
            q: [B, H, T, D].
            k, v: [B, K, S, D].
            mask: True where a query may look, [B or 1, 1, T, S]; None: plain causal when T = S, everything when T = 1.

        Returns:
            [B, H, T, D].
        """
        k, v = (repeat_heads(shared, q.shape[1]) for shared in (k, v))
        causal = mask is None and q.shape[2] > 1
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=self.scale)


class Attention(nn.Module):
    """Causal multi-head attention: where each position gathers from those behind it."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.c_attn = nn.Linear(config.n_embd, sum(config.qkv_widths), bias=config.qkv_bias)
        self.attend = Attend(config, layer)
        self.c_proj = nn.Linear(config.heads_width, config.n_embd, bias=config.attention_bias)

    def forward(self, x: Tensor, mask: Tensor | None, turns: Tensor | None, cache: KeyValueCache | None) -> Tensor:
        """Attend and project back. ``x`` and the result are [B, T, C]."""
        B, T, _ = x.shape
        q, k, v = split_heads(self.c_attn(x), self.config)  # [B, H, T, D], twice [B, K, T, D]
        if turns is not None:
            q = rotate(q, turns, self.config.rotary_interleaved)
            k = rotate(k, turns, self.config.rotary_interleaved)
        if cache is not None:
            k, v = cache.write(self.layer, k, v)  # [B, K, S, D]
        mixed = self.attend(q, k, v, mask)  # [B, H, T, D]
        out: Tensor = self.c_proj(mixed.transpose(1, 2).reshape(B, T, -1))
        return out


def split_heads(qkv: Tensor, config: GPTConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values from what ``c_attn`` gives: [B, T, rows] -> [B, H, T, D], and twice [B, K, T, D].

    Where several processes divide the heads, it gives those of this one (see ``parallel``).
    """
    B, T, rows = qkv.shape
    widths = [width * rows // sum(config.qkv_widths) for width in config.qkv_widths]
    q, k, v = (part.reshape(B, T, -1, config.head_size).transpose(1, 2) for part in torch.split(qkv, widths, dim=2))
    return q, k, v


def repeat_heads(shared: Tensor, heads: int) -> Tensor:
    """Keys or values for each query head, where groups of these share one: [..., K, S, D] -> [..., heads, S, D]."""
    times = heads // shared.shape[-3]
    return shared if times == 1 else shared.repeat_interleave(times, dim=-3)


class MLP(nn.Module):
    """Two layers with a non-linearity between them, applied to each position alone; there may be a gate."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()

        def linear(name: str) -> nn.Linear:
            rows, columns = config.mlp_shapes[name]
            return nn.Linear(columns, rows, bias=config.mlp_bias)

        self.c_gate = linear("c_gate") if config.gated else None
        self.c_fc = linear("c_fc")
        self.activation = _ACTIVATIONS[config.activation]
        self.c_proj = linear("c_proj")

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        up = self.c_fc(x)
        hidden = self.activation(up) if self.c_gate is None else self.activation(self.c_gate(x)) * up
        out: Tensor = self.c_proj(hidden)
        return out


class Block(nn.Module):
    """One layer: attention and MLP, each added to the residual stream."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.ln_1 = make_norm(config)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.Identity() if config.shared_norm else make_norm(config)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, mask: Tensor | None, turns: Tensor | None, cache: KeyValueCache | None) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        if self.config.parallel_residual:
            normed = self.ln_1(x)
            other = normed if self.config.shared_norm else self.ln_2(x)
            return x + self.attn(normed, mask, turns, cache) + self.mlp(other)  # type: ignore[no-any-return]
        if self.config.norm == "post":
            x = self.ln_1(x + self.attn(x, mask, turns, cache))
            return self.ln_2(x + self.mlp(x))  # type: ignore[no-any-return]
        x = x + self.attn(self.ln_1(x), mask, turns, cache)
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """A GPT: embeddings, blocks, final norm, unembedding.

    Args:
        config: the shape. Weights start as torch's layers start; a checkpoint replaces them.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.embedding_width)
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.n_positions + config.position_offset, config.n_embd)
        if config.embedding_width != config.n_embd:
            self.project_in = nn.Linear(config.embedding_width, config.n_embd, bias=False)
            self.project_out = nn.Linear(config.n_embd, config.embedding_width, bias=False)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = make_norm(config) if config.final_norm else nn.Identity()
        self.lm_head = nn.Linear(config.embedding_width, config.vocab_size, bias=config.unembedding_bias)
        if config.tied:
            self.lm_head.weight = self.wte.weight
        self._table = torch.empty(0)  # rotary cosines and sines, as many rows as were needed so far (see ``_turns``)

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Logits for the token after each position.

        Args:
            ids: token ids, [B, T].
            cache: keys and values of the positions before ``ids``; its rows are written to, and not advanced.

        Returns:
            [B, T, V].
        """
        return self.unembed(self.transform(ids, cache))

    def transform(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """The residual stream after the last block, before the final norm: [B, T] -> [B, T, C]."""
        past = cache.lengths if cache is not None else [0]
        positions = torch.tensor(past, device=ids.device)[:, None] + torch.arange(ids.shape[1], device=ids.device)
        x = self.embed(ids, positions)  # [B, T, C]
        turns = self._turns(positions, max(past) + ids.shape[1]) if self.config.positions == "rotary" else None
        masks = {window: _mask(positions, past, window) for window in {*self.config.windows, None}}
        for layer, block in enumerate(self.h):
            x = block(x, masks[self.config.window(layer)], turns, cache)
        return x

    def _turns(self, positions: Tensor, length: int) -> Tensor:
        """Rotary cosines and sines of positions, all below ``length``: [B, T] -> [B, 1 for the heads, T, R / 2, 2]."""
        if len(self._table) < length or self._table.device != positions.device:
            rows = max(length, min(2 * len(self._table), self.config.n_positions))  # by doubling, up to the context
            with torch.inference_mode(False):
                self._table = torch.from_numpy(rotary_table(self.config, rows)).to(positions.device)
        return self._table[positions].unsqueeze(1)

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Token embeddings plus position embeddings: [B, T] and [B or 1, T] -> [B, T, C]."""
        x: Tensor = self.wte(ids)
        if self.config.embedding_width != self.config.n_embd:
            x = self.project_in(x)
        if self.config.positions == "learned":
            x = x + self.wpe(positions + self.config.position_offset)
        elif self.config.positions == "sinusoidal":
            x = x + sinusoids(positions, self.config.n_embd).to(x.dtype)
        return x

    def unembed(self, x: Tensor) -> Tensor:
        """Final norm and unembedding: [..., C] -> logits [..., V]."""
        x = self.ln_f(x)
        if self.config.embedding_width != self.config.n_embd:
            x = self.project_out(x)
        logits: Tensor = self.lm_head(x)
        return logits


def make_norm(config: GPTConfig) -> nn.Module:
    """A norm over the residual stream, of the kind that the configuration says."""
    epsilon, weight = config.layer_norm_epsilon, config.norm_weight
    if config.norm_kind == "rms":
        return nn.RMSNorm(config.n_embd, eps=epsilon, elementwise_affine=weight)
    return nn.LayerNorm(config.n_embd, eps=epsilon, elementwise_affine=weight, bias=config.norm_bias)


def _mask(positions: Tensor, past: list[int], window: int | None) -> Tensor | None:
    """Who may look where: True from a query to itself and to what lies behind it, within the window.

    Args:
        positions: of the queries, [B or 1, T].
        past: how many positions each row has behind its queries.
        window: the latest positions that are seen, the own one included; None for all.

    Returns:
        [B or 1, 1, T, S], or None where the fused kernel's own rule (see ``Attend``) says the same.
    """
    new, end = positions.shape[1], max(past) + positions.shape[1]
    plain = max(past) == 0 if new > 1 else len(set(past)) == 1
    if plain and (window is None or end <= window):
        return None
    keys = torch.arange(end, device=positions.device)
    distance = positions.unsqueeze(-1) - keys  # [B, T, S]
    seen = distance >= 0
    return (seen if window is None else seen & (distance < window)).unsqueeze(1)

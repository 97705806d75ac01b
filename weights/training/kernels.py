"""Attention and loss as functions with gradients of their own: on a CPU each takes half of torch's time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gptcli.model.attention import Attend

ROWS = 128  # queries of a block of attention's backward pass
POSITIONS = 512  # positions whose logits lie in memory at once

BlockLoss = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


class TrainingAttend(Attend):
    """Causal attention with the forward pass of torch's fused kernel and a backward pass of large products.

    The fused kernel's own backward pass takes five times as long as its forward pass on a CPU.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """As ``Attend``, of as many keys as queries, with the causal mask only."""
        assert mask is None
        out: Tensor = _Attention.apply(q, k, v, self.scale)  # type: ignore[no-untyped-call]
        return out


class _Attention(torch.autograd.Function):
    """softmax(q k^T scale) v, causal (gradients: Dao et al. 2022, appendix B.2)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out: Tensor
        out, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True, scale=scale)
        ctx.save_for_backward(q, k, v, log_sum)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, log_sum = ctx.saved_tensors
        grad = grads[0].to(q.dtype)
        log_sum = log_sum.reshape(*q.shape[:3], 1)
        dq, dk, dv = [], torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v, dtype=torch.float32)
        for start in range(0, q.shape[2], ROWS):
            rows, seen = slice(start, start + ROWS), min(start + ROWS, q.shape[2])
            keys, values = k[:, :, :seen], v[:, :, :seen]
            scores = (q[:, :, rows] @ keys.mT).float() * ctx.scale
            places = torch.arange(seen)
            hidden = places > places[rows, None]
            p = torch.exp(scores - log_sum[:, :, rows]).masked_fill(hidden, 0)
            dp = (grad[:, :, rows] @ values.mT).float()
            # Of the rounded products themselves, so that the gradient of each row's scores sums to zero.
            mean = (p * dp).sum(-1, keepdim=True) / p.sum(-1, keepdim=True)
            ds = (p * (dp - mean) * ctx.scale).to(q.dtype)
            dq.append(ds @ keys)
            dk[:, :, :seen] += ds.mT @ q[:, :, rows]
            dv[:, :, :seen] += p.to(q.dtype).mT @ grad[:, :, rows]
        return torch.cat(dq, 2), dk.to(k.dtype), dv.to(v.dtype), None


def mean_loss(x: Tensor, unembedding: Tensor, targets: Tensor, dtype: torch.dtype, block_of: BlockLoss) -> Tensor:
    """Mean negative log-likelihood of ``targets`` [N] after states ``x`` [N, C], with products in ``dtype``.

    The gradients are computed with it, block by block of positions, so that logits [N, V] never lie in memory.
    ``block_of`` is ``block_loss``, or that compiled.
    """
    loss: Tensor = _Loss.apply(x, unembedding, targets, dtype, block_of)  # type: ignore[no-untyped-call]
    return loss


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, unembedding: Tensor, targets: Tensor, dtype: torch.dtype, block_of: BlockLoss
    ) -> Tensor:
        rows, total = unembedding.to(dtype), torch.zeros(())
        dx, du = [], torch.zeros_like(unembedding)
        for states, aims in zip(torch.split(x.to(dtype), POSITIONS), torch.split(targets, POSITIONS), strict=True):
            losses, d_logits = block_of(states @ rows.mT, aims, len(x))
            total += losses
            dx.append(d_logits @ rows)
            du += d_logits.mT @ states
        ctx.save_for_backward(torch.cat(dx).to(x.dtype), du)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        dx, du = ctx.saved_tensors
        return dx * grads[0], du * grads[0], None, None, None


def block_loss(logits: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Sum of the losses of some positions over ``count``, and its gradient by their logits [n, V]."""
    exact = logits.float()
    log_sum = exact.logsumexp(-1, keepdim=True)
    hit = torch.arange(logits.shape[-1]) == targets[:, None]
    losses = (log_sum - exact.gather(1, targets[:, None])).sum() / count
    return losses, ((torch.exp(exact - log_sum) - hit.float()) / count).to(logits.dtype)

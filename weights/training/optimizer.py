"""Muon, the optimizer of the blocks' matrices; the other weights have torch's AdamW."""

import math

import torch
from torch import Tensor


class Muon:
    """Muon (Jordan 2024) for the matrices of the blocks: momentum, made orthogonal.

    Query, key and value matrices, which lie in one parameter, are made orthogonal apart. Matrices of one shape go
    through the iteration together.
    """

    momentum = 0.95

    def __init__(self, matrices: dict[str, torch.nn.Parameter], dtype: torch.dtype, decay: float) -> None:
        self.matrices, self.dtype, self.decay = matrices, dtype, decay
        self.buffers = {name: torch.zeros_like(matrix) for name, matrix in matrices.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step down the gradients."""
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for name, matrix in self.matrices.items():
            assert matrix.grad is not None
            buffer = self.buffers[name].lerp_(matrix.grad, 1 - self.momentum)
            update = matrix.grad.lerp(buffer, self.momentum)  # Nesterov: look one step ahead
            parts = 3 if "c_attn" in name else 1
            for part, weight in zip(update.chunk(parts), matrix.chunk(parts), strict=True):
                by_shape.setdefault(tuple(part.shape), []).append((part, weight))
        for (height, width), pairs in by_shape.items():
            scale = rate * math.sqrt(max(1.0, height / width))
            updates = orthogonalise(torch.stack([part for part, _ in pairs]).to(self.dtype))
            for update, (_, weight) in zip(updates, pairs, strict=True):
                weight.mul_(1 - rate * self.decay).sub_(update, alpha=scale)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Bring the singular values of some matrices near 1: five Newton-Schulz steps with Jordan's coefficients.

    Args:
        matrices: [n, height, width].

    Returns:
        The same shape; U V^T for U S V^T, roughly.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result

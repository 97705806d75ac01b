"""The training's own attention and loss, against torch's."""

import pytest
import torch
from torch.nn import functional as F

from gptcli.model.config import GPTConfig
from weights.training.kernels import POSITIONS, ROWS, TrainingAttend, block_loss, mean_loss


@pytest.mark.parametrize("length", [1, ROWS - 1, ROWS, 2 * ROWS + 44])
def test_attention_and_its_gradients_are_those_of_torch(length: int) -> None:
    torch.manual_seed(length)
    one = [(2 * torch.randn(2, 3, length, 16)).requires_grad_() for _ in range(3)]
    other = [part.detach().clone().requires_grad_() for part in one]
    towards = torch.randn(2, 3, length, 16)
    attend = TrainingAttend(GPTConfig(n_positions=8, vocab_size=9, n_embd=48, n_layer=1, n_head=3), 0)
    ours = attend(*one, None)
    wanted = F.scaled_dot_product_attention(other[0], other[1], other[2], is_causal=True, scale=attend.scale)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-5)
    (ours * towards).sum().backward()
    (wanted * towards).sum().backward()
    for part, same in zip(one, other, strict=True):
        torch.testing.assert_close(part.grad, same.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, POSITIONS, POSITIONS + 300])
def test_loss_and_its_gradients_are_those_of_torch(count: int) -> None:
    torch.manual_seed(count)
    x, rows = torch.randn(count, 24, requires_grad=True), torch.randn(101, 24, requires_grad=True)
    same_x, same_rows = (part.detach().clone().requires_grad_() for part in (x, rows))
    targets = torch.randint(101, (count,))
    ours = mean_loss(x, rows, targets, torch.float32, block_loss)
    wanted = F.cross_entropy(same_x @ same_rows.mT, targets)
    torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-6)
    (3 * ours).backward()
    (3 * wanted).backward()
    torch.testing.assert_close(x.grad, same_x.grad, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(rows.grad, same_rows.grad, rtol=1e-4, atol=1e-6)

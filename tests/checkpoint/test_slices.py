"""The parts that several processes read of a file, put together again, are the file; nothing else of it is touched."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gptcli.checkpoint.families.blueprint import How, Part
from gptcli.checkpoint.header import read_file
from gptcli.checkpoint.load import _make
from gptcli.checkpoint.slices import Files
from gptcli.model.config import GPTConfig

HEADS, SIZE, WIDTH = 4, 3, 12
CONFIG = GPTConfig(n_embd=WIDTH, n_head=HEADS)  # whose c_attn has 3 * HEADS * SIZE rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {"fused": (36, WIDTH), "conv": (WIDTH, 36), "bias": (36,), "q": (12, WIDTH), "k": (12, WIDTH)}
    torch.manual_seed(0)
    made = {name: torch.randn(shape) for name, shape in tensors.items()} | {"v": torch.randn(12, WIDTH)}
    save_file(made, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def made(file: Path, part: Part, share: tuple[int, list[tuple[int, int]]] | None, config: GPTConfig = CONFIG) -> Tensor:
    files = Files(read_file(file), torch.float32, config.qkv_widths)
    return _make(part, [files.read(part, key, share) for key in part.keys], config)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(
    ("keys", "how"),
    [
        (("fused",), "as is"),
        (("bias",), "as is"),
        (("conv",), "transposed"),
        (("q", "k", "v"), "stacked"),
        (("fused",), "regrouped"),
        (("bias",), "regrouped"),
    ],
)
def test_heads_of_q_k_and_v(keys: tuple[str, ...], how: How, size: int, file: Path) -> None:
    part = Part(keys, how)
    whole = made(file, part, None)
    q, k, v = whole.chunk(3)
    width = HEADS * SIZE // size
    for rank in range(size):
        ranges = [(start + rank * width, start + (rank + 1) * width) for start in (0, 12, 24)]
        wanted = torch.cat([matrix[rank * width : (rank + 1) * width] for matrix in (q, k, v)])
        assert torch.equal(made(file, part, (0, ranges)), wanted)


@pytest.mark.parametrize(("key", "how"), [("fused", "as is"), ("conv", "transposed")])
@pytest.mark.parametrize("dim", [0, 1])
def test_one_range(key: str, how: How, dim: int, file: Path) -> None:
    whole = made(file, Part((key,), how), None)
    assert torch.equal(made(file, Part((key,), how), (dim, [(4, 9)])), whole.narrow(dim, 4, 5))


def test_an_empty_range_has_no_rows(file: Path) -> None:
    assert made(file, Part(("fused",)), (0, [(36, 36)])).shape == (0, WIDTH)


# Four query heads in two groups: q, q, k, v of the first, then of the second.
GROUPED = GPTConfig(n_embd=8, n_head=4, n_kv_head=2, head_width=3)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("how", ["as is", "transposed", "stacked", "regrouped"])
def test_groups_of_queries_that_share_a_key(how: How, size: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(12, 8), torch.randn(6, 8), torch.randn(6, 8)
    whole = torch.cat([q, k, v])
    by_group = torch.cat([torch.cat([q[6 * group : 6 * group + 6], k[rows], v[rows]]) for group, rows in
                          enumerate((slice(0, 3), slice(3, 6)))])  # fmt: skip
    tensors = {
        "as is": {"all": whole},
        "transposed": {"all": whole.t().contiguous()},
        "stacked": {"q": q, "k": k, "v": v},
        "regrouped": {"all": by_group},
    }[how]
    save_file(tensors, tmp_path / "model.safetensors")
    part = Part(tuple(tensors), how)
    assert torch.equal(made(tmp_path / "model.safetensors", part, None, GROUPED), whole)
    for rank in range(size):
        ranges, pieces = [], []
        for start, matrix in ((0, q), (12, k), (18, v)):
            own = len(matrix) // size
            ranges.append((start + rank * own, start + (rank + 1) * own))
            pieces.append(matrix[rank * own : (rank + 1) * own])
        assert torch.equal(made(tmp_path / "model.safetensors", part, (0, ranges), GROUPED), torch.cat(pieces))

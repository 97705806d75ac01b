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

HEADS, SIZE, WIDTH = 4, 3, 12  # of a c_attn with 3 * HEADS * SIZE rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {"fused": (36, WIDTH), "conv": (WIDTH, 36), "bias": (36,), "q": (12, WIDTH), "k": (12, WIDTH)}
    torch.manual_seed(0)
    made = {name: torch.randn(shape) for name, shape in tensors.items()} | {"v": torch.randn(12, WIDTH)}
    save_file(made, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def made(file: Path, part: Part, share: tuple[int, list[tuple[int, int]]] | None) -> Tensor:
    files = Files(read_file(file), torch.float32)
    return _make(part, [files.read(part, key, share) for key in part.keys], SIZE)


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

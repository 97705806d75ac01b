"""Query, key and value that a file keeps apart and in different precisions: the engine in C has what PyTorch has."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.model.native.engine import NativeEngine
from gptcli.model.torch_engine import TorchEngine

VOCAB, POSITIONS, WIDTH = 50_257, 32, 16
FLOAT, BRAIN, HALF = torch.float32, torch.bfloat16, torch.float16


def folder_of(path: Path, dtypes: tuple[torch.dtype, ...]) -> Path:
    """A model as LLMs-from-scratch stores it; its numbers are exact in every precision here."""
    numbers = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return (0.3 * torch.randn(*shape, generator=numbers)).bfloat16().float()

    block = "trf_blocks.0."
    tensors = {"tok_emb.weight": random(VOCAB, WIDTH), "pos_emb.weight": random(POSITIONS, WIDTH)}
    for name, dtype in zip(("query", "key", "value"), dtypes, strict=True):
        tensors[f"{block}att.W_{name}.weight"] = random(WIDTH, WIDTH).to(dtype)
    tensors |= {f"{block}att.out_proj.weight": random(WIDTH, WIDTH), f"{block}att.out_proj.bias": random(WIDTH)}
    for norm in (f"{block}norm1", f"{block}norm2", "final_norm"):
        tensors |= {f"{norm}.scale": random(WIDTH), f"{norm}.shift": random(WIDTH)}
    for layer, shape in ((0, (4 * WIDTH, WIDTH)), (2, (WIDTH, 4 * WIDTH))):
        tensors |= {
            f"{block}ff.layers.{layer}.weight": random(*shape),
            f"{block}ff.layers.{layer}.bias": random(shape[0]),
        }
    tensors["out_head.weight"] = random(VOCAB, WIDTH)
    save_file(tensors, path / "model.safetensors")
    config = {"vocab_size": VOCAB, "context_length": POSITIONS, "emb_dim": WIDTH, "n_layers": 1, "n_heads": 2}
    (path / "config.json").write_text(json.dumps(config | {"qkv_bias": False}))
    return path


@pytest.mark.parametrize(
    "dtypes", [(FLOAT, FLOAT, FLOAT), (BRAIN, FLOAT, FLOAT), (FLOAT, BRAIN, BRAIN), (HALF, FLOAT, BRAIN)]
)
def test_each_part_is_read_as_what_it_is(tmp_path: Path, dtypes: tuple[torch.dtype, ...]) -> None:
    folder = str(folder_of(tmp_path, dtypes))
    native = open_checkpoint(folder, Placement(device="cpu"), inside=False).engine
    if not isinstance(native, NativeEngine):
        pytest.skip("no engine in C here")
    plain = TorchEngine(open_checkpoint(folder, Placement(device="cpu")).model)
    np.testing.assert_allclose(native.prefill([[1, 2, 3, 4]], 8), plain.prefill([[1, 2, 3, 4]], 8), atol=2e-5, rtol=0)

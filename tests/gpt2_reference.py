"""GPT-2 as transformers computes it, to compare with: tiny random models and the folders they are saved to."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.model.gpt import GPT

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"vocab_size": 97, "n_positions": 24, "n_embd": 32, "n_layer": 3, "n_head": 4}


def random_gpt2(seed: int = 0, **fields: Any) -> GPT2LMHeadModel:
    """A small GPT-2 with every parameter random, biases and norms too, in eager attention and float32."""
    config = GPT2Config(**(SMALL | {"bos_token_id": 0, "eos_token_id": 0} | fields), attn_implementation="eager")
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0, 0.2)
    return model


def load_folder(path: Path, dtype: torch.dtype = torch.float32, n_head: int | None = None) -> GPT:
    """Our GPT from a folder or a file, without its tokenizer."""
    source = find(str(path))
    assert source.weights is not None
    header = read_header(source.weights)
    return load_gpt(read_blueprint(source, header, n_head), header, Placement("cpu", str(dtype).removeprefix("torch.")))


def random_ids(batch: int, length: int, vocab_size: int = SMALL["vocab_size"], seed: int = 0) -> Tensor:
    """Token ids [B, T]."""
    return torch.randint(vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


def worst(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference; NaN counts as infinite."""
    assert a.shape == b.shape
    return float(torch.nan_to_num((a.float() - b.float()).abs(), nan=float("inf")).max())

"""Small random checkpoints in gptcli's own layout, of any shape."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from gptcli.model.config import GPTConfig
from gptcli.model.shapes import parameter_shapes


def made(folder: Path, *, larger: Mapping[str, float] | None = None, **shape: Any) -> Path:
    """A folder with random weights.

    Args:
        folder: is made.
        larger: parameters that are multiplied, by name.
        shape: fields of the configuration.
    """
    fields: dict[str, Any] = {"n_positions": 32, "n_embd": 12, "n_layer": 1, "n_head": 2, "n_inner": 40}
    config = GPTConfig(**(fields | shape))
    numbers = np.random.default_rng(0)
    tensors = {
        name: (0.3 * (larger or {}).get(name, 1.0) * numbers.standard_normal(size)).astype(np.float32)
        for name, size in parameter_shapes(config).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "gptcli", **asdict(config)}))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    return folder

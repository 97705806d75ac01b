"""What a run saved, read again: its shape, its weights, and the tokens of its rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.model.config import GPTConfig
from weights.training.vocabulary import N_VOCAB

Tensors = dict[str, Tensor]


def metadata(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: config, plan, and how far it is."""
    with safe_open(checkpoint, "pt") as file:
        return {key: json.loads(value) for key, value in (file.metadata() or {}).items()}


def stored_vocab(checkpoint: Path) -> NDArray[np.int32]:
    """The tokens of a checkpoint's rows."""
    return np.asarray(load_file(checkpoint)["vocab"].numpy(), np.int32)


def config_of(about: dict[str, Any]) -> GPTConfig:
    """The shape that a checkpoint's metadata describes."""
    fields = about["config"]
    return GPTConfig(**{**fields, "windows": tuple(fields["windows"])})


def model_of(checkpoint: Path) -> tuple[Tensors, GPTConfig, NDArray[np.int32]]:
    """Weights (by the GPT's own names), shape, and vocabulary of a run's checkpoint or of an exported folder."""
    if checkpoint.is_dir():
        model = open_checkpoint(str(checkpoint), Placement("cpu", "float32")).model
        return dict(model.named_parameters()), model.config, np.arange(N_VOCAB, dtype=np.int32)
    tensors = load_file(checkpoint)
    weights = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    return weights, config_of(metadata(checkpoint)), np.asarray(tensors["vocab"].numpy(), np.int32)

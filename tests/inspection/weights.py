"""What the tests of heads and neurons by their weights share: a saved model of a family, and its streams."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.inspection.stream import StreamWeights
from tests.checkpoint.zoo import saved, understand

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]
# One for each way to lay out a layer, its norms, its positions and its file; the plain three at once.
_LAYOUTS = (
    "gpt2",
    "gpt_neox",
    "llama",
    "gpt2 scaled by layer",
    "gpt_neo",
    "gptj",
    "opt as 350m",
    "openai-gpt",
    "gemma2",
    "gemma3",
    "olmo2",
    "olmo clamped",
    "bloom",
    "falcon 40b",
    "mpt clamped",
    "phi3",
    "stablelm side by side",
    "cohere with norms",
    "granite",
    "ministral3",
    "qwen3",
    "gpt_bigcode",
)
LAYOUTS = [pytest.param(name, marks=[pytest.mark.slow] if place > 2 else []) for place, name in enumerate(_LAYOUTS)]


class _Numbers:
    """A tokenizer whose tokens are numbers."""

    prefix_ids: tuple[int, ...] = ()

    def token_bytes(self, token: int) -> bytes:
        return f" t{token}".encode()

    def encode(self, text: str) -> list[int]:
        return [int(part.removeprefix("t")) for part in text.split()]


@cache
def opened(family: str) -> tuple[Any, Any, Any, Path]:
    """A checkpoint as ``read_checkpoint`` gives it, our model, transformers', and their folder."""
    theirs, folder = saved(family)
    blueprint, header = understand(folder)
    model = load_gpt(blueprint, header, Placement("cpu", "float32"))
    checkpoint = SimpleNamespace(
        name=family,
        header=header,
        blueprint=blueprint,
        config=blueprint.config,
        n_vocab=blueprint.config.vocab_size,
        unused=(),
        tokenizer=_Numbers(),
    )
    return checkpoint, model, theirs, folder


def stream_of(family: str) -> StreamWeights:
    return StreamWeights(opened(family)[0])


def alone(model: Any, token: int) -> torch.Tensor:
    """The stream of a text of one token, before the first layer and after each: [L + 1, C]."""
    from gptcli.inspection.record import record

    return record(model, [token]).stream[:, 0]

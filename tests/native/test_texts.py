"""Several texts in one call of the engine in C, against the PyTorch model on each text alone."""

from typing import Any

import numpy as np
import pytest
import torch

from gptcli.model.config import GPTConfig
from gptcli.model.native import library
from tests.model.engine_rules import FIELDS, by_blocks
from tests.native.test_engine import in_c, random_model

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
SHAPES: dict[str, dict[str, Any]] = {
    **FIELDS,
    "alibi": {**FIELDS["gpt2"], "positions": "alibi"},
    "a head of its own norm": {**FIELDS["llama"], "qk_norm": "head"},
    "a norm of all heads": {**FIELDS["llama"], "qk_norm": "whole"},
    "windows": {**FIELDS["llama"], "windows": (3, None)},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_are_read_as_if_alone(shape: str) -> None:
    model = random_model(GPTConfig(**SHAPES[shape]))
    engine = in_c(model)
    draws = np.random.default_rng(7)
    # Of one token up to the context; fewer tokens together than a matrix product takes, and many more.
    for lengths in ([1, 2, 1], [1, 24, 3, 9, 24, 1, 17], [5] * 40):
        rows = [draws.integers(0, 101, length).tolist() for length in lengths]
        read = engine.read_texts(rows, 24)
        with torch.inference_mode():
            wanted = np.concatenate([model(torch.tensor([row]))[0].numpy() for row in rows])
        assert read.shape == wanted.shape
        assert np.abs(read - wanted).max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_of_a_text_are_read_as_if_at_once(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 20 tokens of a text, and the logits of three at once."""
    model = random_model(GPTConfig(**{**SHAPES[shape], "n_positions": 60}))
    engine = in_c(model)
    monkeypatch.setattr(engine, "_PIECE", 20)
    monkeypatch.setattr(engine, "_LOGITS_BYTES", 3 * 4 * 101)
    ids = np.random.default_rng(8).integers(0, 101, 57).tolist()
    with torch.inference_mode():
        wanted = model(torch.tensor([ids]))[0].numpy()
    for first in (0, 19, 20, 31, 56):
        assert np.abs(by_blocks(engine, ids, first) - wanted[first:]).max() < 1e-4

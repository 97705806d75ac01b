"""What ``models show --quantized`` says is what the quantised weights do in PyTorch."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.measuring.quantization import _TEXT, quantized_logits


@pytest.mark.slow
def test_differences_are_those_of_the_rounded_weights(tales: Any) -> None:
    ids = torch.tensor([tales.tokenizer.encode(_TEXT)])
    with torch.inference_mode():
        exact = tales.model(ids)[0, 1:].numpy()
        for effect in quantized_logits("tales").effects:
            rounded = open_checkpoint("tales", Placement(device="cpu", quantize=effect.quantize))  # type: ignore[arg-type]
            differences = np.abs(rounded.model(ids)[0, 1:].numpy() - exact)
            # Where a weight lies between two 4-bit levels, float32's order of sums decides; the mean hardly moves.
            assert effect.largest_difference == pytest.approx(differences.max(), rel=0.05)
            assert effect.mean_difference == pytest.approx(differences.mean(), rel=0.01)
            assert 0.5 < effect.same_best <= 1


@pytest.mark.slow
def test_the_command(run_gptcli: Callable[..., Any]) -> None:
    done = run_gptcli("models", "show", "tales", "--quantized", "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert (answer["schema"], answer["model"]) == ("gptcli.models.show.quantized/1", "tales")
    eight, four = answer["effects"]
    assert (eight["quantize"], four["quantize"]) == ("int8", "int4")
    assert 0 < eight["largest_difference"] < four["largest_difference"]

"""Weights in 8 bits with scales against the same numbers in float32; and what of the kind is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gptcli.checkpoint.files.shards import read_header
from gptcli.checkpoint.weights.converted import float8_values
from gptcli.checkpoint.weights.native_loader import load_native, why_not_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.counting.description import describe
from gptcli.errors import CheckpointError
from tests.checkpoint.zoo import FAMILIES, open_folder, reference, rewrite, understand

IDS = torch.arange(60)[None] % 97
BLOCK = (16, 12)  # neither divides all of the shapes


def blocks(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Float8 with a scale for each block: numbers, scales, and what they come to, made one block after the other."""
    rows, columns = weight.shape
    scales = torch.empty(-(-rows // BLOCK[0]), -(-columns // BLOCK[1]))
    stored, meant = torch.empty(weight.shape, dtype=torch.float8_e4m3fn), torch.empty_like(weight)
    for row in range(scales.shape[0]):
        for column in range(scales.shape[1]):
            at = (
                slice(row * BLOCK[0], (row + 1) * BLOCK[0]),
                slice(column * BLOCK[1], (column + 1) * BLOCK[1]),
            )
            scales[row, column] = weight[at].abs().max() / 448
            stored[at] = (weight[at] / scales[row, column]).to(torch.float8_e4m3fn)
            meant[at] = stored[at].float() * scales[row, column]
    return stored, scales, meant


def one_scale(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    scale = weight.abs().max() / 448
    stored = (weight / scale).to(torch.float8_e4m3fn)
    return stored, scale, stored.float() * scale


def by_row(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    scales = (weight.abs().amax(1, keepdim=True) / 127).to(torch.bfloat16)
    stored = (weight / scales.float()).round().clamp(-128, 127).to(torch.int8)
    return stored, scales, stored.float() * scales.float()


FP8 = {"quant_method": "fp8", "weight_block_size": list(BLOCK), "activation_scheme": "dynamic"}
KINDS: dict[str, tuple[Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], str, dict[str, Any]]] = {
    "fp8 in blocks": (blocks, "weight_scale_inv", FP8),
    "fp8 with one scale": (one_scale, "weight_scale_inv", {"quant_method": "fp8", "activation_scheme": "static"}),
    "int8 by row": (by_row, "weight_scale", {"quant_method": "compressed-tensors", "format": "int-quantized"}),
}


def store(folder: Path, kind: str) -> None:
    """Put every matrix of the blocks into 8 bits, in place; the plain numbers go to ``plain`` next to it."""
    make, leaf, section = KINDS[kind]
    tensors = load_file(folder / "model.safetensors")
    plain, stored = dict(tensors), dict(tensors)
    for key, weight in tensors.items():
        if key.endswith("_proj.weight"):
            stored[key], stored[key.replace("weight", leaf)], plain[key] = make(weight)
            stored[key.replace("weight", "input_scale")] = torch.tensor(0.5)
    other = folder / "plain"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        (other / name).write_bytes((folder / name).read_bytes())
    rewrite(other, tensors=lambda tensors: plain)
    rewrite(folder, fields=lambda fields: {**fields, "quantization_config": section}, tensors=lambda tensors: stored)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["llama tied, biased", "phi3"])
@torch.inference_mode()
def test_they_are_multiplied_out(kind: str, name: str, tmp_path: Path) -> None:
    reference(FAMILIES[name]).save_pretrained(tmp_path)
    store(tmp_path, kind)
    blueprint, model = open_folder(tmp_path)
    _, plain = open_folder(tmp_path / "plain")
    assert torch.equal(model(IDS), plain(IDS))
    assert "8 bits" in blueprint.notes[0]
    assert why_not_native(blueprint, Placement("cpu", "float32")) is None
    native = load_native(blueprint, read_header(tmp_path / "model.safetensors"), Placement("cpu", "float32"))
    of_plain = load_native(*understand(tmp_path / "plain"), Placement("cpu", "float32"))
    rows = [IDS[0].tolist()]
    np.testing.assert_array_equal(native.prefill(rows, 60), of_plain.prefill(rows, 60))
    # Scales are no parameters.
    assert describe(str(tmp_path)).parameters == sum(weight.numel() for weight in plain.parameters())


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"quant_method": "gptq", "bits": 4}, "does not read GPTQ"),
        ({"quant_method": "awq"}, "does not read AWQ"),
        ({"quant_method": "bitsandbytes"}, "does not read bitsandbytes"),
        ({"quant_method": "mxfp4"}, "does not read MXFP4"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "with the format 'pack-quantized'"),
        ({"quant_method": ["a"]}, "does not read that"),
    ],
)
def test_other_ways_are_refused_by_name(section: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = {**FAMILIES["llama"].to_dict(), "quantization_config": section}
    (tmp_path / "config.json").write_text(json.dumps(config))
    reference(FAMILIES["llama"]).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said):
        understand(tmp_path)


def test_scales_that_do_not_fit_are_named(tmp_path: Path) -> None:
    reference(FAMILIES["llama"]).save_pretrained(tmp_path)
    store(tmp_path, "fp8 in blocks")
    key = "model.layers.0.mlp.up_proj.weight_scale_inv"
    rewrite(tmp_path, tensors=lambda tensors: {**tensors, key: torch.ones(2, 9)})
    with pytest.raises(CheckpointError, match=r"up_proj.weight_scale_inv \[2, 9\] does not fit"):
        understand(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_each_float8_has_the_value_that_torch_gives_it(dtype: torch.dtype) -> None:
    kind = {torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}[dtype]
    wanted = torch.arange(256, dtype=torch.uint8).view(dtype).float().numpy()
    np.testing.assert_array_equal(float8_values(kind), wanted)


def test_float64_weights_run_in_c(tmp_path: Path) -> None:
    reference(FAMILIES["llama"]).save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=lambda tensors: {key: weight.double() for key, weight in tensors.items()})
    (_, model), rows = open_folder(tmp_path), [IDS[0].tolist()]
    engine = load_native(*understand(tmp_path), Placement("cpu", "float32"))
    with torch.inference_mode():
        wanted = model(IDS)[0, -1].numpy()
    np.testing.assert_allclose(engine.prefill(rows, 60)[0], wanted, atol=1e-4)


def test_eight_bits_without_scales_are_no_weights(tmp_path: Path) -> None:
    reference(FAMILIES["llama"]).save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=lambda tensors: {key: weight.to(torch.int8) for key, weight in tensors.items()})
    with pytest.raises(CheckpointError, match="I8, which is no weight's type"):
        understand(tmp_path)

"""Mixtures of experts: counted as transformers counts them, packed or not, and refused where they would have to run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from gptcli.cli.app import app
from gptcli.counting.parameters import count_parameters

SMALL: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 64,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
MIXTURES: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 5, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 6,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 40,
        "decoder_sparse_step": 2,
    },
    "qwen3_moe": {
        "num_experts": 6,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 24,
        "head_dim": 8,
        "mlp_only_layers": [1],
    },
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16},
}


def saved(folder: Path, model_type: str) -> Any:
    import transformers

    config = transformers.AutoConfig.for_model(model_type, **SMALL, **MIXTURES[model_type])
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("model_type", MIXTURES)
def test_counted_as_transformers_does(tmp_path: Path, model_type: str) -> None:
    model = saved(tmp_path, model_type)
    counted = count_parameters(str(tmp_path))
    assert counted.family == model_type
    assert counted.parameters == model.num_parameters()
    assert counted.stored is not None
    assert (counted.stored.parameters, counted.stored.difference) == (counted.parameters, 0)
    assert counted.config is not None
    assert counted.config.experts is not None
    assert counted.tally is not None
    assert counted.tally.active is not None
    assert counted.tally.active < counted.parameters


def test_what_works_on_one_token_by_hand(tmp_path: Path) -> None:
    # Mixtral: of 5 experts of 3 x 64 x 32 in each of 4 layers, 3 are idle.
    saved(tmp_path, "mixtral")
    counted = count_parameters(str(tmp_path))
    assert counted.tally is not None
    assert counted.tally.active == counted.parameters - 3 * 4 * 3 * 64 * 32


def test_four_bits_are_counted_as_the_weights_they_hold(tmp_path: Path) -> None:
    """gpt-oss as it lies on the hub: of each expert's matrix, blocks of 32 weights in 16 bytes, and a scale of each."""
    model = saved(tmp_path, "gpt_oss")
    tensors = load_file(tmp_path / "model.safetensors")
    for name in [name for name in tensors if name.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        experts, columns, rows = tensors.pop(name).shape
        tensors[f"{name}_blocks"] = np.zeros((experts, rows, columns // 32, 16), np.uint8)
        tensors[f"{name}_scales"] = np.zeros((experts, rows, columns // 32), np.uint8)
    save_file(tensors, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "mxfp4"}}))
    counted = count_parameters(str(tmp_path))
    assert counted.stored is not None
    assert counted.parameters == counted.stored.parameters == model.num_parameters()


PACKED: dict[str, dict[str, tuple[Any, ...]]] = {
    # 8 x 16 weights of 4 bits in numbers of 32 bits; scales and zero points for groups of 8.
    "awq": {"a.qweight": ("int32", 8, 2), "a.qzeros": ("int32", 1, 2), "a.scales": ("float16", 1, 16)},
    "gptq": {
        "a.qweight": ("int32", 1, 16),
        "a.qzeros": ("int32", 1, 2),
        "a.scales": ("float16", 1, 16),
        "a.g_idx": ("int32", 8),
    },
    "bitsandbytes": {
        "a.weight": ("uint8", 64, 1),
        "a.weight.absmax": ("float32", 2),
        "a.weight.quant_map": ("float32", 16),
        "a.weight.quant_state.bitsandbytes__nf4": ("uint8", 90),
    },
    "float8": {"a.weight": ("int8", 8, 16), "a.weight_scale_inv": ("float32", 1, 1)},
    "compressed": {"a.weight": ("int8", 8, 16), "a.weight_scale": ("float32", 8, 1), "a.input_scale": ("float32", 1)},
    "packed": {"a.weight_packed": ("int32", 8, 2), "a.weight_scale": ("float32", 8, 1), "a.weight_shape": ("int64", 2)},
}


@pytest.mark.parametrize("method", PACKED)
def test_every_way_to_pack_a_matrix_of_128_weights(tmp_path: Path, method: str) -> None:
    tensors = {name: np.zeros(shape, dtype) for name, (dtype, *shape) in PACKED[method].items()}
    save_file(tensors | {"b.scales": np.zeros(7, np.float32)}, tmp_path / "model.safetensors")
    counted = count_parameters(str(tmp_path))
    assert counted.parameters == 128 + 7  # what is only called scales counts


@pytest.mark.parametrize("command", ["generate", "logits", "lens"])
def test_running_one_is_refused_by_name(tmp_path: Path, command: str) -> None:
    saved(tmp_path, "mixtral")
    said = CliRunner().invoke(app, [command, "-m", str(tmp_path), "Hello"])
    assert said.exit_code != 0
    assert "mixture of experts" in str(said.exception) + said.output

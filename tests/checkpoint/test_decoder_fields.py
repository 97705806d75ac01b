"""Fields of config.json one by one: each changes the logits, and changes them as it changes transformers'."""

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from gptcli.checkpoint.families import read_blueprint
from gptcli.checkpoint.source import find
from gptcli.checkpoint.weights.placement import Placement
from gptcli.checkpoint.weights.torch_loader import load_gpt
from gptcli.errors import CheckpointError
from tests.checkpoint.decoders import DECODERS, EAGER, LENGTH
from tests.checkpoint.zoo import FAMILIES, both, each, open_folder, reference, rewrite, saved, understand

IDS = torch.randint(97, (1, LENGTH), generator=torch.Generator().manual_seed(4))


def _rope(**fields: Any) -> dict[str, Any]:
    return {"rope_parameters": fields}


_LLAMA3 = {"rope_type": "llama3", "rope_theta": 300.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 48}  # fmt: skip
_YARN = {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 40}
_OLD: dict[str, Any] = {"rope_parameters": None, "rope_theta": 300.0}
_LONGROPE = {"short_factor": [1.0, 1.2, 1.5], "long_factor": [1.5, 2.5, 4.0]}
_GEMMA3 = {"rope_parameters": None, "layer_types": None, "sliding_window_pattern": 2}

# A case of the zoo, and fields of its config.json that are changed; None takes one out.
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"rms_norm_eps": 0.3}),
    ("llama", {"hidden_act": "relu"}),
    ("llama", _rope(rope_type="default", rope_theta=50.0)),
    ("llama", {**_OLD, "rope_theta": 50.0}),
    ("llama", {**_OLD, "rope_scaling": {"type": "linear", "factor": 3.0}}),
    ("llama", {**_OLD, "rope_scaling": {"type": "dynamic", "factor": 3.0}, "max_position_embeddings": 50}),
    ("llama", {**_OLD, "rope_scaling": {**_LLAMA3, "rope_theta": 300.0}}),
    ("llama", {**_OLD, "rope_scaling": {**_YARN}}),
    ("llama", {**_OLD, "rope_scaling": {"rope_type": "yarn", "factor": 3.0}}),
    ("llama llama3", _rope(**{**_LLAMA3, "factor": 2.0})),
    ("llama llama3", _rope(**{**_LLAMA3, "low_freq_factor": 0.3})),
    ("llama llama3", _rope(**{**_LLAMA3, "high_freq_factor": 7.0})),
    ("llama llama3", _rope(**{**_LLAMA3, "original_max_position_embeddings": 20})),
    ("llama yarn", _rope(**{**_YARN, "factor": 9.0})),
    ("llama yarn", _rope(**{**_YARN, "beta_fast": 1.5})),
    ("llama yarn", _rope(**{**_YARN, "beta_slow": 0.2})),
    ("llama yarn", _rope(**{**_YARN, "truncate": False})),
    ("llama yarn", _rope(**{**_YARN, "attention_factor": 0.6})),
    ("llama yarn", _rope(**{**_YARN, "mscale": 0.5, "mscale_all_dim": 1.5})),
    ("gpt_neox", _rope(rope_type="linear", factor=3.0, rope_theta=300.0, partial_rotary_factor=0.5)),
    ("qwen2 windows", {"sliding_window": 3, "layer_types": None}),
    ("qwen2 windows", {"max_window_layers": 2, "layer_types": None}),
    ("qwen2 windows", {"use_sliding_window": False, "layer_types": None}),
    ("qwen2 windows", {"layer_types": ["sliding_attention", "full_attention", "full_attention"]}),
    ("mistral", {"sliding_window": 4}),
    ("mistral", {"sliding_window": None}),
    ("ministral3", _rope(**_YARN, llama_4_scaling_beta=0.9)),
    ("gemma2", {"query_pre_attn_scalar": 30}),
    ("gemma2", {"attn_logit_softcapping": 0.8}),
    ("gemma2", {"final_logit_softcapping": 2.5}),
    ("gemma2", {"final_logit_softcapping": None}),
    ("gemma2", {"sliding_window": 2}),
    ("gemma", {"hidden_act": "relu"}),
    ("gemma3", {**_GEMMA3, "rope_theta": 500.0, "rope_local_base_freq": 40.0}),
    ("gemma3", {**_GEMMA3, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    ("gemma3", {"layer_types": ["full_attention"] * 4}),
    ("phi", {"rope_parameters": None, "rope_theta": 300.0, "partial_rotary_factor": 1.0}),
    ("phi", {"layer_norm_eps": 0.3}),
    ("phi3", {**_OLD, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 45,
              "rope_scaling": {"type": "longrope", **_LONGROPE}}),
    ("phi3 longrope", {"original_max_position_embeddings": 100}),
    ("smollm3", {"no_rope_layers": [1, 1, 1, 0]}),
    ("smollm3", {"no_rope_layers": None, "no_rope_layer_interval": 3}),
    ("olmo clamped", {"clip_qkv": 0.3}),
    ("olmo clamped", {"clip_qkv": None}),
    ("olmo3", {"layer_types": ["full_attention", "full_attention", "sliding_attention", "sliding_attention"]}),
    ("olmo3", {"rope_parameters": None, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.2,
               "original_max_position_embeddings": 40, "beta_fast": 32, "beta_slow": 1}}),
    ("granite", {"embedding_multiplier": 5.0}),
    ("granite", {"attention_multiplier": 0.4}),
    ("granite", {"residual_multiplier": 0.3}),
    ("granite", {"logits_scaling": 2.0}),
    ("stablelm", {"rope_parameters": None, "rope_theta": 300.0, "partial_rotary_factor": 0.5}),
    ("stablelm", {"layer_norm_eps": 0.3}),
    ("starcoder2", {"sliding_window": 5}),
    ("starcoder2", {"norm_epsilon": 0.3}),
    ("gpt_bigcode", {"activation_function": "relu"}),
    ("gpt_bigcode", {"scale_attn_weights": False}),
    ("falcon", {"layer_norm_epsilon": 0.3}),
    ("falcon", {"activation": "relu"}),
    ("bloom", {"layer_norm_epsilon": 0.3}),
    ("mpt clamped", {"attn_config": {"clip_qkv": 0.3, "softmax_scale": 0.2}}),
    ("mpt clamped", {"attn_config": {"clip_qkv": 1.0, "softmax_scale": 0.5}}),
    ("cohere", {"logit_scale": 0.4}),
    ("cohere", {"rope_parameters": None, "rope_theta": 300.0}),
    ("cohere2", {"sliding_window": 3}),
    ("cohere2", {"layer_types": None, "sliding_window_pattern": 3}),
]  # fmt: skip


@cache
def before(name: str) -> Tensor:
    """The logits of a case as it was saved."""
    logits: Tensor = both(name)[1](IDS)
    return logits


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fields"), CHANGES, ids=[f"{name}, {' '.join(fields)}" for name, fields in CHANGES])
@torch.inference_mode()
def test_a_field_changes_the_logits_as_transformers(name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    _, folder = saved(name)
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(_changed(config, fields)))
    ours = open_folder(tmp_path)[1](IDS)
    assert (ours - before(name)).abs().max() > 1e-3
    how = {"attn_implementation": "eager"} if config["model_type"] in EAGER else {}
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, **how)
    assert (ours - theirs(IDS).logits).abs().max() < 1e-4


def _changed(config: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """With these fields; None takes one out where it has a default of its own, and else is null."""
    changed = {**config, **fields}
    nulls = {"sliding_window", "final_logit_softcapping", "clip_qkv"}
    return {key: value for key, value in changed.items() if key not in fields or value is not None or key in nulls}


@pytest.mark.parametrize("name", each(DECODERS))
def test_a_configuration_alone_tells_the_shape(name: str) -> None:
    _, folder = saved(name)
    with_weights, _ = understand(folder)
    assert read_blueprint(find(str(folder)), None).config == with_weights.config


@torch.inference_mode()
@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
def test_the_text_part_of_a_model_with_pictures(prefix: str, tmp_path: Path) -> None:
    """Under its prefix, next to tensors of the part that sees; transformers' text model has the same logits."""
    theirs = reference(FAMILIES["gemma3"])
    theirs.save_pretrained(tmp_path)

    def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        text = {key.replace("model.", prefix, 1): tensor for key, tensor in tensors.items()}
        return {**text, "vision_tower.encoder.layers.0.fc1.weight": torch.ones(3, 3)}

    rewrite(
        tmp_path,
        fields=lambda fields: {"model_type": "gemma3", "text_config": fields, "vision_config": {"hidden_size": 3}},
        tensors=renamed,
    )
    blueprint, ours = open_folder(tmp_path)
    assert "pictures" in blueprint.notes[0]
    assert (ours(IDS) - theirs(IDS).logits).abs().max() < 1e-4


@torch.inference_mode()
def test_the_text_part_of_a_mistral_with_pictures(tmp_path: Path) -> None:
    theirs = reference(FAMILIES["ministral3"])
    theirs.save_pretrained(tmp_path)
    rewrite(
        tmp_path,
        fields=lambda fields: {"model_type": "mistral3", "text_config": fields, "tie_word_embeddings": False},
        tensors=lambda tensors: (
            {f"language_model.{key}": tensor for key, tensor in tensors.items()}
            | {"multi_modal_projector.linear_1.weight": torch.ones(3, 3)}
        ),
    )
    blueprint, ours = open_folder(tmp_path)
    assert "pictures" in blueprint.notes[0]
    assert (ours(IDS) - theirs(IDS).logits).abs().max() < 1e-4


# Of each kind of norm and of rotation one.
BFLOAT16 = ["llama", "qwen3", "gemma", "gemma2", "gemma3", "olmo2", "granite", "phi", "stablelm side by side", "cohere"]


@torch.inference_mode()
@pytest.mark.parametrize("name", BFLOAT16)
def test_bfloat16_is_within_its_own_error(name: str, tmp_path: Path) -> None:
    theirs = reference(FAMILIES[name])
    exact = theirs(IDS).logits
    theirs.save_pretrained(tmp_path)
    blueprint, header = understand(tmp_path)
    ours = load_gpt(blueprint, header, Placement("cpu", "bfloat16"))(IDS).float()
    rounded = theirs.to(torch.bfloat16)(IDS).logits.float()
    own_error = (rounded - exact).square().mean().sqrt()
    assert (ours - exact).square().mean().sqrt() < 1.2 * own_error
    assert (ours - rounded).square().mean().sqrt() < 1.2 * own_error


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("llama", _rope(rope_type="linear", factor=0.0), "factor is 0.0, and should be a number above 0"),
    ("llama", _rope(rope_type="linear", factor=float("nan")), "factor is nan"),
    ("llama", _rope(rope_type="linear", factor=-2), "factor is -2"),
    ("llama", _rope(rope_type="linear"), "factor is missing"),
    ("llama", _rope(rope_type="llama3", factor=8.0, low_freq_factor=2.0, high_freq_factor=2.0), "must differ"),
    ("llama", _rope(rope_type="yarn", factor=2.0, original_max_position_embeddings=0), "original_max_position"),
    ("llama", _rope(rope_type="longrope", short_factor=[1.0], long_factor=[1.0]), "short_factors has 1 numbers for 4"),
    ("llama", _rope(rope_type="longrope", short_factor=[1.0, "x"]), "short_factor is"),
    ("llama", _rope(rope_type="proportional"), "rotary positions of type 'proportional' are not supported"),
    ("llama", _rope(rope_type="default", rope_theta=0), "rope_theta is 0"),
    ("llama", _rope(rope_type="default", partial_rotary_factor=1.5), "a share is from 0 to 1"),
    ("llama", {"rope_scaling": 3}, "rope_scaling is 3, and should be an object"),
    ("llama", {"num_key_value_heads": 3}, "num_attention_heads 4 does not divide into num_key_value_heads 3 groups"),
    ("llama", {"num_attention_heads": 0}, "num_attention_heads is 0"),
    ("llama", {"head_dim": 0}, "head_dim is 0"),
    ("llama", {"head_dim": 7}, "rotary_dim 7 must be even"),
    ("llama", {"hidden_size": None}, "hidden_size is missing"),
    ("mistral", {"sliding_window": 0}, "sliding_window is 0"),
    ("qwen2 windows", {"layer_types": ["full_attention"]}, "layer_types is"),
    ("qwen2 windows", {"layer_types": ["linear_attention"] * 3}, "layers of type 'linear_attention'"),
    ("gemma2", {"attn_logit_softcapping": -1.0}, "attn_logit_softcapping is -1.0"),
    ("gemma", {"use_bidirectional_attention": True}, "decoders only"),
    ("smollm3", {"no_rope_layers": [1, 2, 0, 0]}, "no_rope_layers is"),
    ("olmo", {"clip_qkv": 0}, "clip_qkv is 0"),
    ("granite", {"logits_scaling": 0}, "logits_scaling is 0"),
    ("bloom", {"apply_residual_connection_post_layernorm": True}, "apply_residual_connection_post_layernorm"),
    ("mpt", {"attn_config": {"qk_ln": True}}, "qk_ln True is not supported"),
    ("mpt", {"logit_scale": "inv_sqrt_d_model"}, "logit_scale"),
    ("falcon", {"num_ln_in_parallel_attn": 3}, "num_ln_in_parallel_attn is 3"),
]


@pytest.mark.parametrize(("name", "fields", "said"), BAD, ids=[f"{name} {said}" for name, _, said in BAD])
def test_bad_fields_are_one_clear_line(name: str, fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = {**FAMILIES[name].to_dict(), **fields}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=re.escape(said)) as caught:
        read_blueprint(find(str(tmp_path)), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model_type", "said"),
    [
        ("olmoe", "is a mixture of experts, which gptcli does not run yet"),
        ("qwen3_next", "linear attention"),
        ("deepseek_v3", "latent attention"),
        ("mamba", "state spaces"),
        ("gemma4", "embeddings of its own"),
    ],
)
def test_what_is_not_run_is_named(model_type: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(CheckpointError, match=said):
        read_blueprint(find(str(tmp_path)), None)

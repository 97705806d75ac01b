"""What no family opens is refused with its name; what does not fit is listed."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from gptcli.checkpoint.families import FAMILIES, Fields, read_blueprint
from gptcli.checkpoint.families.own import config_json
from gptcli.checkpoint.source import find
from gptcli.errors import CheckpointError
from gptcli.model.config import GPTConfig
from tests.checkpoint.zoo import CONFIGS, each, reference, rewrite, understand


def write(folder: Path, fields: dict[str, Any], **tensors: torch.Tensor) -> None:
    (folder / "config.json").write_text(json.dumps(fields))
    save_file(tensors or {"x": torch.zeros(1)}, folder / "model.safetensors")


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        understand(folder)
    return str(caught.value)


@pytest.mark.parametrize("model_type", ["btlm", "t5", "jais", "codegen", "gpt_neox_japanese"])
def test_unknown_model_type(model_type: str, tmp_path: Path) -> None:
    write(tmp_path, {"model_type": model_type})
    message = refusal(tmp_path)
    assert f"model_type '{model_type}' is not supported" in message
    for known in ("gpt2", "gpt_neo", "gptj", "gpt_neox", "opt", "openai-gpt", "nanoGPT", "LLMs-from-scratch"):
        assert known in message


@pytest.mark.parametrize("model_type", [7, ["gpt2"], {"a": 1}, "x" * 9999, "\x1b[31m"])
def test_hostile_model_type(model_type: Any, tmp_path: Path) -> None:
    write(tmp_path, {"model_type": model_type})
    message = refusal(tmp_path)
    assert "is not supported" in message
    assert len(message) < 500 + len(str(tmp_path))
    assert "\x1b" not in message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "the weights are quantized ('gptq')"),
        ({"mup_width_scale": 0.5}, "mup_width_scale belongs to a muP-style model"),
        ({"position_embedding_type": "alibi"}, "positions of type 'alibi' are not supported"),
        ({"add_cross_attention": True}, "gptcli runs decoders only"),
        ({"n_embd": 30, "n_head": 4}, "n_embd 30 does not divide into n_head 4 heads"),
        ({"n_embd": "768"}, "n_embd is '768', and should be a whole number"),
        ({"n_layer": 10**12}, "n_layer is 1000000000000, and should be a whole number"),
        ({"activation_function": "xielu"}, "activation_function is 'xielu', and should be one of"),
        ({"layer_norm_epsilon": 2}, "layer_norm_epsilon must lie between 0 and 1"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes', and should be true or false"),
    ],
)
def test_gpt2_fields(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    write(tmp_path, {"model_type": "gpt2", **fields})
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    ("model_type", "fields", "said"),
    [
        ("gpt_neox", {"rope_scaling": {"type": "mrope", "factor": 2.0}}, "rotary positions of type 'mrope'"),
        ("gpt_neox", {"rope_parameters": {"rope_type": "axial"}}, "rotary positions of type 'axial'"),
        ("gpt_neox", {"rope_parameters": [1]}, "rope_parameters is [1], and should be an object"),
        ("gpt_neox", {"hidden_size": 20, "num_attention_heads": 4}, "rotary_dim 1 must be even"),
        ("gptj", {"rotary_dim": None}, "rotary_dim is missing"),
        ("gptj", {"rotary_dim": 7}, "rotary_dim 7 must be even"),
        ("gpt_neo", {"num_layers": 4}, "'global' or 'local' for each of the 4 layers"),
        ("gpt_neo", {"attention_types": [[["global"], 10**12]]}, "'global' or 'local' for each of the 24 layers"),
        ("gpt_neo", {"attention_types": [[["global", "strided"], 12]]}, "'global' or 'local'"),
        ("gpt_neo", {"attention_types": [["global", 24]]}, "'global' or 'local'"),
        ("gpt_neo", {"attention_layers": ["global"] * 23}, "'global' or 'local'"),
        ("openai-gpt", {"afn": "gelu_python"}, "afn is 'gelu_python', and should be one of gelu, relu, silu, swish"),
        ("opt", {"do_layer_norm_before": 1}, "do_layer_norm_before is 1, and should be true or false"),
        ("gptcli", {"n_heads": 3}, "no field of a GPT: n_heads"),
        ("gptcli", {"norm": "middle"}, "norm is 'middle', and should be one of pre, post"),
        ("gptcli", {"windows": [1, "2"]}, "windows is [1, '2'], and should be a list"),
    ],
)
def test_family_fields(model_type: str, fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    write(tmp_path, {"model_type": model_type, **fields})
    message = refusal(tmp_path)
    assert said in message
    assert str(tmp_path / "config.json") in message


def test_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file({"base_model.model.lm_head.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "adapter_model.safetensors")
    assert "holds an adapter" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["gpt_neo", "gptj", "gpt_neox", "opt", "openai-gpt"])
def test_family_that_shapes_do_not_tell(name: str, tmp_path: Path) -> None:
    reference(CONFIGS[name]).save_pretrained(tmp_path)
    rewrite(tmp_path, fields=lambda _: None)
    assert f"looks like {name}, but its shapes do not tell the whole configuration" in refusal(tmp_path)


@pytest.mark.parametrize("name", each(CONFIGS))
def test_keys_tell_the_family_where_the_config_does_not(name: str, tmp_path: Path) -> None:
    reference(CONFIGS[name]).save_pretrained(tmp_path)
    rewrite(tmp_path, fields=lambda fields: {key: value for key, value in fields.items() if key != "model_type"})
    assert understand(tmp_path)[0].family == CONFIGS[name].model_type


def test_foreign_keys(tmp_path: Path) -> None:
    save_file({"model.layers.0.self_attn.q_proj.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    assert "model.layers.0.self_attn.q_proj.weight" in refusal(tmp_path)


def test_head_with_a_row_for_each_token_is_surplus(tmp_path: Path) -> None:
    reference(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=lambda tensors: {**tensors, "score.weight": torch.zeros(101, 30)})
    assert "surplus score.weight" in refusal(tmp_path)


def test_misfits_are_listed_ten_at_a_time(tmp_path: Path) -> None:
    reference(CONFIGS["gpt_neox"]).save_pretrained(tmp_path)
    rewrite(tmp_path, fields=lambda fields: {**fields, "num_hidden_layers": 4, "intermediate_size": 53})
    message = refusal(tmp_path)
    assert "missing h.3.ln_1.weight" in message
    # A block has twelve tensors; three of each of the other three blocks have the width of the MLP.
    assert message.endswith("; and 11 more")
    rewrite(tmp_path, fields=lambda fields: {**fields, "num_hidden_layers": 3})
    message = refusal(tmp_path)
    assert "misshapen gpt_neox.layers.0.mlp.dense_h_to_4h.weight: [52, 40] where [53, 40] fits" in message


def test_half_a_stack_does_not_fit(tmp_path: Path) -> None:
    reference(CONFIGS["opt"]).save_pretrained(tmp_path)
    key = "model.decoder.layers.1.self_attn.v_proj.weight"
    rewrite(tmp_path, tensors=lambda tensors: {name: tensor for name, tensor in tensors.items() if name != key})
    assert "q_proj.weight, model.decoder.layers.1.self_attn.k_proj.weight: [72, 36] where [108, 36] fits" in refusal(
        tmp_path
    )


def test_parts_of_a_stack_have_one_shape(tmp_path: Path) -> None:
    """Their sum fits, and so would the check, were it on the sum alone."""
    reference(CONFIGS["gptj"]).save_pretrained(tmp_path)
    q, k = (f"transformer.h.0.attn.{name}_proj.weight" for name in "qk")
    rewrite(tmp_path, tensors=lambda tensors: {**tensors, q: torch.zeros(29, 30), k: torch.zeros(31, 30)})
    assert "[[31, 30], [29, 30], [30, 30]] where [90, 30] fits" in refusal(tmp_path).replace(
        "[[29, 30], [31, 30], [30, 30]]", "[[31, 30], [29, 30], [30, 30]]"
    )


@pytest.mark.parametrize(
    "twin", ["wte.weight", "_orig_mod.transformer.wte.weight", "h.00.ln_1.weight", "h.٣.ln_1.weight", "h.7.ln_1.scale"]
)
def test_second_name_for_a_tensor_is_surplus(twin: str, tmp_path: Path) -> None:
    reference(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=lambda tensors: {**tensors, twin: torch.zeros(101, 30)})
    assert "surplus" in refusal(tmp_path)


def test_integer_weights_are_refused(tmp_path: Path) -> None:
    reference(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    rewrite(tmp_path, tensors=lambda tensors: {name: tensor.to(torch.int8) for name, tensor in tensors.items()})
    assert "transformer.h.0.attn.c_attn.weight is I8, which is no weight's type" in refusal(tmp_path)


def test_far_layer_in_a_lone_file_costs_nothing(tmp_path: Path) -> None:
    reference(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    rewrite(
        tmp_path,
        fields=lambda _: None,
        tensors=lambda tensors: {**tensors, "h.999999999.ln_1.weight": torch.zeros(30)},
    )
    with pytest.raises(CheckpointError, match=r"missing h\.3\.ln_1\.weight"):
        understand(tmp_path, n_head=5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**13) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELD_NAMES = sorted({*config_json(GPTConfig()), *(name for config in CONFIGS.values() for name in config.to_dict())})


@pytest.mark.slow
@given(
    model_type=st.sampled_from([model_type for family in FAMILIES for model_type in family.model_types] + [None]),
    fields=st.dictionaries(st.sampled_from(FIELD_NAMES), json_values, max_size=4),
)
def test_any_config_is_read_or_refused(
    model_type: str | None, fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-config"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**fields, "model_type": model_type}))
    with suppress(CheckpointError):
        assert read_blueprint(find(str(folder)), None).config.n_layer <= 10_000


def test_fields_take_the_first_name_that_is_there() -> None:
    fields = Fields({"n_embd": None, "hidden_size": 5}, "config.json")
    assert fields.integer("n_embd", "hidden_size", default=7) == 5
    assert fields.optional_integer("n_embd") is None

"""Shapes that GPT-2 does not have, against transformers' Llama with the same weights: shared keys, a head size of its
own, RMS norms, a gate, rotary positions. And what reads such a model: the cache, the counts, the inspections.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.counting.steps import walk
from gptcli.counting.tally import memory, tally
from gptcli.inspection.attribution import attribute
from gptcli.inspection.record import record
from gptcli.inspection.trace import trace
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.rotary import Rotary
from gptcli.model.shapes import parameter_shapes
from gptcli.model.torch_engine import TorchEngine
from tests.gpt2_reference import worst
from tests.made import made

TOLERANCE = 1e-4
SHAPES: dict[str, dict[str, Any]] = {
    "as many keys as queries": {"num_key_value_heads": 4},
    "two groups": {"num_key_value_heads": 2},
    "one key for all": {"num_key_value_heads": 1},
    "narrow heads": {"num_key_value_heads": 2, "head_dim": 6},
    "wide heads": {"num_key_value_heads": 2, "head_dim": 20},
    "another base": {"num_key_value_heads": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 50.0}},
    "biased": {"num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True},
    "tied": {"num_key_value_heads": 2, "tie_word_embeddings": True},
}
IDS = np.random.default_rng(5).integers(0, 97, (2, 40)).tolist()


def theirs_of(fields: dict[str, Any]) -> Any:
    config = LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, rms_norm_eps=1e-3, bos_token_id=0, eos_token_id=0, **fields,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.normal_(1.0 if "norm" in name else 0.0, 0.3)
    return model


def ours_of(theirs: Any) -> GPT:
    """Our GPT with Llama's weights, each put in its place by hand."""
    config = theirs.config
    shape = GPTConfig(
        vocab_size=97, n_positions=64, n_embd=32, n_layer=2, n_head=4, n_inner=44, activation="silu", gated=True,
        layer_norm_epsilon=1e-3, norm_kind="rms", norm_bias=False, n_kv_head=config.num_key_value_heads,
        head_width=config.head_dim, positions="rotary", rotary_dim=config.head_dim,
        rotary=(Rotary(base=config.rope_parameters["rope_theta"]),), qkv_bias=config.attention_bias,
        attention_bias=config.attention_bias, mlp_bias=config.mlp_bias, tied=config.tie_word_embeddings,
    )  # fmt: skip
    there: dict[str, Tensor] = theirs.state_dict()
    weights = {"wte.weight": there["model.embed_tokens.weight"], "ln_f.weight": there["model.norm.weight"]}
    weights["lm_head.weight"] = there["lm_head.weight"]
    for layer in range(2):
        block, ours = f"model.layers.{layer}", f"h.{layer}"
        weights[f"{ours}.ln_1.weight"] = there[f"{block}.input_layernorm.weight"]
        weights[f"{ours}.ln_2.weight"] = there[f"{block}.post_attention_layernorm.weight"]
        for leaf in ["weight", "bias"] if config.attention_bias else ["weight"]:
            parts = [there[f"{block}.self_attn.{name}_proj.{leaf}"] for name in "qkv"]
            weights[f"{ours}.attn.c_attn.{leaf}"] = torch.cat(parts)
            weights[f"{ours}.attn.c_proj.{leaf}"] = there[f"{block}.self_attn.o_proj.{leaf}"]
            for name, place in (("gate", "c_gate"), ("up", "c_fc"), ("down", "c_proj")):
                weights[f"{ours}.mlp.{place}.{leaf}"] = there[f"{block}.mlp.{name}_proj.{leaf}"]
    model = GPT(shape).eval().requires_grad_(False)
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_logits_are_llamas(fields: dict[str, Any]) -> None:
    theirs = theirs_of(fields)
    with torch.inference_mode():
        expected = theirs(torch.tensor(IDS)).logits
        found = ours_of(theirs)(torch.tensor(IDS))
    assert expected.std() > 0.5
    assert worst(found, expected) < TOLERANCE


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_a_cache_of_the_shared_keys_gives_the_same(fields: dict[str, Any]) -> None:
    model = ours_of(theirs_of(fields))
    with torch.inference_mode():
        expected = model(torch.tensor(IDS)).numpy()
    engine = TorchEngine(model)
    assert np.abs(engine.prefill([IDS[0][:9], IDS[1][:4]], 40) - expected[[0, 1], [8, 3]]).max() < TOLERANCE
    for step in range(20):
        logits = engine.step([IDS[0][9 + step], IDS[1][4 + step]])
        assert np.abs(logits - expected[[0, 1], [9 + step, 4 + step]]).max() < TOLERANCE
    cache = engine._cache
    assert cache is not None
    assert cache._store.numel() == 2 * 40 * model.config.cached_per_token


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_every_parameter_is_counted(fields: dict[str, Any]) -> None:
    theirs = theirs_of(fields)
    model = ours_of(theirs)
    parameters = sum(weight.numel() for weight in theirs.parameters())
    config = model.config
    assert {name: tuple(weight.shape) for name, weight in model.named_parameters()} == parameter_shapes(config)
    counted = tally(config)
    assert counted.parameters == parameters
    steps = [walk(config, 5), walk(config, 5, layer=1), *(walk(config, 5, layer=2, head=head) for head in range(1, 5))]
    assert {sum(step.parameters for step in each) for each in steps} == {parameters}
    # Of keys and values as many numbers as transformers caches.
    kept = theirs(torch.tensor([[1]]), use_cache=True).past_key_values
    numbers = sum(layer.keys.numel() + layer.values.numel() for layer in kept.layers)
    assert memory(parameters, config)[0].cache_per_token == 4 * numbers == 4 * config.cached_per_token


def test_the_scoreboard_has_a_line_for_the_gate_and_fewer_keys() -> None:
    config = ours_of(theirs_of(SHAPES["narrow heads"])).config
    lines = {line.name: line for line in tally(config).scoreboard}
    assert (lines["Query"].n_heads, lines["Key"].n_heads, lines["Value"].n_heads) == (4, 2, 2)
    assert (lines["Key"].n_rows, lines["Key"].n_columns, lines["Key"].count) == (6, 32, 2 * 2 * 6 * 32)
    assert lines["Output"].count == 2 * 32 * 4 * 6
    assert lines["Gate-projection"].count == lines["Up-projection"].count == lines["Down-projection"].count
    sums = {term.name: term.count for term in tally(config).sums}
    assert sums["all attention"] == sum(lines[name].count for name in ("Key", "Query", "Value", "Output"))
    assert sums["all MLPs"] == 3 * lines["Up-projection"].count


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_patterns_are_llamas(fields: dict[str, Any]) -> None:
    theirs = theirs_of(fields)
    theirs.set_attn_implementation("eager")
    said = theirs(torch.tensor(IDS[:1]), output_attentions=True, output_hidden_states=True)
    run = record(ours_of(theirs), IDS[0])
    for layer, pattern in zip(run.layers, said.attentions, strict=True):
        assert worst(layer.pattern, pattern[0]) < TOLERANCE
    for stream, hidden in zip(run.stream[:-1], said.hidden_states[:-1], strict=True):
        assert worst(stream, hidden[0]) < TOLERANCE


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_a_logit_is_the_sum_of_its_parts(fields: dict[str, Any]) -> None:
    model = ours_of(theirs_of(fields))
    run = record(model, IDS[0])
    for token in (3, 50):
        found = attribute(model, run, token, b"")
        assert found.logit == pytest.approx(float(model(torch.tensor(IDS[:1]))[0, -1, token]), abs=1e-4)
        assert found.total == pytest.approx(found.logit, abs=1e-3)
        assert [len(heads) for heads in found.heads()] == [4, 4]


def test_shapes_that_cannot_be_are_refused() -> None:
    for fields, said in (
        ({"n_kv_head": 5}, "does not divide into n_kv_head 5 groups"),
        ({"n_kv_head": 0}, "n_kv_head must be at least 1"),
        ({"head_width": 0}, "head_width must be at least 1"),
        ({"norm_kind": "rms"}, "norm_bias needs layer norms"),
    ):
        with pytest.raises(ValueError, match=said):
            GPTConfig(**fields)


def test_a_trace_names_the_gate_and_shows_the_shared_keys(tmp_path: Path) -> None:
    folder = made(
        tmp_path / "llama", n_embd=12, n_head=4, n_kv_head=2, head_width=6, n_inner=40, gated=True, activation="silu",
        norm_kind="rms", norm_bias=False, positions="rotary", rotary_dim=6,
    )  # fmt: skip
    checkpoint = open_checkpoint(str(folder), Placement(device="cpu"))
    model, run = checkpoint.model, record(checkpoint.model, checkpoint.tokenizer.encode("The king said"))
    block, layer = model.h[0], run.layers[0]
    qkv = block.get_submodule("attn.c_attn")(layer.normed[-1])
    keys = qkv[24:36].reshape(2, 6)  # behind four heads of queries
    for head in range(1, 5):
        steps = {step.name: step for step in trace(checkpoint, "The king said", layer=1, head=head).steps}
        assert steps["key"].numbers == pytest.approx(keys[(head - 1) // 2, :4].tolist(), abs=1e-6)
        assert steps["key"].weights[0].shape == (6, 12)
    gate, up = (block.get_submodule(f"mlp.{name}")(layer.mlp_in[-1])[:4] for name in ("c_gate", "c_fc"))
    wanted = {"gate": gate, "activation": F.silu(gate), "up": up, "gated": F.silu(gate) * up}
    steps = {step.name: step for step in trace(checkpoint, "The king said", layer=1).steps}
    assert [name for name in steps if name in wanted] == list(wanted)
    assert steps["key"].shape == (2, len(run.ids), 6)
    for name, numbers in wanted.items():
        assert steps[name].numbers == pytest.approx(numbers.tolist(), abs=1e-6)

"""The steps of a run: every parameter in exactly one of them, and shapes that fit together."""

from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.counting.steps import TraceStep, walk
from gptcli.counting.tally import tally
from gptcli.errors import InputError
from gptcli.model.config import GPTConfig
from gptcli.model.presets import PRESETS
from gptcli.model.shapes import parameter_shapes
from tests.counting.test_tally import configs


@pytest.mark.parametrize("name", PRESETS)
def test_all_steps_of_a_preset_are_its_parameters(name: str) -> None:
    config = PRESETS[name]
    for layer, head in ((None, None), (1, None), (config.n_layer, config.n_head)):
        steps = walk(config, config.n_positions, layer, head)
        assert sum(step.parameters for step in steps) == tally(config).parameters


@pytest.mark.slow
@settings(max_examples=300)
@given(configs(), st.data())
def test_however_it_is_opened_the_counts_sum_to_the_model(config: GPTConfig, data: Any) -> None:
    layer = data.draw(st.none() | st.integers(1, config.n_layer)) if config.n_layer else None
    head = data.draw(st.none() | st.integers(1, config.n_head)) if layer else None
    steps = walk(config, data.draw(st.integers(1, config.n_positions)), layer, head)
    assert sum(step.parameters for step in steps) == sum(prod(shape) for shape in parameter_shapes(config).values())
    for step in steps:
        counted = sum(prod(weight.shape) for weight in step.weights if weight.counted)
        assert step.parameters == counted or step.name in ("layer", "other heads")


@pytest.mark.slow
@settings(max_examples=100)
@given(configs())
def test_opened_blocks_name_each_parameter(config: GPTConfig) -> None:
    """Over all blocks the counted weights are the checkpoint's, the third of a stack for each of q, k and v."""
    named: dict[str, int] = {}
    for layer in range(config.n_layer + 1):
        for step in walk(config, 1, layer or None):
            if step.layer == (layer or None):  # without a layer: what stands outside the blocks
                for weight in step.weights:
                    named[weight.name] = named.get(weight.name, 0) + weight.counted * prod(weight.shape)
    assert named == {name: prod(shape) for name, shape in parameter_shapes(config).items()}


def opened(config: GPTConfig, head: int | None = None) -> list[TraceStep]:
    return [step for step in walk(config, 4, 1, head) if step.layer == 1]


def test_the_order_of_a_pre_norm_block() -> None:
    tiny = GPTConfig(vocab_size=9, n_positions=8, n_embd=6, n_layer=1, n_head=2)
    attention = ["query", "key", "value", "scores", "mask", "softmax", "weighted values", "output"]
    mlp = ["up", "activation", "down"]
    assert [step.name for step in opened(tiny)] == [
        *("norm 1", *attention, "+ residual 1"),
        *("norm 2", *mlp, "+ residual 2"),
    ]
    post = GPTConfig(vocab_size=9, n_positions=8, n_embd=6, n_layer=1, n_head=2, norm="post", final_norm=False)
    assert [step.name for step in opened(post)] == [
        *(*attention, "+ residual 1", "norm 1"),
        *(*mlp, "+ residual 2", "norm 2"),
    ]
    gptj = GPTConfig(
        n_embd=12, n_layer=1, n_head=2, positions="rotary", rotary_dim=4, parallel_residual=True, shared_norm=True
    )
    rotated = [*attention[:3], "rotated", *attention[3:]]
    assert [step.name for step in opened(gptj)] == ["norm 1", *rotated, *mlp, "+ residual"]


def test_one_head_by_hand() -> None:
    steps = {step.name: step for step in opened(GPTConfig(n_positions=8, n_embd=6, n_layer=1, n_head=2), head=2)}
    assert (steps["query"].shape, steps["query"].parameters, steps["query"].head) == ((4, 3), 3 * 6 + 3, 2)
    assert (steps["scores"].shape, steps["other heads"].shape) == ((4, 4), (4, 3))
    assert steps["other heads"].parameters == 3 * (3 * 6 + 3)


def test_a_shared_key_head_is_said() -> None:
    config = GPTConfig(n_positions=8, n_embd=8, n_layer=1, n_head=4, n_kv_head=2)
    steps = {step.name: step for step in opened(config, head=3)}
    assert [steps[name].detail for name in ("query", "key", "value")] == [
        "",
        *["key head 2, each for 2 query heads"] * 2,
    ]


@pytest.mark.parametrize(
    ("fields", "names", "details"),
    [
        (
            {"norm": "sandwich", "attention_cap": 5.0, "embedding_scale": 3.0, "logit_cap": 9.0},
            ["norm 1", "query", "key", "value", "scores", "capped", "mask", "softmax", "weighted values", "output",
             "norm after attention", "+ residual 1", "norm 2", "up", "activation", "down", "norm after MLP",
             "+ residual 2"],
            {"capped": "5 · tanh(score / 5)", "scaled embedding": "× 3", "unembedding": "tied, capped at ±9"},
        ),
        (
            {"norm": "after", "qk_norm": "whole", "qkv_clip": 2.0, "residual_scale": 0.5},
            ["query", "key", "value", "query norm", "key norm", "scores", "mask", "softmax", "weighted values",
             "output", "norm after attention", "+ residual 1", "up", "activation", "down", "norm after MLP",
             "+ residual 2"],
            {"key norm": "all heads together", "value": "clamped to ±2", "+ residual 1": "stream + attention × 0.5"},
        ),
        (
            {"positions": "alibi", "embedding_norm": True, "attention_scale": 0.25, "logit_scale": 0.5},
            ["norm 1", "query", "key", "value", "scores", "+ slope", "mask", "softmax", "weighted values", "output",
             "+ residual 1", "norm 2", "up", "activation", "down", "+ residual 2"],
            {"scores": "query · key × 0.25", "embedding norm": "", "unembedding": "tied, × 0.5"},
        ),
    ],
)  # fmt: skip
def test_the_steps_of_other_blocks(fields: dict[str, Any], names: list[str], details: dict[str, str]) -> None:
    config = GPTConfig(vocab_size=9, n_positions=8, n_embd=6, n_layer=1, n_head=2, **fields)
    assert [step.name for step in opened(config)] == names
    found = {step.name: step.detail for step in walk(config, 4, 1)}
    assert {name: found[name] for name in details} == details


@pytest.mark.parametrize(("window", "hidden"), [(None, 6), (1, 12), (2, 9), (4, 6), (9, 6)])
def test_what_the_mask_hides(window: int | None, hidden: int) -> None:
    config = GPTConfig(n_positions=8, n_embd=6, n_layer=1, n_head=2, windows=(window,))
    (mask,) = (step for step in opened(config) if step.name == "mask")
    seen = sum(0 <= row - column < (window or 99) for row in range(4) for column in range(4))
    assert 16 - seen == hidden
    assert f"{hidden} of 16 cells" in mask.detail


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((9,), "context of 8"),
        ((0,), "from 1"),
        ((4, 2), "--layer 2"),
        ((4, None, 1), "--layer"),
        ((4, 1, 3), "--head 3"),
    ],
)
def test_what_is_not_there_is_said(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        walk(GPTConfig(n_positions=8, n_embd=6, n_layer=1, n_head=2), *arguments)

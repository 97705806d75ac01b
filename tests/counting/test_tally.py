"""The tally: the video's figures, the published sizes, transformers' own counts, and numbers worked out by hand."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.counting.tally import memory, tally
from gptcli.model.config import PRESETS, GPTConfig
from gptcli.model.shapes import parameter_shapes


def test_gpt3_is_the_scoreboard_of_the_video() -> None:
    counted = tally(PRESETS["gpt3"])
    assert {line.name: line.count for line in counted.scoreboard} == {
        "Embedding": 617_558_016,
        "Key": 14_495_514_624,
        "Query": 14_495_514_624,
        "Value": 14_495_514_624,
        "Output": 14_495_514_624,
        "Up-projection": 57_982_058_496,
        "Down-projection": 57_982_058_496,
        "Unembedding": 617_558_016,
    }
    assert counted.scoreboard_total == 175_181_291_520
    assert counted.n_matrices == 27_938
    shapes = {line.name: (line.n_rows, line.n_columns, line.n_heads, line.n_layers) for line in counted.scoreboard}
    assert shapes["Embedding"] == (12_288, 50_257, None, None)
    assert shapes["Key"] == shapes["Query"] == shapes["Value"] == (128, 12_288, 96, 96)
    assert shapes["Output"] == (12_288, 128, 96, 96)
    assert shapes["Up-projection"] == (49_152, 12_288, None, 96)
    assert shapes["Down-projection"] == (12_288, 49_152, None, 96)
    assert shapes["Unembedding"] == (50_257, 12_288, None, None)


def test_gpt3_s_attention_is_as_the_video_says() -> None:
    sums = {term.name: term.count for term in tally(PRESETS["gpt3"]).sums}
    assert sums == {
        "one attention head": 6_291_456,
        "one attention block": 603_979_776,
        "all attention": 57_982_058_496,
        "one MLP": 1_207_959_552,
        "all MLPs": 115_964_116_992,
    }


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_gpt2_s_sizes_are_exact(name: str, parameters: int) -> None:
    assert tally(PRESETS[name]).parameters == parameters


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("gpt3-small", 0.125),
        ("gpt3-medium", 0.350),
        ("gpt3-large", 0.760),
        ("gpt3-xl", 1.3),
        ("gpt3-2.7b", 2.7),
        ("gpt3-6.7b", 6.7),
        ("gpt3-13b", 13.0),
        ("gpt3", 175.0),
    ],
)
def test_gpt3_s_sizes_are_those_of_its_paper(name: str, billions: float) -> None:
    # The paper rounds to two or three digits.
    assert tally(PRESETS[name]).parameters / 1e9 == pytest.approx(billions, rel=0.022)


def test_a_tiny_gpt_counted_by_hand() -> None:
    # Vocabulary 5, 3 positions, width 4, one block of two heads, an MLP of 16.
    counted = tally(GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=1, n_head=2))
    assert [line.count for line in counted.scoreboard] == [20, 16, 16, 16, 16, 64, 64, 20]
    # Two matrices of each of query, key and value; one each of output, up, down, embedding and unembedding.
    assert counted.n_matrices == 11
    assert {term.name: term.count for term in counted.corrections} == {
        "positions": 12,
        "query, key and value biases": 12,
        "output biases": 4,
        "up-projection biases": 16,
        "down-projection biases": 4,
        "layer norms": 3 * 2 * 4,
        "unembedding": -20,
    }
    assert counted.parameters == 232 + 12 + 12 + 4 + 16 + 4 + 24 - 20


def test_memory_by_dtype_worked_out_by_hand() -> None:
    config = GPTConfig(n_positions=10, n_embd=4, n_layer=3, n_head=2)
    taken = {
        line.dtype: (line.weights, line.cache_per_token, line.cache_at_full_context) for line in memory(1001, config)
    }
    # A key and a value of 4 numbers in each of 3 layers: 24 numbers a token. The MLPs' matrices are 3 x 2 x 4 x 16.
    assert taken == {
        "float32": (4004, 96, 960),
        "bfloat16": (2002, 48, 480),
        "int8": (1001, None, None),
        "int4": (1001 - 384 // 2, None, None),
    }
    assert [line.weights for line in memory(7)] == [28, 14, 7, 4]  # in 4 bits three and a half bytes
    assert all(line.cache_per_token is None for line in memory(7))


booleans = st.booleans()


@st.composite
def configs(draw: Callable[[Any], Any]) -> GPTConfig:
    """Any GPT that the configuration allows, small."""
    n_head, head_size = draw(st.integers(1, 4)), 2 * draw(st.integers(1, 4))
    norm_weight, rms, norm_bias = draw(booleans), draw(booleans), draw(booleans)
    norm_bias = norm_bias and norm_weight and not rms
    positions, parallel = draw(st.sampled_from(["learned", "sinusoidal", "rotary", "alibi"])), draw(booleans)
    qk_norm = draw(st.sampled_from(["none", "head", "each head", "whole"]))
    return GPTConfig(
        vocab_size=draw(st.integers(1, 50)),
        n_positions=draw(st.integers(1, 20)),
        n_embd=n_head * head_size,
        n_layer=draw(st.integers(0, 4)),
        n_head=n_head,
        n_inner=draw(st.none() | st.integers(1, 30)),
        positions=positions,
        position_offset=draw(st.sampled_from([0, 2])) if positions == "learned" else 0,
        rotary_dim=2 if positions == "rotary" else 0,
        n_kv_head=draw(st.sampled_from([count for count in range(1, n_head + 1) if n_head % count == 0])),
        gated=draw(booleans),
        norm_kind="rms" if rms else "layer",
        norm=draw(st.sampled_from(["pre", "post"] if parallel else ["pre", "post", "after", "sandwich"])),
        embedding_norm=draw(booleans),
        qk_norm=qk_norm,
        qk_norm_bias=qk_norm != "none" and norm_weight and not rms and draw(booleans),
        attention_cap=draw(st.sampled_from([None, 5.0])),
        embedding_scale=draw(st.sampled_from([1.0, 3.0])),
        final_norm=draw(booleans),
        parallel_residual=parallel,
        shared_norm=parallel and draw(booleans),
        qkv_bias=draw(booleans),
        attention_bias=draw(booleans),
        mlp_bias=draw(booleans),
        norm_weight=norm_weight,
        norm_bias=norm_bias,
        tied=draw(booleans),
        unembedding_bias=draw(booleans),
        token_width=draw(st.none() | st.integers(1, 12) | st.just(n_head * head_size)),
    )


@pytest.mark.slow
@settings(max_examples=300)
@given(configs())
def test_every_knob_is_counted_as_the_model_builds_it(config: GPTConfig) -> None:
    counted = tally(config)
    assert counted.parameters == sum(prod(shape) for shape in parameter_shapes(config).values())
    assert counted.scoreboard_total == sum(line.count for line in counted.scoreboard)
    assert sum(line.share for line in counted.scoreboard) == pytest.approx(1)
    for line in counted.scoreboard:
        assert line.count == line.n_rows * line.n_columns * (line.n_heads or 1) * (
            1 if line.n_layers is None else line.n_layers
        )


def on_meta(name: str, config: Any) -> int:
    """transformers' own count, without allocating anything."""
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, name)(config)
    return int(model.num_parameters())


sizes = st.fixed_dictionaries(
    {
        "vocab": st.integers(10, 300),
        "positions": st.integers(4, 40),
        "heads": st.integers(1, 4),
        "half_head": st.integers(1, 4),
        "layers": st.integers(1, 4),
        "inner": st.integers(1, 60),
        "flag": booleans,
        "tied": booleans,
    }
)
few = settings(max_examples=8)


def shaped(size: dict[str, Any], **differences: Any) -> GPTConfig:
    """A model of the size that was drawn: its width is that of its heads."""
    width = 2 * size["heads"] * size["half_head"]
    return GPTConfig(size["vocab"], size["positions"], width, size["layers"], size["heads"], **differences)


@few
@given(sizes)
def test_gpt2_is_counted_as_transformers_does(size: dict[str, Any]) -> None:
    from transformers import GPT2Config

    width, inner = 2 * size["heads"] * size["half_head"], size["inner"] if size["flag"] else None
    theirs = GPT2Config(
        vocab_size=size["vocab"],
        n_positions=size["positions"],
        n_embd=width,
        n_layer=size["layers"],
        n_head=size["heads"],
        n_inner=inner,
        tie_word_embeddings=size["tied"],
        bos_token_id=0,
        eos_token_id=0,
    )
    ours = shaped(size, n_inner=inner, tied=size["tied"])
    assert tally(ours).parameters == on_meta("GPT2LMHeadModel", theirs)


@few
@given(sizes)
def test_gpt_neo_is_counted_as_transformers_does(size: dict[str, Any]) -> None:
    from transformers import GPTNeoConfig

    width = 2 * size["heads"] * size["half_head"]
    theirs = GPTNeoConfig(
        vocab_size=size["vocab"],
        max_position_embeddings=size["positions"],
        hidden_size=width,
        num_layers=size["layers"],
        attention_types=[[["local"], size["layers"]]],
        num_heads=size["heads"],
        intermediate_size=size["inner"],
        tie_word_embeddings=size["tied"],
        bos_token_id=0,
        eos_token_id=0,
    )
    ours = shaped(
        size,
        n_inner=size["inner"],
        windows=(256,) * size["layers"],
        qkv_bias=False,
        tied=size["tied"],
    )
    assert tally(ours).parameters == on_meta("GPTNeoForCausalLM", theirs)


@few
@given(sizes)
def test_gpt_j_is_counted_as_transformers_does(size: dict[str, Any]) -> None:
    from transformers import GPTJConfig

    width = 2 * size["heads"] * size["half_head"]
    theirs = GPTJConfig(
        vocab_size=size["vocab"],
        n_positions=size["positions"],
        n_embd=width,
        n_layer=size["layers"],
        n_head=size["heads"],
        rotary_dim=2,
        n_inner=size["inner"],
        tie_word_embeddings=size["tied"],
        bos_token_id=0,
        eos_token_id=0,
    )
    ours = shaped(
        size,
        n_inner=size["inner"],
        positions="rotary",
        rotary_dim=2,
        parallel_residual=True,
        shared_norm=True,
        qkv_bias=False,
        attention_bias=False,
        tied=size["tied"],
        unembedding_bias=True,
    )
    assert tally(ours).parameters == on_meta("GPTJForCausalLM", theirs)


@few
@given(sizes)
def test_gpt_neox_is_counted_as_transformers_does(size: dict[str, Any]) -> None:
    from transformers import GPTNeoXConfig

    width = 2 * size["heads"] * size["half_head"]
    theirs = GPTNeoXConfig(
        vocab_size=size["vocab"],
        max_position_embeddings=size["positions"],
        hidden_size=width,
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=size["inner"],
        attention_bias=size["flag"],
        tie_word_embeddings=size["tied"],
        bos_token_id=0,
        eos_token_id=0,
    )
    ours = shaped(
        size,
        n_inner=size["inner"],
        positions="rotary",
        rotary_dim=2,
        parallel_residual=True,
        qkv_bias=size["flag"],
        attention_bias=size["flag"],
        tied=size["tied"],
    )
    assert tally(ours).parameters == on_meta("GPTNeoXForCausalLM", theirs)


@few
@given(sizes, st.none() | st.integers(1, 9), booleans, booleans)
def test_opt_is_counted_as_transformers_does(
    size: dict[str, Any], token_width: int | None, pre_norm: bool, affine: bool
) -> None:
    from transformers import OPTConfig

    width = 2 * size["heads"] * size["half_head"]
    theirs = OPTConfig(
        vocab_size=size["vocab"],
        max_position_embeddings=size["positions"],
        hidden_size=width,
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        ffn_dim=size["inner"],
        word_embed_proj_dim=token_width,
        do_layer_norm_before=pre_norm,
        enable_bias=size["flag"],
        layer_norm_elementwise_affine=affine,
        tie_word_embeddings=size["tied"],
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
    )
    ours = shaped(
        size,
        n_inner=size["inner"],
        position_offset=2,
        norm="pre" if pre_norm else "post",
        final_norm=pre_norm,
        qkv_bias=size["flag"],
        attention_bias=size["flag"],
        mlp_bias=size["flag"],
        norm_weight=affine,
        norm_bias=affine,
        tied=size["tied"],
        token_width=token_width,
    )
    assert tally(ours).parameters == on_meta("OPTForCausalLM", theirs)


@few
@given(sizes)
def test_gpt_1_is_counted_as_transformers_does(size: dict[str, Any]) -> None:
    from transformers import OpenAIGPTConfig

    width = 2 * size["heads"] * size["half_head"]
    theirs = OpenAIGPTConfig(
        vocab_size=size["vocab"],
        n_positions=size["positions"],
        n_embd=width,
        n_layer=size["layers"],
        n_head=size["heads"],
    )
    ours = shaped(
        size,
        norm="post",
        final_norm=False,
    )
    assert tally(ours).parameters == on_meta("OpenAIGPTLMHeadModel", theirs)


def test_the_figures_of_real_models_are_transformers_own() -> None:
    from transformers import GPT2Config, OPTConfig

    assert on_meta("GPT2LMHeadModel", GPT2Config()) == 124_439_808
    opt_350m = OPTConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        ffn_dim=4096,
        word_embed_proj_dim=512,
        do_layer_norm_before=False,
    )
    ours = GPTConfig(
        50272, 2048, 1024, 24, 16, position_offset=2, norm="post", final_norm=False, token_width=512, activation="relu"
    )
    assert tally(ours).parameters == on_meta("OPTForCausalLM", opt_350m) == 331_196_416

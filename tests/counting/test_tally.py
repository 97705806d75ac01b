"""The tally: the video's figures, the published sizes, transformers' own counts, and numbers worked out by hand."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.counting.tally import memory, tally
from gptcli.model.config import GPTConfig
from gptcli.model.experts import Experts
from gptcli.model.presets import PRESETS
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
        "attention of one layer": 603_979_776,
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
def configs(draw: Callable[[Any], Any], *, runs: bool = False) -> GPTConfig:
    """Any GPT that the configuration allows, small; or only what an engine runs."""
    n_kv_head, group, head_size = draw(st.integers(1, 3)), draw(st.integers(1, 3)), 2 * draw(st.integers(1, 4))
    n_head, n_layer = n_kv_head * group, draw(st.integers(0, 4))
    positions, parallel = draw(st.sampled_from(["learned", "sinusoidal", "rotary", "alibi"])), draw(booleans)
    return GPTConfig(
        vocab_size=draw(st.integers(1, 50)),
        n_positions=draw(st.integers(1, 20)),
        n_embd=n_head * head_size,
        n_layer=n_layer,
        n_head=n_head,
        n_kv_head=n_kv_head,
        head_width=draw(st.sampled_from([None, 2, 6])),
        n_inner=draw(st.none() | st.integers(1, 30)),
        gated=draw(booleans),
        experts=None if runs else draw(st.none() | experts(n_layer)),
        sinks=not runs and draw(booleans),
        positions=positions,
        position_offset=draw(st.sampled_from([0, 2])) if positions == "learned" else 0,
        rotary_dim=2 if positions == "rotary" else 0,
        norm=draw(st.sampled_from(["pre", "post"] if parallel else ["pre", "post", "after", "sandwich"])),
        final_norm=draw(booleans),
        embedding_norm=draw(booleans),
        attention_cap=draw(st.sampled_from([None, 5.0])),
        embedding_scale=draw(st.sampled_from([1.0, 3.0])),
        parallel_residual=parallel,
        shared_norm=parallel and draw(booleans),
        qkv_bias=draw(booleans),
        attention_bias=draw(booleans),
        mlp_bias=draw(booleans),
        **draw(norms()),
        tied=draw(booleans),
        unembedding_bias=draw(booleans),
        token_width=draw(st.none() | st.integers(1, 12) | st.just(n_head * head_size)),
    )


@st.composite
def norms(draw: Callable[[Any], Any]) -> dict[str, Any]:
    """What norms have, and those on queries and keys."""
    kind, weight = draw(st.sampled_from(["layer", "rms"])), draw(booleans)
    bias, qk_norm = weight and kind == "layer", draw(st.sampled_from(["none", "head", "each head", "whole"]))
    return {
        "norm_kind": kind,
        "norm_weight": weight,
        "norm_bias": bias and draw(booleans),
        "qk_norm": qk_norm,
        "qk_norm_bias": bias and qk_norm != "none" and draw(booleans),
    }


@st.composite
def experts(draw: Callable[[Any], Any], n_layer: int) -> Experts:
    """A mixture, in all layers or some."""
    count = draw(st.integers(1, 4))
    return Experts(
        count,
        active=draw(st.integers(1, count)),
        width=draw(st.integers(1, 9)),
        shared_width=draw(st.none() | st.integers(1, 9)),
        bias=draw(booleans),
        layers=draw(st.just(()) | st.lists(booleans, min_size=n_layer, max_size=n_layer).map(tuple)),
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def _counted_by_transformers(model_type: str, **fields: Any) -> int:
    """Parameters of a model that holds no memory; a tied unembedding once."""
    import torch
    import transformers

    with torch.device("meta"):
        config = transformers.AutoConfig.for_model(model_type, **fields)
        return int(transformers.AutoModelForCausalLM.from_config(config).num_parameters())


_LLAMA3 = {"vocab_size": 128256, "num_key_value_heads": 8}
_SMOLLM2 = {"vocab_size": 49152, "tie_word_embeddings": True}
_GEMMA3 = {"vocab_size": 262144, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256}
_GPT_OSS = {"vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880}


def _sizes(width: int, inner: int, layers: int, heads: int | None = None) -> dict[str, int]:
    named = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    return named if heads is None else named | {"num_attention_heads": heads}


# As the config.json of each says on the hub.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-3.2-1b": ("llama", _LLAMA3 | _sizes(2048, 8192, 16, 32) | {"tie_word_embeddings": True}),
    "llama-3.1-8b": ("llama", _LLAMA3 | _sizes(4096, 14336, 32, 32)),
    "llama-3.1-405b": ("llama", _LLAMA3 | _sizes(16384, 53248, 126, 128)),
    "qwen3-0.6b": (
        "qwen3",
        {"vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True}
        | _sizes(1024, 3072, 28, 16),
    ),
    "qwen2.5-0.5b": (
        "qwen2",
        {"vocab_size": 151936, "num_key_value_heads": 2, "tie_word_embeddings": True} | _sizes(896, 4864, 24, 14),
    ),
    "smollm2-135m": ("llama", _SMOLLM2 | {"num_key_value_heads": 3} | _sizes(576, 1536, 30, 9)),
    "smollm2-360m": ("llama", _SMOLLM2 | {"num_key_value_heads": 5} | _sizes(960, 2560, 32, 15)),
    "smollm2-1.7b": ("llama", _SMOLLM2 | _sizes(2048, 8192, 24, 32)),
    "gemma-3-270m": ("gemma3_text", _GEMMA3 | _sizes(640, 2048, 18)),
    "gemma-3-1b": ("gemma3_text", _GEMMA3 | _sizes(1152, 6912, 26)),
    "gemma-2-2b": (
        "gemma2",
        {"vocab_size": 256000, "num_key_value_heads": 4, "head_dim": 256} | _sizes(2304, 9216, 26, 8),
    ),
    "mistral-7b": ("mistral", {"vocab_size": 32000, "num_key_value_heads": 8} | _sizes(4096, 14336, 32, 32)),
    "phi-3-mini": ("phi3", {"vocab_size": 32064, "pad_token_id": 32000} | _sizes(3072, 8192, 32, 32)),
    "olmo-2-1b": ("olmo2", {"vocab_size": 100352} | _sizes(2048, 8192, 16, 16)),
    "gpt-oss-20b": ("gpt_oss", _GPT_OSS | {"num_hidden_layers": 24, "num_local_experts": 32}),
    "gpt-oss-120b": ("gpt_oss", _GPT_OSS | {"num_hidden_layers": 36, "num_local_experts": 128}),
}


@pytest.mark.slow  # transformers is imported
def test_todays_sizes_are_transformers_to_the_last_parameter() -> None:
    for name, (model_type, fields) in PUBLISHED.items():
        assert tally(PRESETS[name]).parameters == _counted_by_transformers(model_type, **fields), name


def test_experts_counted_by_hand() -> None:
    # Width 4; three layers, of which the second has a plain MLP of 6; four gated experts of 5, two for each token, and
    # one of 7 that all tokens go through.
    config = GPTConfig(
        vocab_size=5,
        n_positions=3,
        n_embd=4,
        n_layer=3,
        n_head=2,
        n_inner=6,
        gated=True,
        mlp_bias=False,
        experts=Experts(4, active=2, width=5, shared_width=7, layers=(True, False, True)),
    )
    counted = tally(config)
    lines = {line.name: (line.n_matrices, line.count) for line in counted.scoreboard}
    assert lines["Gate-projection"] == (1, 24)
    assert lines["Router"] == (2, 32)
    assert lines["Experts' down"] == (8, 8 * 20)
    assert lines["Shared up"] == (2, 2 * 28)
    assert lines["Shared one's gate"] == (2, 8)
    sums = {term.name: term.count for term in counted.sums}
    assert (sums["one expert"], sums["all experts"], sums["all MLPs"]) == (60, 480, 72)
    assert counted.parameters == sum(prod(shape) for shape in parameter_shapes(config).values())
    assert counted.active == counted.parameters - 2 * 2 * 60

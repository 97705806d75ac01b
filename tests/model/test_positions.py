"""Rotary tables of every kind, ALiBi's slopes and growing queries, against transformers."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.ministral3.modeling_ministral3 import get_llama_4_attn_scale
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

from gptcli.model.config import GPTConfig
from gptcli.model.positions import alibi_slopes, frequencies, query_growth, rotary_table
from gptcli.model.rotary import Rotary

R = 16
_SHORT, _LONG = tuple(1 + i / 10 for i in range(R // 2)), tuple(2.0 + i for i in range(R // 2))

# A table of ours, and what transformers calls it.
KINDS: dict[str, tuple[Rotary, dict[str, Any]]] = {
    "default": (Rotary(base=500.0), {"rope_type": "default"}),
    "linear": (Rotary(base=500.0, kind="linear", factor=4.0), {"rope_type": "linear", "factor": 4.0}),
    "dynamic": (Rotary(base=500.0, kind="dynamic", factor=3.0, original=64), {"rope_type": "dynamic", "factor": 3.0}),
    "llama3": (
        Rotary(base=500.0, kind="llama3", factor=8.0, original=32, low_frequency=1.0, high_frequency=4.0),
        {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 32, "low_freq_factor": 1.0,
         "high_freq_factor": 4.0},
    ),
    "yarn": (
        Rotary(base=500.0, kind="yarn", factor=4.0, original=64, beta_fast=8.0, beta_slow=2.0,
               attention_factor=1.1386294),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8.0,
         "beta_slow": 2.0},
    ),
    "yarn, whole pairs": (
        Rotary(base=500.0, kind="yarn", factor=4.0, original=64, truncate=False, attention_factor=0.7),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "truncate": False,
         "attention_factor": 0.7},
    ),
    "longrope": (
        Rotary(base=500.0, kind="longrope", factor=2.0, original=32, short_factors=_SHORT, long_factors=_LONG,
               attention_factor=1.0954451),
        {"rope_type": "longrope", "short_factor": list(_SHORT), "long_factor": list(_LONG), "factor": 2.0,
         "original_max_position_embeddings": 32},
    ),
}  # fmt: skip


def theirs(fields: dict[str, Any], length: int) -> tuple[np.ndarray[Any, Any], float]:
    kind = fields["rope_type"]
    make, more = (Phi3Config, {"original_max_position_embeddings": 32}) if kind == "longrope" else (LlamaConfig, {})
    config: Any = make(
        **more, hidden_size=32, num_attention_heads=2, max_position_embeddings=64, pad_token_id=0,
        rope_parameters={**fields, "rope_theta": 500.0},
    )  # fmt: skip
    if kind == "default":
        return (1.0 / 500.0 ** (torch.arange(0, R, 2).float() / R)).numpy(), 1.0
    found, factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
    return found.numpy(), factor


@pytest.mark.parametrize("length", [20, 64, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_frequencies_are_those_of_transformers(kind: str, length: int) -> None:
    rotary, fields = KINDS[kind]
    wanted, attention_factor = theirs(fields, length)
    assert np.allclose(frequencies(rotary, R, length), wanted, rtol=3e-7, atol=0)
    assert rotary.attention_factor == pytest.approx(attention_factor, rel=1e-6)


def test_each_kind_is_another_table() -> None:
    found = [frequencies(rotary, R, 100).tobytes() for rotary, _ in KINDS.values()]
    assert len(set(found)) == len(found)


def test_the_attention_factor_is_in_cosines_and_sines() -> None:
    config = GPTConfig(n_embd=32, n_head=2, positions="rotary", rotary_dim=R, rotary=(Rotary(), KINDS["yarn"][0]))
    table = rotary_table(config, 10, place=1)
    assert table.shape == (10, R // 2, 2)
    assert np.allclose((table**2).sum(-1), 1.1386294**2, rtol=1e-5)
    assert np.allclose((rotary_table(config, 10) ** 2).sum(-1), 1, rtol=1e-6)


def test_epochs_change_with_the_frequencies() -> None:
    for rotary, _ in KINDS.values():
        for one, other in ((20, 30), (33, 64), (70, 90)):
            same = np.array_equal(frequencies(rotary, R, one), frequencies(rotary, R, other))
            assert same == (rotary.epoch(one) == rotary.epoch(other)), rotary


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 8, 12, 16])
def test_slopes_are_those_of_bloom_and_mpt(heads: int) -> None:
    mask = torch.ones(1, 7, dtype=torch.long)
    bloom = build_alibi_tensor(mask, heads, torch.float32)  # [H, 1, S]
    assert np.allclose(alibi_slopes(GPTConfig(n_embd=heads, n_head=heads)), (bloom[:, 0, 1] - bloom[:, 0, 0]).numpy())
    for steepest in (8, 4):
        mpt = build_mpt_alibi_tensor(heads, 7, steepest)
        config = GPTConfig(n_embd=heads, n_head=heads, alibi_slopes="mpt", alibi_max=steepest)
        assert np.allclose(alibi_slopes(config), (mpt[:, 0, 1] - mpt[:, 0, 0]).numpy())


def test_scaled_slopes_are_those_times_the_attention_scale() -> None:
    config = GPTConfig(n_embd=48, n_head=3)
    scaled = GPTConfig(n_embd=48, n_head=3, alibi_scaled=True)
    assert np.allclose(alibi_slopes(scaled), alibi_slopes(config) / 4)


def test_queries_grow_as_ministrals() -> None:
    config = GPTConfig(query_growth=0.3, query_growth_every=7)
    wanted = get_llama_4_attn_scale(torch.arange(40)[None], 0.3, 7)
    assert np.allclose(query_growth(config, 40), wanted.flatten().numpy(), rtol=1e-6)
    assert query_growth(config, 7).tolist() == [1.0] * 7


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"factor": 0.0}, "rotary factor"),
        ({"factor": float("nan")}, "rotary factor"),
        ({"base": -1.0}, "rotary base"),
        ({"base": float("inf")}, "rotary base"),
        ({"short_factors": (1.0, float("nan"))}, "rotary short_factors"),
        ({"kind": "yarn"}, "needs original"),
        ({"kind": "llama3", "original": 0}, "needs original"),
        ({"kind": "llama3", "original": 8, "low_frequency": 4.0}, "must differ"),
        ({"kind": "yarn", "original": 8, "base": 1.0}, "base must not be 1"),
    ],
)
def test_impossible_tables_are_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Rotary(**fields)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rotary": (Rotary(kind="longrope", original=8, short_factors=(1.0,)),)}, "short_factors has 1"),
        ({"rotary": ()}, "need a table"),
        ({"rotary_layers": (0,)}, "rotary_layers has 1"),
        ({"rotary_layers": (0, 1)}, "indexes of the 1"),
        ({"rotary_layers": (None, -1)}, "indexes of the 1"),
        ({"rotary_dim": 2, "rotary": (Rotary(kind="dynamic", original=8),)}, "dynamic needs more"),
        ({"windows": (0, None)}, "at least 1 position"),
        ({"qkv_clip": 0.0}, "qkv_clip"),
        ({"attention_cap": -3.0}, "attention_cap"),
        ({"logit_cap": float("nan")}, "logit_cap"),
        ({"logit_scale": float("inf")}, "logit_scale"),
        ({"query_growth": -0.1}, "query_growth"),
        ({"norm": "sandwich", "parallel_residual": True}, "'sandwich'"),
        ({"norm_plus_one": True}, "norm_plus_one"),
        ({"qk_norm_bias": True}, "qk_norm_bias"),
        ({"norm_kind": "rms", "norm_bias": False, "qk_norm": "head", "qk_norm_bias": True}, "qk_norm_bias"),
    ],
)  # fmt: skip
def test_impossible_knobs_are_refused_by_name(fields: dict[str, Any], named: str) -> None:
    shape = {"n_embd": 16, "n_head": 2, "n_layer": 2, "positions": "rotary", "rotary_dim": 8}
    with pytest.raises(ValueError, match=named):
        GPTConfig(**{**shape, **fields})


RMS = {"norm_kind": "rms", "norm_bias": False}

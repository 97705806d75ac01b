"""Configurations of the decoders since Llama for the zoo: each family's knobs, and every kind of rotary positions."""

from typing import Any

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    Ministral3Config,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

LENGTH = 131

_SMALL: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": LENGTH, "bos_token_id": 0, "eos_token_id": 0,
    "pad_token_id": 0,
}  # fmt: skip
_SHORT, _LONG = [1.0, 1.2, 1.5, 2.0], [1.5, 2.5, 4.0, 9.0]


def _rope(kind: str, **fields: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 300.0, **fields}}


_LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 48}

DECODERS: dict[str, Any] = {
    "llama": LlamaConfig(**_SMALL),
    "llama tied, biased": LlamaConfig(
        **{**_SMALL, "num_key_value_heads": 1}, head_dim=10, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=True, rms_norm_eps=1e-3, hidden_act="gelu",
    ),
    "llama linear": LlamaConfig(**_SMALL, **_rope("linear", factor=4.0)),
    "llama dynamic": LlamaConfig(**{**_SMALL, "max_position_embeddings": 50}, **_rope("dynamic", factor=3.0)),
    "llama llama3": LlamaConfig(**_SMALL, **_rope("llama3", **_LLAMA3)),
    "llama yarn": LlamaConfig(**_SMALL, **_rope("yarn", factor=4.0, original_max_position_embeddings=40)),
    "llama yarn, whole pairs": LlamaConfig(
        **_SMALL, **_rope("yarn", factor=4.0, original_max_position_embeddings=40, truncate=False, mscale=0.7,
                          mscale_all_dim=0.4, beta_fast=6.0, beta_slow=2.0),
    ),
    "llama longrope": LlamaConfig(
        **_SMALL, **_rope("longrope", short_factor=_SHORT, long_factor=_LONG, original_max_position_embeddings=45),
    ),
    "qwen2": Qwen2Config(**_SMALL, tie_word_embeddings=True),
    "qwen2 windows": Qwen2Config(
        **{**_SMALL, "num_hidden_layers": 3}, use_sliding_window=True, sliding_window=7, max_window_layers=1,
        rms_norm_eps=1e-3,
    ),
    "qwen3": Qwen3Config(**_SMALL, head_dim=12, tie_word_embeddings=True, **_rope("default")),
    "qwen3 windows": Qwen3Config(
        **_SMALL, head_dim=8, attention_bias=True, use_sliding_window=True, sliding_window=5, max_window_layers=1,
        rms_norm_eps=1e-3,
    ),
    "mistral": MistralConfig(**_SMALL, sliding_window=11),
    "mistral without window": MistralConfig(**_SMALL, head_dim=6, sliding_window=None, tie_word_embeddings=True),
    "ministral3": Ministral3Config(
        **_SMALL, head_dim=12, **_rope("yarn", factor=16.0, original_max_position_embeddings=16, mscale=1.0,
                                       mscale_all_dim=1.0, llama_4_scaling_beta=0.5),
    ),
    "gemma": GemmaConfig(**_SMALL, head_dim=10),
    "gemma untied": GemmaConfig(**_SMALL, head_dim=8, attention_bias=True, tie_word_embeddings=False),
    "gemma2": Gemma2Config(
        **{**_SMALL, "num_hidden_layers": 4}, head_dim=10, query_pre_attn_scalar=7, sliding_window=6,
        attn_logit_softcapping=3.0,
        final_logit_softcapping=9.0, tie_word_embeddings=False,
    ),
    "gemma2 without caps": Gemma2Config(
        **_SMALL, head_dim=8, query_pre_attn_scalar=20, sliding_window=9, attn_logit_softcapping=None,
        final_logit_softcapping=None, layer_types=["full_attention", "sliding_attention"],
    ),
    "gemma3": Gemma3TextConfig(
        **{**_SMALL, "num_hidden_layers": 4}, head_dim=10, query_pre_attn_scalar=12, sliding_window=6,
        sliding_window_pattern=3,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
        },
    ),
    "gemma3 with caps": Gemma3TextConfig(
        **{**_SMALL, "num_hidden_layers": 3}, head_dim=8, sliding_window=5,
        layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        final_logit_softcapping=9.0, attn_logit_softcapping=2.0, tie_word_embeddings=False, attention_bias=True,
    ),
}  # fmt: skip
"""Name of a case -> transformers' configuration."""

EAGER = {"gemma2", "gemma3_text"}
"""Types of which transformers' fused attention leaves out what their own has: the caps on scores."""

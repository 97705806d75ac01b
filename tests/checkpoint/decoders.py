"""Configurations of the decoders since Llama for the zoo: each family's knobs, and every kind of rotary positions."""

from typing import Any

from transformers import (
    BloomConfig,
    Cohere2Config,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPTBigCodeConfig,
    GraniteConfig,
    LlamaConfig,
    Ministral3Config,
    MistralConfig,
    MptConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
    StableLmConfig,
    Starcoder2Config,
)

LENGTH = 131

_SMALL: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": LENGTH, "bos_token_id": 0, "eos_token_id": 0,
    "pad_token_id": 0,
}  # fmt: skip
_BIGCODE: dict[str, Any] = {"vocab_size": 97, "n_positions": LENGTH, "n_embd": 30, "n_layer": 2, "n_head": 5}
_FALCON: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": LENGTH,
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
        # Once a text is longer than this we read it again, as transformers does for Phi 3, but not for Llama.
        **_SMALL, **_rope("longrope", short_factor=_SHORT, long_factor=_LONG, original_max_position_embeddings=110),
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
    "phi": PhiConfig(**_SMALL, hidden_act="gelu"),
    "phi with norms": PhiConfig(**_SMALL, qk_layernorm=True, **_rope("default", partial_rotary_factor=1.0)),
    "phi3": Phi3Config(**_SMALL, sliding_window=30),
    "phi3 longrope": Phi3Config(
        **_SMALL, original_max_position_embeddings=45,
        **_rope("longrope", short_factor=_SHORT[:3], long_factor=_LONG[:3], partial_rotary_factor=0.75),
    ),
    "smollm3": SmolLM3Config(
        **{**_SMALL, "num_hidden_layers": 4}, no_rope_layers=[1, 0, 0, 1], attention_bias=True, mlp_bias=True,
    ),
    "smollm3 windows": SmolLM3Config(
        **{**_SMALL, "num_hidden_layers": 4}, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6,
    ),
    "olmo": OlmoConfig(**_SMALL),
    "olmo clamped": OlmoConfig(**_SMALL, clip_qkv=0.7, tie_word_embeddings=True, attention_bias=True),
    "olmo2": Olmo2Config(**_SMALL),
    "olmo2 biased": Olmo2Config(**{**_SMALL, "num_key_value_heads": 1}, attention_bias=True, rms_norm_eps=1e-2),
    "olmo3": Olmo3Config(
        **{**_SMALL, "num_hidden_layers": 4}, sliding_window=8,
        rope_parameters={
            "full_attention": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 40,
                               "rope_theta": 500.0, "attention_factor": 1.2},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    ),
    "granite": GraniteConfig(
        **_SMALL, embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.6, logits_scaling=0.7,
        attention_bias=True, mlp_bias=True,
    ),
    "stablelm": StableLmConfig(**_SMALL, use_qkv_bias=True),
    "stablelm side by side": StableLmConfig(
        **_SMALL, use_parallel_residual=True, qk_layernorm=True, **_rope("default", partial_rotary_factor=0.5),
    ),
    "starcoder2": Starcoder2Config(**_SMALL, sliding_window=14),
    "starcoder2 without biases": Starcoder2Config(**_SMALL, use_bias=False, tie_word_embeddings=False),
    "gpt_bigcode": GPTBigCodeConfig(**_BIGCODE),
    "gpt_bigcode of many keys": GPTBigCodeConfig(
        **_BIGCODE, multi_query=False, activation_function="relu", tie_word_embeddings=False,
    ),
    "falcon": FalconConfig(**_FALCON),
    "falcon 40b": FalconConfig(**_FALCON, new_decoder_architecture=True, num_kv_heads=2, ffn_hidden_size=50),
    "falcon 11b": FalconConfig(
        **_FALCON, new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1, bias=True,
    ),
    "falcon-rw": FalconConfig(
        **{**_FALCON, "num_attention_heads": 8}, alibi=True, multi_query=False, parallel_attn=False, bias=True,
        tie_word_embeddings=False,
    ),
    "bloom": BloomConfig(vocab_size=97, hidden_size=30, n_layer=2, n_head=3, seq_length=LENGTH),
    "bloom of eight heads": BloomConfig(
        vocab_size=97, hidden_size=48, n_layer=2, n_head=8, layer_norm_epsilon=1e-3, seq_length=LENGTH,
        tie_word_embeddings=False,
    ),
    "mpt": MptConfig(vocab_size=97, d_model=30, n_layers=2, n_heads=5, max_seq_len=LENGTH),
    "mpt clamped": MptConfig(
        vocab_size=97, d_model=32, n_layers=2, n_heads=4, max_seq_len=LENGTH, tie_word_embeddings=False,
        attn_config={"clip_qkv": 1.0, "softmax_scale": 0.2},
    ),
    "cohere": CohereConfig(**_SMALL, logit_scale=0.7),
    "cohere with norms": CohereConfig(
        **_SMALL, use_qk_norm=True, attention_bias=True, logit_scale=1.5, tie_word_embeddings=False,
    ),
    "cohere2": Cohere2Config(
        **{**_SMALL, "num_hidden_layers": 4}, sliding_window=8, sliding_window_pattern=2, logit_scale=0.7,
    ),
}  # fmt: skip
"""Name of a case -> transformers' configuration."""

EAGER = {"gemma2", "gemma3_text"}
"""Types of which transformers' fused attention leaves out what their own has: the caps on scores."""

"""Configurations of published models by name, for parameter counts and traces without a checkpoint."""

from dataclasses import replace
from typing import Any

from gptcli.model.config import GPTConfig
from gptcli.model.experts import Experts
from gptcli.model.rotary import Rotary

_GPT2 = GPTConfig()
# GPT-3 (Brown et al. 2020, table 2.1): the same vocabulary, 2,048 positions. The sizes whose heads do not divide the
# width as printed there (13B: 40 heads of 128 in a width of 5,140) use heads x head size.
_GPT3 = GPTConfig(n_positions=2048)


def _llama_shaped(*, head: int = 64, base: float = 10000.0, rotary: tuple[Rotary, ...] = (), **sizes: Any) -> GPTConfig:
    """RMS norms, gated MLPs, rotary angles, and no biases, which Llama (Touvron et al. 2023) made common."""
    shape: dict[str, Any] = {
        "activation": "silu",
        "layer_norm_epsilon": 1e-5,
        "head_width": head,
        "norm_kind": "rms",
        "norm_rounds_first": True,
        "gated": True,
        "positions": "rotary",
        "rotary_dim": head,
        "rotary": rotary or (Rotary(base),),
        "qkv_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "norm_bias": False,
        "tied": False,
    } | sizes
    return GPTConfig(**shape)


def _llama3(factor: float, **sizes: Any) -> GPTConfig:
    return _llama_shaped(
        vocab_size=128256,
        n_positions=131072,
        n_kv_head=8,
        rotary=(Rotary(500000.0, "llama3", factor, original=8192),),
        **sizes,
    )


def _smollm2(**sizes: Any) -> GPTConfig:
    return _llama_shaped(vocab_size=49152, n_positions=8192, tied=True, **sizes)


def _gemma(n_layer: int, **sizes: Any) -> GPTConfig:
    return _llama_shaped(
        head=256,
        n_layer=n_layer,
        activation="gelu_new",
        layer_norm_epsilon=1e-6,
        norm_plus_one=True,
        norm_rounds_first=False,
        norm="sandwich",
        attention_scale=256**-0.5,
        embedding_scale=sizes["n_embd"] ** 0.5,
        embedding_scale_rounded=True,
        tied=True,
        **sizes,
    )


def _gemma3(n_layer: int, **sizes: Any) -> GPTConfig:
    # Five layers with a window of 512 positions, then one without a window and with longer wavelengths.
    full = [layer % 6 == 5 for layer in range(n_layer)]
    return _gemma(
        n_layer,
        vocab_size=262144,
        n_positions=32768,
        n_head=4,
        n_kv_head=1,
        qk_norm="head",
        windows=tuple(None if each else 512 for each in full),
        rotary=(Rotary(1000000.0), Rotary(10000.0)),
        rotary_layers=tuple(0 if each else 1 for each in full),
        **sizes,
    )


def _gpt_oss(n_layer: int, experts: int) -> GPTConfig:
    return _llama_shaped(
        vocab_size=201088,
        n_positions=131072,
        n_embd=2880,
        n_layer=n_layer,
        n_head=64,
        n_kv_head=8,
        experts=Experts(experts, active=4, width=2880, bias=True),
        norm_rounds_first=False,
        rotary=(Rotary(150000.0, "yarn", 32.0, original=4096, truncate=False, attention_factor=1.3465735902799727),),
        qkv_bias=True,
        attention_bias=True,
        sinks=True,
        windows=tuple(128 if layer % 2 == 0 else None for layer in range(n_layer)),
    )


PRESETS: dict[str, GPTConfig] = {
    "gpt2": _GPT2,
    "gpt2-medium": replace(_GPT2, n_layer=24, n_embd=1024, n_head=16),
    "gpt2-large": replace(_GPT2, n_layer=36, n_embd=1280, n_head=20),
    "gpt2-xl": replace(_GPT2, n_layer=48, n_embd=1600, n_head=25),
    "gpt3-small": replace(_GPT3, n_layer=12, n_embd=768, n_head=12),
    "gpt3-medium": replace(_GPT3, n_layer=24, n_embd=1024, n_head=16),
    "gpt3-large": replace(_GPT3, n_layer=24, n_embd=1536, n_head=16),
    "gpt3-xl": replace(_GPT3, n_layer=24, n_embd=2048, n_head=16),
    "gpt3-2.7b": replace(_GPT3, n_layer=32, n_embd=2560, n_head=32),
    "gpt3-6.7b": replace(_GPT3, n_layer=32, n_embd=4096, n_head=32),
    "gpt3-13b": replace(_GPT3, n_layer=40, n_embd=5120, n_head=40),
    "gpt3": replace(_GPT3, n_layer=96, n_embd=12288, n_head=96),
    "llama-3.2-1b": _llama3(32.0, n_embd=2048, n_inner=8192, n_layer=16, n_head=32, tied=True),
    "llama-3.1-8b": _llama3(8.0, head=128, n_embd=4096, n_inner=14336, n_layer=32, n_head=32),
    "llama-3.1-405b": _llama3(8.0, head=128, n_embd=16384, n_inner=53248, n_layer=126, n_head=128),
    "qwen3-0.6b": _llama_shaped(
        head=128,
        base=1000000.0,
        vocab_size=151936,
        n_positions=40960,
        n_embd=1024,
        n_inner=3072,
        n_layer=28,
        n_head=16,
        n_kv_head=8,
        layer_norm_epsilon=1e-6,
        qk_norm="head",
        tied=True,
    ),
    "qwen2.5-0.5b": _llama_shaped(
        base=1000000.0,
        vocab_size=151936,
        n_positions=32768,
        n_embd=896,
        n_inner=4864,
        n_layer=24,
        n_head=14,
        n_kv_head=2,
        layer_norm_epsilon=1e-6,
        qkv_bias=True,
        tied=True,
    ),
    "smollm2-135m": _smollm2(base=100000.0, n_embd=576, n_inner=1536, n_layer=30, n_head=9, n_kv_head=3),
    "smollm2-360m": _smollm2(base=100000.0, n_embd=960, n_inner=2560, n_layer=32, n_head=15, n_kv_head=5),
    "smollm2-1.7b": _smollm2(base=130000.0, n_embd=2048, n_inner=8192, n_layer=24, n_head=32),
    "gemma-3-270m": _gemma3(18, n_embd=640, n_inner=2048),
    "gemma-3-1b": _gemma3(26, n_embd=1152, n_inner=6912),
    "gemma-2-2b": _gemma(
        26,
        vocab_size=256000,
        n_positions=8192,
        n_embd=2304,
        n_inner=9216,
        n_head=8,
        n_kv_head=4,
        attention_cap=50.0,
        logit_cap=30.0,
        windows=tuple(4096 if layer % 2 == 0 else None for layer in range(26)),
    ),
    "mistral-7b": _llama_shaped(
        head=128,
        vocab_size=32000,
        n_positions=32768,
        n_embd=4096,
        n_inner=14336,
        n_layer=32,
        n_head=32,
        n_kv_head=8,
        windows=(4096,) * 32,
    ),
    "phi-3-mini": _llama_shaped(
        head=96,
        vocab_size=32064,
        n_positions=4096,
        n_embd=3072,
        n_inner=8192,
        n_layer=32,
        n_head=32,
        windows=(2047,) * 32,
    ),
    "olmo-2-1b": _llama_shaped(
        head=128,
        base=500000.0,
        vocab_size=100352,
        n_positions=4096,
        n_embd=2048,
        n_inner=8192,
        n_layer=16,
        n_head=16,
        layer_norm_epsilon=1e-6,
        norm_rounds_first=False,
        norm="after",
        qk_norm="whole",
    ),
    "gpt-oss-20b": _gpt_oss(24, 32),
    "gpt-oss-120b": _gpt_oss(36, 128),
}

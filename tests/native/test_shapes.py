"""Every knob of GPTConfig in C beside PyTorch: prompts, steps, uneven batches, several tokens at once, rewinds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gptcli.model.config import GPTConfig
from gptcli.model.engine import Engine
from gptcli.model.gpt import GPT
from gptcli.model.native import library
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.weights import Kind
from gptcli.model.quantize import fake_quantize, kind_of
from gptcli.model.rotary import Rotary
from gptcli.model.torch_engine import TorchEngine

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
LEVELS = sorted({library.kernels(level): level for level in range(library.BEST + 1)}.values())
CONTEXT = 160
BASE = GPTConfig(vocab_size=97, n_positions=CONTEXT, n_embd=60, n_layer=3, n_head=6, n_inner=77)
RMS: dict[str, Any] = {"norm_kind": "rms", "norm_bias": False}
ROTARY: dict[str, Any] = {"positions": "rotary", "rotary_dim": 10}
LLAMA: dict[str, Any] = {
    **RMS, **ROTARY, "n_kv_head": 2, "gated": True, "activation": "silu",
    "qkv_bias": False, "attention_bias": False, "mlp_bias": False, "tied": False,
}  # fmt: skip
SHORT, LONG = (1.0, 1.1, 1.2, 1.3, 1.4), (2.0, 3.0, 4.0, 5.0, 6.0)
KNOBS: dict[str, dict[str, Any]] = {
    # The families of before Llama.
    "pythia": {**ROTARY, "parallel_residual": True, "activation": "gelu"},
    "gpt-j": {
        "positions": "rotary", "rotary_dim": 6, "rotary_interleaved": True, "parallel_residual": True,
        "shared_norm": True, "qkv_bias": False, "attention_bias": False, "tied": False, "unembedding_bias": True,
    },
    "gpt-neo": {"windows": (None, 9, 3), "scale_attention": False, "qkv_bias": False},
    "gpt-1": {"norm": "post", "final_norm": False},
    "opt-350m": {
        "norm": "post", "token_width": 13, "position_offset": 2, "activation": "relu", "final_norm": False,
    },
    "wide tokens": {"token_width": 141},
    "fixed sines": {"positions": "sinusoidal"},
    "no biases, no norm weights": {
        "qkv_bias": False, "attention_bias": False, "mlp_bias": False, "norm_bias": False, "norm_weight": False,
    },
    "scores by layer": {"scale_by_layer": True},
    "no layers": {"n_layer": 0},
    **{name: {"activation": name} for name in ("quick_gelu", "relu2", "silu", "mish", "tanh", "sigmoid")},
    # Those since.
    "llama": LLAMA,
    "mistral": {**LLAMA, "windows": (4, None, 33)},
    "mpt": {"positions": "alibi", "alibi_slopes": "mpt", "qkv_clip": 0.5, "norm_bias": False},
    "bloom": {"positions": "alibi", "embedding_norm": True},
    "falcon": {
        "positions": "alibi", "alibi_scaled": True, "n_kv_head": 1, "parallel_residual": True, "shared_norm": True,
    },
    "gemma 2": {
        **LLAMA, "norm": "sandwich", "norm_plus_one": True, "head_width": 14, "attention_cap": 0.8, "logit_cap": 0.9,
        "attention_scale": 0.3, "embedding_scale": 7.5, "windows": (7, None, 7), "activation": "gelu_new",
    },
    "gemma 3": {
        **LLAMA, "norm": "sandwich", "norm_plus_one": True, "qk_norm": "head", "rotary_layers": (1, 1, 0),
        "rotary": (Rotary(base=1e6, kind="linear", factor=8.0), Rotary()), "windows": (7, 7, None),
    },
    "olmo 1": {**LLAMA, "norm_kind": "layer", "norm_weight": False, "qkv_clip": 0.7},
    "olmo 2": {**LLAMA, "norm": "after", "qk_norm": "whole", "qkv_clip": 0.7},
    "whole norms, own keys": {**RMS, **ROTARY, "qk_norm": "whole"},
    "cohere": {
        **ROTARY, "n_kv_head": 3, "norm_bias": False, "parallel_residual": True, "shared_norm": True, "gated": True,
        "qk_norm": "each head", "rotary_interleaved": True, "logit_scale": 0.3,
    },
    "stablelm": {**ROTARY, "n_kv_head": 3, "rotary_dim": 4, "qk_norm": "each head", "qk_norm_bias": True},
    "granite": {**LLAMA, "embedding_scale": 3.1, "residual_scale": 0.4, "logit_scale": 0.3, "attention_scale": 0.1},
    "scaled side by side": {"residual_scale": 0.4, "parallel_residual": True},
    "smollm 3": {**LLAMA, "rotary_layers": (0, None, 0)},
    "ministral": {**LLAMA, "query_growth": 0.3, "query_growth_every": 7},
    "odd heads": {**LLAMA, "head_width": 13, "rotary_dim": 10, "n_kv_head": 3},
    "wide heads": {**LLAMA, "head_width": 66, "n_kv_head": 3},
    "gated gelu": {"gated": True, "activation": "gelu"},
    "llama 3": {**LLAMA, "rotary": (Rotary(kind="llama3", factor=8.0, original=32),)},
    "yarn": {**LLAMA, "rotary": (Rotary(kind="yarn", factor=4.0, original=32, attention_factor=1.1),)},
    "dynamic": {**LLAMA, "rotary": (Rotary(kind="dynamic", factor=2.0, original=20),)},
    "longrope": {
        **LLAMA,
        "rotary": (
            Rotary(kind="longrope", original=20, short_factors=SHORT, long_factors=LONG, attention_factor=1.2),
        ),
    },
}  # fmt: skip
Logits = NDArray[np.float32]


def random_model(config: GPTConfig, kind: Kind = "F32") -> GPT:
    """A model whose every part matters; its matrices hold what they become in a kind."""
    torch.manual_seed(0)
    model = GPT(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and "_norm" not in name:
            weight.normal_(0.0, weight.shape[-1] ** -0.5)
        else:
            scales = name.endswith("weight") and "wpe" not in name and not config.norm_plus_one
            weight.normal_(1.0 if scales else 0.0, 0.3)
        if kind in ("int8", "int4") and is_matrix(name):
            weight.copy_(torch.from_numpy(fake_quantize(weight.numpy(), kind_of(name, kind))))
        elif kind != "F32" and is_matrix(name):
            weight.copy_(weight.to(torch.float16 if kind == "F16" else torch.bfloat16).float())
    return model


def is_matrix(name: str) -> bool:
    return name.endswith("weight") and not any(part in name for part in ("ln_", "_norm", "wpe"))


def in_c(model: GPT, level: int, kind: Kind = "F32") -> NativeEngine:
    engine = NativeEngine(model.config, threads=2, level=level)
    for name, weight in model.named_parameters():
        kept: Any = kind_of(name, kind) if kind in ("int8", "int4") else kind
        assert engine.fill(name, weight.contiguous().numpy(), "F32", kept)
    return engine


def readings(engine: Engine, seed: int) -> Iterator[Logits]:
    """Logits of one session after another: the same for all engines."""
    ids = np.random.default_rng(seed).integers(0, 97, 300).tolist()
    for length in (1, 7, 50, 140):
        yield engine.prefill([ids[:length]], CONTEXT)
        for more in (1, 5, 14):
            yield engine.extend(ids[length : length + more])
            engine.rewind(more // 2)
        yield engine.step([ids[-1]])
    for rows in ([ids[:9], ids[3:60], ids[5:6]], [ids[:length] for length in range(1, 12)]):
        yield engine.prefill(rows, CONTEXT)
        yield engine.step(ids[: len(rows)])
        engine.refill(1, ids[40:75])
        yield engine.step(ids[9 : 9 + len(rows)])
        engine.select([1, 0])
        yield engine.step(ids[7:9])


def farthest(model: GPT, engine: NativeEngine) -> float:
    """The largest difference of any logit, of the spread of all."""
    theirs = list(readings(TorchEngine(model), 1))
    spread = max(float(np.ptp(logits)) for logits in theirs)
    both = zip(readings(engine, 1), theirs, strict=True)
    return max(float(np.abs(ours - logits).max()) for ours, logits in both) / spread


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOBS)
def test_every_knob_does_what_it_does_in_pytorch(name: str) -> None:
    model = random_model(replace(BASE, **KNOBS[name]))
    for level in LEVELS:
        assert farthest(model, in_c(model, level)) < 3e-6, library.kernels(level)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["F16", "BF16", "int8", "int4"])
@pytest.mark.parametrize("name", ["pythia", "opt-350m", "gemma 2", "cohere"])
def test_every_kind_of_weights(name: str, kind: Kind) -> None:
    """In whole groups of 32, and in rows of other lengths, which have 8 bits where others have 4."""
    # 8-bit weights meet activations in 16 bits. Where a weight lies in the middle between two levels, either may be
    # taken: a few 4-bit ones do.
    most = {"int8": 5e-4, "int4": 5e-3}.get(kind, 1e-5)
    for width in (60, 96) if kind == "int4" else (96,):
        model = random_model(replace(BASE, **KNOBS[name], n_embd=width, n_inner=width + 32), kind)
        for level in LEVELS:
            assert farthest(model, in_c(model, level, kind)) < most, library.kernels(level)


@pytest.mark.parametrize("name", ["pythia", "mistral", "gemma 2", "olmo 2", "bloom"])
@pytest.mark.parametrize("kind", ["F32", "int8"])
def test_a_text_comes_out_the_same_alone_and_in_a_batch(name: str, kind: Kind) -> None:
    engine = in_c(random_model(replace(BASE, **KNOBS[name])), library.BEST, kind)
    rows = np.random.default_rng(1).integers(0, 64, (11, 20)).tolist()
    together = [engine.prefill(rows, 64), *(engine.step([7] * 11) for _ in range(3))]
    for index, row in enumerate(rows):
        alone = [engine.prefill([row], 64), *(engine.step([7]) for _ in range(3))]
        assert all(np.array_equal(a[0], b[index]) for a, b in zip(alone, together, strict=True))


LONG_TEXT = 1100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pythia", "mistral", "falcon", "gemma 2"])
def test_long_contexts(name: str) -> None:
    """Prompts in several pieces, and threads that divide what a head sees: the same logits as PyTorch's, and the same
    bits as in a batch, which has heads for every thread."""
    config = replace(BASE, n_positions=LONG_TEXT + 40, n_layer=2, **{**KNOBS[name], "windows": (600, None)})
    model = random_model(config)
    engine, theirs = in_c(model, library.BEST), TorchEngine(model)
    ids = np.random.default_rng(3).integers(0, 97, LONG_TEXT).tolist()
    found = [engine.prefill([ids], LONG_TEXT + 40), engine.step([5]), engine.extend([6, 7, 8]), engine.step([9])]
    said = [theirs.prefill([ids], LONG_TEXT + 40), theirs.step([5]), theirs.extend([6, 7, 8]), theirs.step([9])]
    for ours, logits in zip(found, said, strict=True):
        assert np.abs(ours - logits).max() < 3e-6 * np.ptp(logits)
    engine.prefill([ids, *([ids[:30]] * 11)], LONG_TEXT + 40)
    for token, alone in zip([5, 6, 7, 8, 9], [found[1][0], *found[2], found[3][0]], strict=True):
        assert np.array_equal(engine.step([token] * 12)[0], alone)


def test_several_tokens_at_once_are_as_single_steps() -> None:
    for name in ("pythia", "gemma 2", "olmo 2"):
        engine = in_c(random_model(replace(BASE, **KNOBS[name])), library.BEST)
        engine.prefill([[1, 2, 3]], 40)
        single = [engine.step([token])[0] for token in (4, 5, 6, 7)]
        engine.rewind(4)
        assert np.array_equal(engine.extend([4, 5, 6, 7]), np.array(single))


def test_the_cache_holds_the_shared_heads_only() -> None:
    engine = in_c(random_model(replace(BASE, **LLAMA)), library.BEST)
    engine.prefill([[1, 2, 3]] * 2, 10)
    assert engine._cache.nbytes - 256 == 4 * 2 * 10 * BASE.n_layer * 2 * 2 * 10  # [2 rows, 10, layers, k v, K, D]


def test_what_overflows_is_not_hidden() -> None:
    for name in ("gemma 2", "mpt", "relu2", "tanh"):
        model = random_model(replace(BASE, **KNOBS[name]))
        model.wte.weight[5] = 3e38
        engine = in_c(model, library.BEST)
        for rows in ([[5]], [[1] * 30 + [5]]):
            assert not np.isfinite(engine.prefill(rows, 64)).all(), name


def test_sessions_of_one_model_have_tables_of_their_own() -> None:
    """Long and short texts in turns, where the angles depend on the length."""
    model = random_model(replace(BASE, **KNOBS["dynamic"]))
    first = in_c(model, library.BEST)
    second = first.new_session()
    ids = np.random.default_rng(2).integers(0, 97, 100).tolist()
    for engine, length in ((first, 10), (second, 90), (first, 15), (second, 40)):
        expected = TorchEngine(model).prefill([ids[:length]], CONTEXT)
        assert np.abs(engine.prefill([ids[:length]], CONTEXT) - expected).max() < 1e-5

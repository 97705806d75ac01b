"""The GPT against transformers on the same weights, and against what a causal model must do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.model.cache import KeyValueCache
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.shapes import parameter_shapes
from gptcli.model.torch_engine import TorchEngine
from gptcli.sampling.settings import Sampling
from tests.counting.test_tally import configs
from tests.gpt2_reference import CPU, SMALL, load_folder, random_gpt2, random_ids, worst

TOLERANCE = 1e-4

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "small": {},
    "one layer, one head": {"n_layer": 1, "n_head": 1},
    "no layers": {"n_layer": 0},
    "a head for every number": {"n_embd": 16, "n_head": 16},
    "wide": {"n_embd": 192, "n_layer": 2, "n_head": 3, "vocab_size": 1001},
    "deep": {"n_layer": 10},
    "one position": {"n_positions": 1},
    "long": {"n_positions": 700, "n_layer": 1},
    "n_inner narrow": {"n_inner": 8},
    "n_inner as wide": {"n_inner": 32},
    "n_inner wide": {"n_inner": 200},
    "epsilon large": {"layer_norm_epsilon": 0.3},
    "epsilon small": {"layer_norm_epsilon": 1e-12},
    "unscaled": {"scale_attn_weights": False},
    "scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
    "scaled by layer only": {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False},
    "upcast": {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True},
    "untied": {"tie_word_embeddings": False},
    **{
        activation: {"activation_function": activation}
        for activation in ("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu", "gelu_python", "quick_gelu")
    },
    **{
        activation: {"activation_function": activation}
        for activation in ("relu", "relu2", "silu", "swish", "mish", "tanh", "sigmoid")
    },
}


@pytest.mark.parametrize("fields", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_logits_equal_those_of_transformers(fields: dict[str, Any], tmp_path: Path) -> None:
    reference = random_gpt2(**fields)
    reference.save_pretrained(tmp_path)
    config = reference.config
    ids = random_ids(2, config.n_positions, config.vocab_size)

    with torch.inference_mode():
        expected = reference(ids).logits
        ours = load_folder(tmp_path)(ids)

    assert expected.std() > 0.1  # else any two models would agree
    assert worst(ours, expected) < TOLERANCE


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ("activation", {"activation_function": "relu"}),
        ("epsilon", {"layer_norm_epsilon": 0.3}),
        ("scale", {"scale_attn_weights": False}),
        ("layer scale", {"scale_attn_by_inverse_layer_idx": True}),
        ("untied", {"tie_word_embeddings": False}),
    ],
)
def test_every_field_matters(changed: str, fields: dict[str, Any], tmp_path: Path) -> None:
    """The comparison above could not fail if a field made no difference."""
    ids = random_ids(2, 20)
    with torch.inference_mode():
        assert worst(random_gpt2()(ids).logits, random_gpt2(**fields)(ids).logits) > 100 * TOLERANCE


@pytest.mark.slow
def test_bundled_model_equals_transformers_at_every_position(tales: OpenCheckpoint, tales_reference: Any) -> None:
    text = "Once upon a time there was a fox who said: 'naïve café, 12 + 7 = 19'. " * 40
    ids = torch.tensor([tales.tokenizer.encode(text)[: tales.model.config.n_positions]])
    assert ids.shape[1] == 512
    with torch.inference_mode():
        assert worst(tales.model(ids), tales_reference(ids).logits) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["Once upon a time there was a", "The king said", "3 + 4 ="])
def test_greedy_continuations_equal_those_of_transformers(
    tales: OpenCheckpoint, tales_reference: Any, prompt: str
) -> None:
    ids = tales.tokenizer.encode(prompt)
    (sample,) = new_samples([ids])
    list(generate(tales.engine, [sample], Sampling(temperature=0), Limits(200), seed=0))
    assert len(sample.ids) == 200
    # If each token is the likeliest after those before it, transformers writes the same text; one reading tells.
    with torch.inference_mode():
        likeliest = tales_reference(torch.tensor([sample.all_ids])).logits[0, len(ids) - 1 : -1].argmax(-1)
    assert sample.ids == likeliest.tolist()


def test_cached_equals_uncached(gpt2_folder: Path) -> None:
    model = load_folder(gpt2_folder)
    ids = random_ids(2, 24)
    for sizes in ([1] * 24, [24], [5, 1, 1, 7, 10], [23, 1]):
        cache = KeyValueCache(model.config, 2, 24, CPU, torch.float32)
        parts, start = [], 0
        with torch.inference_mode():
            for size in sizes:
                parts.append(model(ids[:, start : start + size], cache))
                cache.advance([size, size])
                start += size
            assert worst(torch.cat(parts, dim=1), model(ids)) < 1e-5, sizes


def test_a_later_token_never_changes_an_earlier_logit(gpt2_folder: Path) -> None:
    model = load_folder(gpt2_folder)
    ids = random_ids(1, 24)
    with torch.inference_mode():
        before = model(ids)
        for place in range(24):
            changed = ids.clone()
            changed[:, place:] = (changed[:, place:] + 1 + random_ids(1, 24 - place, 90, seed=place)) % 97
            after = model(changed)
            assert torch.equal(after[:, :place], before[:, :place]) or worst(after[:, :place], before[:, :place]) < 1e-6
            assert worst(after[:, place], before[:, place]) > 1e-3  # and the own one does


@pytest.mark.parametrize("piece", [512, 4, 1])
def test_ragged_batches_equal_single_rows(gpt2_folder: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(TorchEngine, "_PIECE", piece)
    model = load_folder(gpt2_folder)
    lengths = [1, 4, 5, 17, 8, 2]
    rows = [random_ids(1, 24, seed=length)[0].tolist() for length in lengths]
    engine = TorchEngine(model)

    def alone(row: list[int]) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(model(torch.tensor([row]))[0, -1].numpy())

    got = engine.prefill([row[:length] for row, length in zip(rows, lengths, strict=True)], 24)
    expected = np.stack([alone(row[:length]) for row, length in zip(rows, lengths, strict=True)])
    assert np.abs(got - expected).max() < 1e-5
    for more in range(4):
        got = engine.step([row[length + more] for row, length in zip(rows, lengths, strict=True)])
        expected = np.stack([alone(row[: length + more + 1]) for row, length in zip(rows, lengths, strict=True)])
        assert np.abs(got - expected).max() < 1e-5
    # Fewer rows, another order, one of them twice; then one read again.
    chosen = [5, 2, 2]
    engine.select(chosen)
    engine.refill(1, [3, 1, 4])
    got = engine.step([9, 9, 9])
    expected = np.stack([alone([*rows[5][:6], 9]), alone([3, 1, 4, 9]), alone([*rows[2][:9], 9])])
    assert np.abs(got - expected).max() < 1e-5
    engine.refill(0, [])
    got = engine.step([7, 7, 7])
    expected = np.stack([alone([7]), alone([3, 1, 4, 9, 7]), alone([*rows[2][:9], 9, 7])])
    assert np.abs(got - expected).max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(gpt2_folder: Path, dtype: torch.dtype) -> None:
    ids = random_ids(2, 24)
    with torch.inference_mode():
        exact, half = load_folder(gpt2_folder)(ids), load_folder(gpt2_folder, dtype)(ids)
    assert half.dtype == dtype
    # 8 and 11 bits of mantissa over three layers; a wrong layer would be off by a standard deviation.
    assert 0 < worst(half, exact) < (0.2 if dtype == torch.bfloat16 else 0.03) * float(exact.std())


@pytest.mark.slow
@given(configs(runs=True))
@settings(max_examples=150)
def test_shapes_without_torch_are_those_of_the_model(config: GPTConfig) -> None:
    with torch.device("meta"):
        model = GPT(config)
    state = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tied:
        assert state.pop("lm_head.weight") == state["wte.weight"]
    assert list(parameter_shapes(config).items()) == list(state.items())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"n_embd": 10, "n_head": 4}, "n_embd 10"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"n_positions": 0}, "n_positions"),
        ({"n_layer": -1}, "n_layer"),
        ({"n_inner": 0}, "n_inner"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon"),
        ({"windows": (4,)}, "windows"),
        ({"positions": "rotary", "rotary_dim": 3}, "rotary_dim"),
        ({"shared_norm": True}, "shared_norm"),
    ],
)
def test_impossible_configurations_are_refused_by_name(fields: dict[str, Any], named: str) -> None:
    good = GPTConfig(**SMALL)
    with pytest.raises(ValueError, match=named):
        replace(good, **fields)

"""Keys and values cached in half precision: next to PyTorch with a cache that rounds them, and to themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.cli.app import app
from gptcli.model.cache import KeyValueCache
from gptcli.model.config import GPTConfig
from gptcli.model.native import library
from gptcli.model.native.engine import NativeEngine
from tests.native.test_engine import LEVELS_HERE, SHAPES, both, in_c, random_model

pytestmark = pytest.mark.skipif(library.library() is None, reason="the engine in C was not built")
GROUPED = GPTConfig(
    vocab_size=90, n_positions=64, n_embd=48, n_layer=2, n_head=6, n_kv_head=2, head_width=10, norm_kind="rms",
    norm_bias=False, positions="rotary", windows=(None, 7), rotary_dim=10, qk_norm="head",
)  # fmt: skip
CONFIGS = {**SHAPES, "grouped": GROUPED}


def in_half(config: GPTConfig, level: int = library.BEST) -> NativeEngine:
    model = random_model(config)
    engine = NativeEngine(config, threads=2, level=level, cache="float16")
    for name, weight in model.named_parameters():
        assert engine.fill(name, weight.contiguous().numpy(), "F32", "F32")
    return engine


@pytest.fixture
def rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's cache holds what half precision can."""
    write = KeyValueCache.write

    def rounded(self: KeyValueCache, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return write(self, layer, k.half().float(), v.half().float())

    monkeypatch.setattr(KeyValueCache, "write", rounded)


@pytest.mark.usefixtures("rounding")
@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("shape", CONFIGS)
def test_it_rounds_keys_and_values_and_nothing_else(shape: str, level: int) -> None:
    """A number in the middle between two halves may be rounded to either: that is 5e-4 of it."""
    model, engine = random_model(CONFIGS[shape]), in_half(CONFIGS[shape], level)
    ids = np.random.default_rng(1).integers(0, 64, 60).tolist()
    for rows in ([ids[:1]], [ids[:50]], [ids[:9], ids[3:30], ids[5:6]]):
        more = np.random.default_rng(2).integers(0, 64, (5, len(rows))).tolist()
        assert both(model, engine, rows, more) < 1e-3


def test_a_record_is_what_it_computes() -> None:
    """Its logits are those of the text; its keys and values are halves."""
    engine, ids = in_half(GROUPED), np.random.default_rng(3).integers(0, 64, 40).tolist()
    record = engine.record(ids)
    np.testing.assert_allclose(record.logits, engine.read_texts([ids], 48), atol=1e-3)
    for cached in (record.keys, record.values):
        assert (cached == cached.astype(np.float16)).all()
    again = engine.record([*ids[:30], 1, 2], after=record)
    np.testing.assert_allclose(again.logits[:30], record.logits[:30], atol=1e-3)
    exact = in_c(random_model(GROUPED)).record(ids)
    for layer in range(GROUPED.n_layer):
        np.testing.assert_allclose(record.pattern(layer), exact.pattern(layer), atol=2e-3)


@pytest.mark.parametrize("shape", CONFIGS)
def test_a_step_continues_what_a_prompt_has_cached(shape: str) -> None:
    engine, ids = in_half(CONFIGS[shape]), np.random.default_rng(3).integers(0, 64, 40).tolist()
    whole = engine.read_texts([ids], 48)
    engine.prefill([ids[:30]], 48)
    steps = [engine.step([token])[0] for token in ids[30:]]
    np.testing.assert_allclose(steps, whole[30:], atol=1e-3)
    engine.rewind(10)
    np.testing.assert_allclose(engine.extend(ids[30:]), whole[30:], atol=1e-3)
    engine.select([0, 0])
    assert np.ptp(engine.step([5, 5]), axis=0).max() == 0


def test_it_takes_half_the_memory_and_says_so() -> None:
    config = SHAPES["as gpt2"]
    half, whole = in_half(config), NativeEngine(config, threads=2)
    assert (half.facts().cache_itemsize, whole.facts().cache_itemsize) == (2, 4)
    logits = 4 * 4 * config.vocab_size
    assert 2 * (half.row_bytes(100) - logits) == whole.row_bytes(100) - logits
    assert half.new_session().facts().cache_itemsize == 2


def test_numbers_beyond_half_precision_stay_finite() -> None:
    """65,504 is the largest half: a model whose values are larger is less exact, and not broken."""
    model = random_model(SHAPES["as gpt2"])
    engine = NativeEngine(model.config, threads=2, cache="float16")
    for name, weight in model.named_parameters():
        numbers: Any = weight.numpy() * (1e6 if name.endswith("c_attn.bias") else 1)
        assert engine.fill(name, np.ascontiguousarray(numbers), "F32", "F32")
    assert np.isfinite(engine.prefill([[1, 2, 3]], 8)).all()
    assert np.isfinite(engine.step([4])).all()


@pytest.mark.parametrize(
    ("placement", "itemsize"),
    [
        (Placement("cpu"), 4),
        (Placement("cpu", quantize="int8"), 2),
        (Placement("cpu", quantize="int4", cache="float32"), 4),
        (Placement("cpu", cache="float16"), 2),
    ],
)
def test_the_placement_decides(placement: Placement, itemsize: int) -> None:
    assert open_checkpoint("tales", placement, inside=False).engine.facts().cache_itemsize == itemsize


@pytest.mark.slow
def test_tales_is_hardly_changed_by_it() -> None:
    """Over 200 tokens the mean divergence is a hundred-thousandth of a bit, and every best token stays."""
    ids = open_checkpoint("tales", Placement("cpu"), inside=False).encode_prompt("The king and the queen " * 40)[:200]
    exact, half = (
        open_checkpoint("tales", Placement("cpu", cache=cache), inside=False).engine.read_texts([ids], 200)
        for cache in ("float32", "float16")
    )
    p, q = (torch.from_numpy(logits).double().log_softmax(-1) for logits in (exact, half))
    assert 0 < float((p.exp() * (p - q)).sum(-1).mean()) < 1e-5
    assert (exact.argmax(-1) == half.argmax(-1)).all()


@pytest.mark.parametrize("arguments", [["--without", "4.1", "--freeze-attention"], ["--native-off"]])
def test_what_runs_in_pytorch_has_no_choice(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if arguments == ["--native-off"]:
        monkeypatch.setenv("GPTCLI_NATIVE", "0")
        arguments = []
    done = CliRunner().invoke(app, ["logits", "The king", "--cache", "float16", "--device", "cpu", *arguments])
    assert done.exit_code == 2
    assert "leave --cache out" in done.stderr


def test_the_folder_of_quantized_matrices_is_another_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GPTCLI_CACHE names that folder, so the option's variable has another name."""
    monkeypatch.setenv("GPTCLI_CACHE", str(tmp_path))
    assert CliRunner().invoke(app, ["logits", "The king", "--device", "cpu"]).exit_code == 0
    monkeypatch.setenv("GPTCLI_CACHE_TYPE", "float8")
    done = CliRunner().invoke(app, ["logits", "The king", "--device", "cpu"])
    assert done.exit_code == 2
    assert "float8" in done.stderr

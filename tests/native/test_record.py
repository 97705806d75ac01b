"""What the engine in C records, against the PyTorch model's hooks, for every family."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.inspection.record import record
from gptcli.inspection.stages import stage_logprobs, streams
from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.model.native import library
from gptcli.model.native.engine import NativeEngine
from gptcli.model.native.record import NativeRecord
from gptcli.model.quantize import fake_quantize
from tests.checkpoint.zoo import FAMILIES, both, each, saved, understand
from tests.native.test_engine import LEVELS_HERE, in_c, random_model

pytestmark = pytest.mark.skipif(not library.available(), reason="no engine in C here")
IDS = np.random.default_rng(4).integers(0, 80, 40).tolist()
LLAMA: dict[str, Any] = {
    "vocab_size": 97, "n_positions": 700, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_kv_head": 2, "head_width": 6,
    "n_inner": 44, "gated": True, "activation": "silu", "norm_kind": "rms", "norm_bias": False, "positions": "rotary",
    "rotary_dim": 6,
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "windows and caps": {**LLAMA, "windows": (3, None, 17), "attention_cap": 5.0, "logit_cap": 7.0},
    "sandwich": {**LLAMA, "norm": "sandwich", "residual_scale": 0.4},
    "post": {**LLAMA, "norm": "post"},
    "alibi": {**LLAMA, "positions": "alibi", "rotary_dim": 0},
    "one norm for both": {**LLAMA, "parallel_residual": True, "shared_norm": True},
}


def near(ours: NDArray[np.float32], theirs: Tensor, most: float = 1e-4) -> None:
    """The same, as far as float32 tells: ``most``, or that part of the largest number of its row."""
    wanted = theirs.float().numpy()
    assert ours.shape == wanted.shape
    finite = np.isfinite(wanted)
    assert np.array_equal(ours[~finite], wanted[~finite])
    ours, wanted = np.where(finite, ours, 0), np.where(finite, wanted, 0)
    largest = np.abs(wanted).max(axis=-1, keepdims=True)
    assert (np.abs(ours - wanted) / np.maximum(largest, 1)).max() < most


@torch.inference_mode()
def compare(ours: NativeRecord, model: GPT, most: float = 1e-4) -> None:
    """The whole record against the hooks of the PyTorch model."""
    theirs = record(model, ours.ids)
    near(ours.stream, theirs.stream, most)
    for index, layer in enumerate(theirs.layers):
        near(ours.queries[index], layer.q.transpose(0, 1), most)
        near(ours.heads[index], layer.heads.transpose(0, 1), most)
        group = model.config.n_head // model.config.kv_heads
        near(ours.keys[index], layer.k[::group], most)
        near(ours.values[index], layer.v[::group], most)
        near(ours.pattern(index), layer.pattern, most)
        near(ours.pattern(index, scores=True), layer.scores, most)
    near(ours.logits, model(torch.tensor([list(ours.ids)]))[0], most)
    for (_, _, stream), wanted in zip(streams(theirs, model), ours.stream, strict=True):
        said = torch.from_numpy(ours.engine.unembed(wanted)).double().log_softmax(-1)
        near(said.float().numpy(), stage_logprobs(model, stream, model.config.vocab_size), most)


@pytest.mark.parametrize("name", each(FAMILIES))
def test_every_family(name: str) -> None:
    model = both(name)[1]
    engine = load_native(*understand(saved(name)[1]), Placement("cpu", "float32"))
    first = engine.record(IDS[:7])
    compare(first, model)
    compare(engine.record(IDS, after=first), model)


@pytest.mark.parametrize("level", LEVELS_HERE)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape: str, level: int) -> None:
    model = random_model(GPTConfig(**SHAPES[shape]))
    engine = in_c(model, level=level)
    for length in (1, 5, 30):
        compare(engine.record(IDS[:length]), model)


def test_weights_in_8_bits() -> None:
    model, rounded = (random_model(GPTConfig(**LLAMA)) for _ in range(2))
    for name, weight in rounded.named_parameters():
        if weight.dim() == 2 and name != "wpe.weight":
            weight.copy_(torch.from_numpy(fake_quantize(weight.numpy(), "int8")))
    compare(in_c(model, "int8").record(IDS), rounded, 5e-4)


def test_a_text_of_several_pieces() -> None:
    """Longer than what is read at once."""
    model = random_model(GPTConfig(**SHAPES["windows and caps"]))
    compare(in_c(model).record((IDS * 18)[:700]), model)


def parts(recorded: NativeRecord) -> list[NDArray[np.float32]]:
    return [recorded.stream, recorded.queries, recorded.heads, recorded.keys, recorded.values, recorded.pattern(1)]


def test_only_what_is_new_is_read() -> None:
    model = random_model(GPTConfig(**LLAMA))
    engine = in_c(model)
    first = engine.record(IDS)
    before = [part.copy() for part in parts(first)]
    other = engine.record([*IDS[:30], 5, 6, 7], after=first)
    assert other.kept == 30 + (IDS[30] == 5)
    compare(other, model)
    for part, kept in zip(parts(other)[:3], before, strict=False):
        assert np.array_equal(part[:, :30], kept[:, :30])
    shorter = engine.record(IDS[:9], after=other)
    assert shorter.kept == 9
    compare(shorter, model)
    assert all(np.array_equal(part, kept) for part, kept in zip(parts(first), before, strict=True))


def test_the_batch_stays_as_it_is_and_nothing_costs_a_bit() -> None:
    engine: NativeEngine = in_c(random_model(GPTConfig(**LLAMA)))
    engine.prefill([IDS[:20], IDS[3:9]], 60)
    expected = engine.step([1, 2])
    engine.prefill([IDS[:20], IDS[3:9]], 60)
    recorded = engine.record(IDS)
    assert np.array_equal(engine.step([1, 2]), expected)
    assert np.array_equal(engine.read_texts([IDS], 60), recorded.logits)


def test_what_cannot_be_recorded() -> None:
    engine = in_c(random_model(GPTConfig(**LLAMA)))
    for ids in ([], [97], [-1], [1] * 701):
        with pytest.raises(IndexError):
            engine.record(ids)

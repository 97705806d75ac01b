"""Guessing ahead changes nothing but the number of readings: with a toy engine, the C engine and PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.model.lookup import LookupEngine, guess
from gptcli.model.native.engine import NativeEngine
from gptcli.model.torch_engine import TorchEngine
from gptcli.sampling.settings import Sampling
from gptcli.tokenizer import gpt2_tokenizer
from tests.checkpoint.zoo import FAMILIES, open_folder, reference, understand
from tests.gpt2_reference import load_folder

PROMPT = "One day, Lily saw a big red ball. Lily saw a big red ball. Lily saw a"


# Makes what was read likely, so that any model says some of it again.
AGAIN = dict.fromkeys(gpt2_tokenizer().encode(" big red ball."), 6.0)


def written(engine: Any, ids: list[int], sampling: Sampling, seed: int, n: int = 30) -> list[int]:
    samples = new_samples([ids])
    for _ in generate(engine, samples, sampling, Limits(n), seed=seed):
        pass
    return samples[0].ids


def test_what_followed_is_guessed() -> None:
    assert guess([1, 2, 3, 4, 1, 2], 3) == [3, 4, 1]
    assert guess([1, 2, 9, 1, 2, 7, 1, 2], 1) == [7]  # the latest
    assert guess([5, 1, 2, 8, 1, 2, 7, 5, 1, 2], 1) == [8]  # the longest run decides
    assert guess([1, 2, 3], 4) == []
    assert guess([1, 2, 1, 2], 0) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampling", [Sampling(temperature=0, logit_bias=AGAIN), Sampling(temperature=0.8, top_k=40, logit_bias=AGAIN)]
)
def test_the_text_is_the_same_with_and_without(tales: Any, sampling: Sampling) -> None:
    ids = tales.tokenizer.encode(PROMPT)
    for engine in (open_checkpoint("tales", Placement(device="cpu"), inside=False).engine, TorchEngine(tales.model)):
        plain = [written(engine, ids, sampling, seed) for seed in range(2)]
        for guesses in (2, 7, 64):
            accepted = 0
            for seed in range(2):
                guessing = LookupEngine(engine, guesses)
                assert written(guessing, ids, sampling, seed) == plain[seed]
                assert guessing.steps == 29
                accepted += guessing.guessed
            assert accepted > 0


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_no_number_of_guesses_changes_the_last_digits(tales: Any, quantize: Any) -> None:
    """What is read at once is as single steps, bit by bit: a longer read would be read as a prompt is."""
    ids = tales.tokenizer.encode(" la" * 30)
    engine = open_checkpoint("tales", Placement(device="cpu", quantize=quantize), inside=False).engine
    if not isinstance(engine, NativeEngine):
        pytest.skip("no engine in C here")
    guessing = LookupEngine(engine.new_session(), 64)
    engine.prefill([ids], 100), guessing.prefill([ids], 100)
    for token in ids[:40]:
        assert np.array_equal(guessing.step([token]), engine.step([token]))
    assert guessing.guessed > 10


@pytest.mark.slow
def test_the_context_may_slide_and_end(gpt2_folder: Any) -> None:
    engine = TorchEngine(load_folder(gpt2_folder))
    ids = [3, 4, 5, 3, 4, 5, 3, 4]
    plain = written(engine, ids, Sampling(temperature=0), 0, n=70)
    assert written(LookupEngine(engine, 5), ids, Sampling(temperature=0), 0, n=70) == plain


@pytest.mark.slow
def test_logits_of_guessed_tokens_are_those_of_steps(tales: Any) -> None:
    ids = tales.tokenizer.encode(PROMPT)
    plain, guessing = TorchEngine(tales.model), LookupEngine(TorchEngine(tales.model), 4)
    plain.prefill([ids], 100), guessing.prefill([ids], 100)
    for token in tales.tokenizer.encode(" big red ball. Lily was so happy"):
        np.testing.assert_allclose(guessing.step([token]), plain.step([token]), atol=2e-4, rtol=0)
    assert guessing.guessed >= 2


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("case", ["llama dynamic", "phi3 longrope"])
def test_guesses_end_where_angles_depend_on_the_length(case: str, native: bool, tmp_path: Path) -> None:
    """Tokens that are read together have the angles of the whole text: single steps would have had others."""
    reference(FAMILIES[case]).save_pretrained(tmp_path)
    blueprint, model = open_folder(tmp_path)
    engine: Any = load_native(*understand(tmp_path), Placement("cpu")) if native else TorchEngine(model)
    ids = [5, 9, 3, 5, 9, 3, 5, 9, 3]
    plain, guessing = engine.new_session(), LookupEngine(engine, 7, blueprint.config.epochs)
    followed = [5, 9, 3] * 20
    logits = [plain.prefill([ids], 80), *(plain.step([token]) for token in followed)]
    guessed = [guessing.prefill([ids], 80), *(guessing.step([token]) for token in followed)]
    assert np.abs(np.concatenate(logits) - np.concatenate(guessed)).max() < 1e-5
    assert guessing.guessed > 10

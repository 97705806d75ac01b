"""The logit lens against transformers' hidden states, put through their own final norm and unembedding."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptcli.checkpoint.weights.native_loader import load_native
from gptcli.checkpoint.weights.placement import Placement
from gptcli.inspection.lens import decided_at, lens
from gptcli.inspection.record import record
from gptcli.inspection.stages import stage_logprobs, streams
from gptcli.model.native import available
from tests.checkpoint.zoo import FAMILIES, both, few, saved, understand
from tests.tales import LAYERS

IDS = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5]
PROMPT = "Once upon a time there was a little"


def final_norm_of(theirs: Any) -> Any:
    """transformers' final norm, and the projection behind it where there is one."""
    body = theirs.base_model
    if theirs.config.model_type == "opt":
        decoder = body.decoder
        norm = decoder.final_layer_norm or torch.nn.Identity()
        return torch.nn.Sequential(norm, decoder.project_out or torch.nn.Identity())
    if theirs.config.model_type == "openai-gpt":
        return torch.nn.Identity()
    names = ("final_layer_norm", "final_layernorm", "ln_f", "norm_f", "norm")
    return next(getattr(body, name) for name in names if hasattr(body, name))


def logits_of(theirs: Any, x: torch.Tensor) -> torch.Tensor:
    """transformers' final norm and unembedding, and what the family does to its logits."""
    logits: torch.Tensor = theirs.get_output_embeddings()(final_norm_of(theirs)(x))
    config = theirs.config
    logits = logits / getattr(config, "logits_scaling", 1.0) * (getattr(config, "logit_scale", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


@pytest.mark.parametrize("name", few(FAMILIES))
def test_layer_k_is_their_hidden_state_k_unembedded(name: str) -> None:
    theirs, model = both(name)
    with torch.inference_mode():
        said = theirs(torch.tensor([IDS]), output_hidden_states=True)
        wanted = [logits_of(theirs, x[0]) for x in said.hidden_states[:-1]]
    wanted.append(said.logits[0])  # their last hidden state is through the final norm already
    stages = list(streams(record(model, IDS), model))
    assert [layer for layer, *_ in stages] == list(range(model.config.n_layer + 1))
    for (_, _, stream), logits in zip(stages, wanted, strict=True):
        ours = stage_logprobs(model, stream, model.config.vocab_size)
        torch.testing.assert_close(ours, logits.double().log_softmax(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["gpt2", "gptj", "gpt_neox", "openai-gpt", "opt as 350m"])
def test_between_attention_and_mlp(name: str) -> None:
    """What the second norm reads (its result where norms stand behind the sums), seen from outside by a hook."""
    _, model = both(name)
    run = record(model, IDS)
    middle = [stream for _, sublayer, stream in streams(run, model, sublayers=True) if sublayer == "attention"]
    assert len(middle) == model.config.n_layer
    for stream, layer in zip(middle, run.layers, strict=True):
        if model.config.norm == "post":
            torch.testing.assert_close(stream, layer.mlp_in)
        else:
            torch.testing.assert_close(stream + layer.mlp, layer.after, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_last_row_is_what_the_model_says(tales: Any, tales_reference: Any) -> None:
    seen, run = lens(tales, PROMPT)
    with torch.inference_mode():
        logprobs = tales_reference(torch.tensor([[each.id for each in seen.tokens]])).logits[0].double().log_softmax(-1)
    last = seen.stages[-1]
    assert [guess.id for guess in last.guesses] == logprobs.argmax(-1).tolist()
    for guess, row in zip(last.guesses, logprobs, strict=True):
        assert guess.probability == pytest.approx(float(row.max().exp()), abs=1e-5)
        assert guess.token == tales.tokenizer.token_bytes(guess.id)
    assert run is not None
    assert len(run.layers) == seen.stages[-1].layer == LAYERS


@pytest.mark.slow
def test_a_token_is_followed(tales: Any) -> None:
    seen, run = lens(tales, PROMPT, words=["girl", "refrigerator"], sublayers=True)
    girl, fridge = seen.tracks
    assert run is not None
    stages = 1 + 2 * LAYERS  # the embedding, then each layer's attention and MLP
    assert (girl.token, len(girl.ranks), len(seen.stages)) == (b" girl", stages, stages)
    assert fridge.ranks[-1] > girl.ranks[-1] == 1
    for stage, (_, _, stream), rank, probability in zip(
        seen.stages, streams(run, tales.model, sublayers=True), girl.ranks, girl.probabilities, strict=True
    ):
        row = stage_logprobs(tales.model, stream[-1:], seen.n_vocab)[0]
        assert rank == int((row > row[girl.id]).sum()) + 1
        assert probability == pytest.approx(float(row[girl.id].exp()), rel=1e-4)
        assert (rank == 1) == (stage.guesses[-1].id == girl.id)


@pytest.mark.slow
def test_without_a_token_the_answer_is_followed(tales: Any) -> None:
    seen, _ = lens(tales, PROMPT)
    (track,) = seen.tracks
    assert track.id == seen.stages[-1].guesses[-1].id
    assert track.ranks[-1] == 1
    assert [rank == 1 for rank in track.ranks][seen.decided[-1] :] == [True] * (1 + LAYERS - seen.decided[-1])


@pytest.mark.slow
@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_decided_is_the_start_of_the_last_run(best: list[int]) -> None:
    place = decided_at(best)
    assert set(best[place:]) == {best[-1]}
    assert place == 0 or best[place - 1] != best[-1]


@pytest.mark.skipif(not available(), reason="no engine in C here")
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "openai-gpt", "gemma2", "granite", "opt as 350m"])
def test_the_engine_in_c_says_what_pytorch_says(name: str) -> None:
    """Norms before, behind and on both sides; where it cannot look between two parts, PyTorch does."""
    _, model = both(name)
    engine = load_native(*understand(saved(name)[1]), Placement("cpu", "float32"))
    opened: Any = SimpleNamespace(
        name=name, model=model, config=model.config, changes=None, told_changes=None, n_vocab=model.config.vocab_size,
        encode_prompt=lambda text: IDS, tokenizer=SimpleNamespace(token_bytes=lambda token: b"%d" % token),
    )  # fmt: skip
    for sublayers in (False, True):
        opened.native_for = lambda ids: engine
        ours, run = lens(opened, "text", sublayers=sublayers)
        assert (run is None) == (not sublayers or not model.config.post_norm)
        opened.native_for = lambda ids: None
        theirs, run = lens(opened, "text", sublayers=sublayers)
        assert run is not None
        assert ours.decided == theirs.decided
        for mine, other in zip(ours.stages, theirs.stages, strict=True):
            assert (mine.layer, mine.sublayer) == (other.layer, other.sublayer)
            assert [guess.id for guess in mine.guesses] == [guess.id for guess in other.guesses]
            wanted = [guess.probability for guess in other.guesses]
            assert [guess.probability for guess in mine.guesses] == pytest.approx(wanted, rel=1e-4)
        (mine_track,), (other_track,) = ours.tracks, theirs.tracks
        assert mine_track.ranks == other_track.ranks
        assert mine_track.probabilities == pytest.approx(other_track.probabilities, rel=1e-4)

"""What a step was choosing from, against filters worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.generation.explaining import Explainer, explain
from gptcli.generation.loop import ChosenToken, Limits, Sample, generate, new_samples
from gptcli.generation.writing import Request, Writing
from gptcli.probability.choice import Cut, offer
from gptcli.sampling.settings import Kept, Sampling
from gptcli.tokenizer import gpt2_tokenizer
from tests.toy_engine import ToyEngine, random_table

GPT2 = gpt2_tokenizer()
# exp: 8, 4, 2, 1, 1 of 16.
LOGITS = np.log(np.array([8.0, 4.0, 2.0, 1.0, 1.0]))


def step(token: int, sampling: Sampling, logits: Any = LOGITS) -> ChosenToken:
    return ChosenToken(Sample(0, 0, [3], [token]), logits, Kept.of(sampling.filter(logits, [3])), token)


def test_each_filter_tells_what_it_cut() -> None:
    sampling = Sampling(top_k=4, top_p=0.9, min_p=0.4)
    # top-k 4 cuts one of the last two; of 8 4 2 1 (15) top-p 0.9 keeps 8 4 2 (14/15 > 0.9); min-p 0.4 keeps 8 4.
    explained = explain(step(1, sampling), GPT2, sampling, top=5)
    assert explained.cuts == [
        Cut("top-k", 1, pytest.approx(1 / 16)),  # type: ignore[arg-type]
        Cut("top-p", 1, pytest.approx(1 / 16)),  # type: ignore[arg-type]
        Cut("min-p", 1, pytest.approx(2 / 16)),  # type: ignore[arg-type]
    ]
    assert [c.cut_by for c in explained.distribution.candidates] == [None, None, "min-p", "top-p", "top-k"]
    assert [c.probability for c in explained.distribution.candidates] == pytest.approx([2 / 3, 1 / 3, 0, 0, 0])
    assert [c.model_probability for c in explained.distribution.candidates] == pytest.approx(
        [8 / 16, 4 / 16, 2 / 16, 1 / 16, 1 / 16]
    )
    assert (explained.position, explained.chosen.id, explained.chosen.rank, explained.distribution.kept) == (1, 1, 2, 2)


def test_the_chosen_token_is_there_even_when_it_is_far_down() -> None:
    explained = explain(step(4, Sampling()), GPT2, Sampling(), top=2)
    assert [c.id for c in explained.distribution.candidates] == [0, 1]
    assert [c.id for c in explained.distribution.watched] == [4]
    assert explained.chosen.probability == pytest.approx(1 / 16)
    assert explain(step(1, Sampling()), GPT2, Sampling(), top=2).distribution.watched == []


def test_filters_that_look_back_see_what_stood_before_the_token() -> None:
    sampling = Sampling(no_repeat_ngram=1)
    explained = explain(step(1, sampling), GPT2, sampling, top=5)
    assert [(c.id, c.cut_by) for c in explained.distribution.candidates if c.cut_by] == [(3, "no-repeat-ngram")]


@pytest.mark.slow
@given(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=40),
    st.integers(0, 5),
    st.floats(0.05, 1),
    st.floats(0, 1),
    st.floats(0, 3),
)
def test_nothing_is_lost(values: list[float], k: int, p: float, min_p: float, temperature: float) -> None:
    logits, sampling = np.array(values), Sampling(temperature=temperature, top_k=k, top_p=p, min_p=min_p)
    offered = offer(logits, GPT2, sampling, [], top=len(values))
    assert sum(cut.count for cut in offered.cuts) + offered.distribution.kept == len(values)
    assert all(cut.count > 0 for cut in offered.cuts)
    by_name = [c.cut_by for c in offered.distribution.candidates]
    assert [cut.count for cut in offered.cuts] == [by_name.count(cut.filter) for cut in offered.cuts]
    kept = sum(c.model_probability for c in offered.distribution.candidates if c.cut_by is None)
    assert kept + sum(cut.probability for cut in offered.cuts) == pytest.approx(1)
    assert sum(c.probability for c in offered.distribution.candidates) == pytest.approx(1)


@pytest.mark.slow
def test_every_token_of_a_real_text(tales: OpenCheckpoint, tales_reference: Any) -> None:
    sampling = Sampling(temperature=0.8, top_k=40)
    (sample,) = new_samples([tales.tokenizer.encode("Once upon a time there was a")])
    steps = generate(tales.engine, [sample], sampling, Limits(12), seed=1, n_vocab=tales.n_vocab)
    explained = [explain(each, tales.tokenizer, sampling, top=10) for each in steps]
    with torch.inference_mode():
        logits = tales_reference(torch.tensor([sample.all_ids])).logits[0, len(sample.prompt_ids) - 1 : -1].double()
    assert [each.chosen.id for each in explained] == sample.ids
    for each, expected, logprob in zip(explained, logits, sample.logprobs, strict=True):
        best = expected.topk(10)
        assert [c.logit for c in each.distribution.candidates] == pytest.approx(best.values.tolist(), abs=1e-4)
        scaled = (expected.topk(40).values / 0.8).softmax(-1)[:10]
        assert [c.probability for c in each.distribution.candidates] == pytest.approx(scaled.tolist(), abs=1e-5)
        assert np.log(each.chosen.model_probability) == pytest.approx(logprob, abs=1e-6)
        assert each.chosen.rank == int((expected > expected[each.chosen.id]).sum()) + 1
        assert [(cut.filter, cut.count) for cut in each.cuts] == [("top-k", 50257 - 40)]


def test_an_explainer_keeps_the_completions_apart() -> None:
    request = Request(["A", "B"], Sampling(), Limits(4), seed=3, num_samples=2)
    writing = Writing(ToyEngine(random_table(300)), GPT2, request, n_vocab=300)
    explainer = Explainer(writing, top=3)
    for piece in writing:
        assert explainer.add(piece).chosen.id == piece.step.token
    for completion in writing.completions:
        steps = explainer.steps(completion)
        assert [each.chosen.id for each in steps] == completion.sample.ids
        assert [each.position for each in steps] == [1, 2, 3, 4]
        assert {len(each.distribution.candidates) for each in steps} == {3}

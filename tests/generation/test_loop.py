"""The loop: seeds, ends, the edge of the context; on a toy, on a tiny GPT, and on the bundled model."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import GptcliError, InputError
from gptcli.generation.loop import Limits, Overflow, Sample, generate, new_samples
from gptcli.model.torch_engine import TorchEngine
from gptcli.sampling.settings import Sampling
from gptcli.sampling.softmax import log_softmax
from tests.gpt2_reference import load_folder, random_gpt2
from tests.toy_engine import ToyEngine, chain, random_table

PLAIN = Sampling()
GREEDY = Sampling(temperature=0)


def write(
    prompts: list[list[int]],
    *,
    seed: int = 0,
    samples: int = 1,
    n: int = 20,
    sampling: Sampling = PLAIN,
    engine: ToyEngine | TorchEngine | None = None,
    eos: tuple[int, ...] = (),
    overflow: Overflow = "slide",
) -> list[Sample]:
    made = new_samples(prompts, samples)
    list(generate(engine or ToyEngine(random_table(12)), made, sampling, Limits(n, eos, overflow), seed=seed))
    return made


# Seeds


@pytest.mark.slow
@given(
    st.integers(0, 2**64 - 1), st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=4), min_size=1, max_size=4)
)
@settings(max_examples=60)
def test_a_sample_is_the_same_alone_and_in_any_batch(seed: int, prompts: list[list[int]]) -> None:
    together = write(prompts, seed=seed, samples=3, eos=(0,))
    for sample in together:
        alone = new_samples([prompts[sample.prompt]], 3)[sample.number]
        list(generate(ToyEngine(random_table(12)), [alone], PLAIN, Limits(20, (0,)), seed=seed))
        assert alone.ids == sample.ids
        assert alone.logprobs == sample.logprobs
        assert alone.finish_reason == sample.finish_reason


@pytest.mark.parametrize("sampling", [PLAIN, Sampling(temperature=0), Sampling(temperature=0.8, top_k=5)])
def test_the_text_is_the_same_without_log_probabilities(sampling: Sampling) -> None:
    samples = [new_samples([[1]], 3, scored=scored) for scored in (True, False)]
    for made in samples:
        list(generate(ToyEngine(random_table(12)), made, sampling, Limits(20), seed=5))
    assert [sample.ids for sample in samples[0]] == [sample.ids for sample in samples[1]]
    assert [len(sample.logprobs) for sample in samples[0]] == [20] * 3
    assert [sample.logprobs for sample in samples[1]] == [[]] * 3


@pytest.mark.slow
def test_seeds_and_samples_differ() -> None:
    assert len({tuple(write([[1]], seed=seed)[0].ids) for seed in range(50)}) == 50
    assert len({tuple(sample.ids) for sample in write([[1]], samples=50)}) == 50


def test_fewer_tokens_are_the_start_of_more() -> None:
    assert write([[1]], n=5)[0].ids == write([[1]], n=20)[0].ids[:5]


@pytest.mark.slow
def test_bundled_model_writes_the_same_alone_in_a_batch_and_streaming(tales: OpenCheckpoint) -> None:
    sampling = Sampling(temperature=0.8, top_k=40)
    prompts = [
        tales.tokenizer.encode(text) for text in ("Once upon a time", "The", "A long, long prompt about an owl:")
    ]
    for seed in range(4):
        together = new_samples(prompts, 2)
        list(generate(tales.engine, together, sampling, Limits(12), seed=seed))
        for sample in together[::2]:
            alone = new_samples([prompts[sample.prompt]])[0]
            # One token at a time, as a stream takes them.
            steps = generate(tales.engine, [alone], sampling, Limits(12), seed=seed)
            assert [next(steps).token for _ in range(12)] == sample.ids


THREADS = """
import json, torch
from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.sampling.settings import Sampling
tales = open_checkpoint("tales", Placement("cpu"))
for threads in (1, 2):
    torch.set_num_threads(threads)
    texts = []
    for seed in range(12):
        samples = new_samples([tales.tokenizer.encode("Once upon a time there was a")])
        list(generate(tales.engine, samples, Sampling(temperature=0.8, top_k=40), Limits(10), seed=seed))
        texts.append(samples[0].ids)
    print(json.dumps([torch.get_num_threads(), texts]))
"""


@pytest.mark.slow
def test_any_thread_count_writes_the_same(child_environment: dict[str, str]) -> None:
    environment = child_environment | {"OMP_WAIT_POLICY": "passive"}  # threads of a busy machine should not spin
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env=environment, capture_output=True, timeout=120, check=True
    )
    (one, texts), (two, again) = map(json.loads, done.stdout.splitlines())
    assert (one, two) == (1, 2)
    assert texts == again
    assert len({tuple(ids) for ids in texts}) == 12


# Ends


def test_end_of_text_ends_a_sample_and_is_its_last_token() -> None:
    engine = ToyEngine(chain([1, 2, 3, 4], 6))
    (sample,) = write([[1]], engine=engine, eos=(4,), sampling=GREEDY)
    assert (sample.ids, sample.finish_reason) == ([2, 3, 4], "eos")
    (sample,) = write([[1]], engine=engine, n=7, sampling=GREEDY)
    assert (sample.ids, sample.finish_reason) == ([2, 3, 4, 1, 2, 3, 4], "length")
    # The last token that is allowed: the end of the text is the better reason.
    (sample,) = write([[1]], engine=engine, n=3, eos=(4,), sampling=GREEDY)
    assert sample.finish_reason == "eos"


def test_samples_that_end_leave_the_batch_and_the_others_go_on() -> None:
    engine = ToyEngine(chain([1, 2, 3, 4], 6))
    made = write([[4], [1], [3], [2]], engine=engine, eos=(4,), sampling=GREEDY, n=10)
    assert [sample.ids for sample in made] == [[1, 2, 3, 4], [2, 3, 4], [4], [3, 4]]


def test_the_caller_may_stop_a_sample() -> None:
    made = new_samples([[1], [2]])
    steps = []
    for step in generate(ToyEngine(random_table(9)), made, PLAIN, Limits(9), seed=1):
        assert step.sample.ids[-1] == step.token
        if len(step.sample.ids) == 3:
            step.sample.finish_reason = "stop"
        steps.append(step)
    assert [(len(sample.ids), sample.finish_reason) for sample in made] == [(3, "stop")] * 2
    assert [step.sample.prompt for step in steps] == [0, 1] * 3


def test_no_new_tokens() -> None:
    engine = ToyEngine(random_table(4))
    made = write([[1]], n=0, engine=engine)
    assert (made[0].ids, made[0].finish_reason, engine.calls) == ([], "length", [])


def test_the_last_token_is_not_read() -> None:
    engine = ToyEngine(random_table(4))
    write([[1]], n=3, engine=engine)
    assert engine.calls == ["prefill", "step", "step"]


def test_prompts_are_read_once_however_many_samples() -> None:
    class Counting(ToyEngine):
        def prefill(self, rows, capacity):  # type: ignore[no-untyped-def]
            assert [list(row) for row in rows] == [[1, 2], [3]]
            return super().prefill(rows, capacity)

    assert len(write([[1, 2], [3]], samples=5, engine=Counting(random_table(4)))) == 10


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="--bos"):
        write([[1], []])


def test_nothing_left_to_choose_is_an_error_that_says_why() -> None:
    with pytest.raises(InputError, match="--no-repeat-ngram"):
        write([[0]], engine=ToyEngine(random_table(3)), sampling=Sampling(no_repeat_ngram=1), n=3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_overflowed_are_an_error_that_says_what_to_try(value: float) -> None:
    table = random_table(3)
    table[1, 2] = value
    with pytest.raises(GptcliError, match="--dtype"):
        write([[1]], engine=ToyEngine(table))


def test_padding_is_never_chosen() -> None:
    table = np.zeros((8, 8), dtype=np.float32)
    table[:, 6:] = 100.0
    (sample,) = new_samples([[0]])
    steps = list(generate(ToyEngine(table), [sample], PLAIN, Limits(100), seed=0, n_vocab=6))
    assert set(sample.ids) == set(range(6))
    assert all(step.logits.shape == (6,) for step in steps)
    assert sample.logprobs == pytest.approx([-math.log(6)] * 100)


# Log probabilities


def test_logprobs_are_those_of_the_model_whatever_the_filters(gpt2_folder: Path) -> None:
    model = load_folder(gpt2_folder)
    sampling = Sampling(
        temperature=0.5,
        top_k=10,
        top_p=0.9,
        min_p=0.01,
        typical_p=0.9,
        repetition_penalty=1.5,
        no_repeat_ngram=2,
        logit_bias={3: 2.0},
    )
    made = write([[5, 6, 7], [1]], sampling=sampling, engine=TorchEngine(model), n=10, samples=2)
    for sample in made:
        with torch.inference_mode():
            logits = model(torch.tensor([sample.all_ids]))[0].double()
        expected = torch.log_softmax(logits, dim=-1)[len(sample.prompt_ids) - 1 : -1]
        chosen = expected[range(10), sample.ids]
        assert sample.logprobs == pytest.approx(chosen.tolist(), abs=1e-5)


# The edge of the context


@pytest.mark.slow
@pytest.mark.parametrize("n_positions", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("lengths", [[1], [3, 1], [20, 7, 8, 9, 1]])
def test_sliding_equals_a_fresh_read_of_the_newest_half(n_positions: int, lengths: list[int], tmp_path: Path) -> None:
    random_gpt2(n_positions=n_positions).save_pretrained(tmp_path)
    model = load_folder(tmp_path)
    prompts = [[(7 * place + length) % 97 for place in range(length)] for length in lengths]
    made = new_samples(prompts)
    half = max(n_positions // 2, 1)
    # The rule, on its own: what each row holds, by prompt.
    held = [prompt if len(prompt) <= n_positions else prompt[-half:] for prompt in prompts]
    slid = [int(len(prompt) > n_positions) for prompt in prompts]

    for step in generate(TorchEngine(model), made, PLAIN, Limits(25), seed=3):
        row = step.sample.prompt
        if len(step.sample.ids) > 1:
            if len(held[row]) == n_positions:
                held[row], slid[row] = step.sample.all_ids[:-1][-half:], slid[row] + 1
            else:
                held[row] = [*held[row], step.sample.ids[-2]]
        with torch.inference_mode():
            fresh = model(torch.tensor([held[row]]))[0, -1].numpy()
        assert np.abs(step.logits - fresh).max() < 1e-4
        assert step.sample.slid == slid[row]

    assert all(len(sample.ids) == 25 and sample.finish_reason == "length" for sample in made)
    assert min(slid) >= 1


@pytest.mark.parametrize(("n_positions", "prompt", "tokens"), [(1, 1, 1), (2, 1, 2), (8, 3, 6), (8, 8, 1)])
def test_stopping_at_the_edge_fills_the_context(n_positions: int, prompt: int, tokens: int) -> None:
    """Every position is read, and the token that the last one offers is taken too."""
    engine = ToyEngine(random_table(5), n_positions)
    (sample,) = write([[1] * prompt], engine=engine, overflow="stop")
    assert (len(sample.ids), sample.finish_reason, sample.slid) == (tokens, "length", 0)
    assert len(engine.rows[0]) == n_positions


def test_a_prompt_longer_than_the_context_names_both_lengths_unless_sliding() -> None:
    with pytest.raises(InputError, match=r"1,234 tokens.*1,000.*--overflow slide"):
        write([[1] * 1234], overflow="stop")
    (sample,) = write([[1] * 1234], n=2)
    assert sample.slid == 1
    assert len(sample.prompt_ids) == 1234


@pytest.mark.slow
@given(
    st.integers(1, 9),
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.integers(0, 30),
    st.sampled_from([(), (0,), (0, 1, 2)]),
)
@settings(max_examples=200)
def test_no_row_ever_outgrows_its_room(n_positions: int, lengths: list[int], n: int, eos: tuple[int, ...]) -> None:
    """The toy checks every call against the protocol."""
    made = write([[3] * length for length in lengths], engine=ToyEngine(random_table(6), n_positions), n=n, eos=eos)
    for sample in made:
        assert len(sample.ids) == len(sample.logprobs) <= n
        assert sample.finish_reason == ("eos" if sample.ids and sample.ids[-1] in eos else "length")
        assert len(sample.ids) == n or sample.finish_reason == "eos"


def test_steps_carry_what_was_offered_and_what_was_left() -> None:
    made = new_samples([[1]])
    sampling = Sampling(top_k=3)
    for step in generate(ToyEngine(random_table(9)), made, sampling, Limits(5), seed=0):
        assert np.array_equal(step.kept.ids, np.flatnonzero(sampling.filter(step.logits, []) > -np.inf))
        assert step.token in step.kept.ids
        assert step.sample.logprobs[-1] == pytest.approx(log_softmax(step.logits)[step.token], abs=1e-12)

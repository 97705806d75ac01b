"""A text of a person and a model: what is drawn is what generate draws, and what is taken back was never there."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptcli.checkpoint.open import OpenCheckpoint
from gptcli.errors import InputError
from gptcli.generation.loop import Limits, generate, new_samples
from gptcli.generation.pick.draft import Draft
from gptcli.generation.pick.replay import read_record, replayed
from gptcli.model.config import GPTConfig
from gptcli.model.native import library
from gptcli.model.torch_engine import TorchEngine
from gptcli.sampling.settings import Sampling
from gptcli.show.terminal.console import json_text
from gptcli.tokenizer import gpt2_tokenizer
from tests.native.test_engine import in_c, random_model
from tests.toy_engine import ToyEngine, random_table

GPT2 = gpt2_tokenizer()
TABLE = random_table(300, seed=4)


def draft(n: int = 40, *, n_positions: int = 12, prompt: Sequence[int] = (5, 6, 7), **options: Any) -> Draft:
    limits = Limits(n, options.pop("eos", ()), options.pop("overflow", "slide"))
    engine = options.pop("engine", None) or ToyEngine(TABLE, n_positions)
    sampling = options.pop("sampling", Sampling(temperature=0.9, top_k=50))
    return Draft(engine, GPT2, "p", list(prompt), sampling, limits, n_vocab=300, **({"seed": 3} | options))


def generated(n: int, n_positions: int = 12) -> list[int]:
    (sample,) = new_samples([[5, 6, 7]])
    list(
        generate(
            ToyEngine(TABLE, n_positions), [sample], Sampling(temperature=0.9, top_k=50), Limits(n), seed=3, n_vocab=300
        )
    )
    return sample.ids


def test_nothing_but_draws_is_what_generate_writes() -> None:
    made = draft()
    while not made.finished:
        made.draw_token()
    assert made.sample.ids == generated(40)
    assert made.sample.finish_reason == "length"
    assert made.origins == ["drawn"] * 40
    assert [step.chosen.id for step in made.steps] == made.sample.ids


def test_a_picked_token_uses_up_its_random_number() -> None:
    """With a model that forgets (the toy looks at the last token only), the draws after a pick fall into step again."""
    made = draft()
    made.pick(generated(40)[0])
    while not made.finished:
        made.draw_token()
    assert made.sample.ids == generated(40)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.sampled_from(["draw", "pick", "undo"]), max_size=60), st.integers(4, 14))
def test_what_was_taken_back_was_never_there(moves: list[str], n_positions: int) -> None:
    engine = ToyEngine(TABLE, n_positions)
    made = draft(n_positions=n_positions, engine=engine)
    straight: list[tuple[Any, int]] = []
    for place, move in enumerate(moves):
        if move == "undo" and made.origins:
            made.undo()
            straight.pop()
        elif move != "undo" and not made.finished:
            if move == "draw":
                made.draw_token()
            else:
                made.pick(place + 20)
            straight.append(("drawn" if move == "draw" else "picked", made.sample.ids[-1]))
    again = draft(n_positions=n_positions, engine=(other := ToyEngine(TABLE, n_positions)))
    for how, token in straight:
        again.put(how, token)
    assert again.sample == made.sample
    assert again.offer() == made.offer()
    assert again.steps == made.steps
    assert made.origins == [how for how, _ in straight]
    if not made.finished:
        assert engine.rows == other.rows  # what the model has read
        assert len(engine.rows[0]) <= n_positions


@pytest.fixture(params=["torch", "C"])
def engine(request: pytest.FixtureRequest) -> Any:
    """A tiny GPT-2 with a context of 24, on either engine."""
    model = random_model(GPTConfig(vocab_size=97, n_positions=24, n_embd=32, n_layer=3, n_head=4))
    if request.param == "torch":
        return TorchEngine(model)
    if not library.available():
        pytest.skip("no C engine")
    return in_c(model)


def mistaken(made: Draft, right: Sequence[int], detours: Sequence[int]) -> None:
    """Write a text, each time after so many tokens that are taken back again."""
    for token, detour in zip(right, detours, strict=True):
        for step in range(detour):
            made.pick((token * 7 + step * 11) % 97)
        for _ in range(detour):
            made.undo()
        made.pick(token)


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(1, 24), st.lists(st.tuples(st.integers(0, 96), st.integers(0, 14)), min_size=1, max_size=40))
def test_a_text_with_mistakes_taken_back_is_the_text_without_to_the_last_bit(
    engine: Any, prompt: int, moves: list[tuple[int, int]]
) -> None:
    """Also where the context slid in between: a context holds 24 tokens, a text up to 64, and a detour 14."""
    texts = []
    for detours in ([detour for _, detour in moves], [0] * len(moves)):
        made = draft(n=90, engine=engine, prompt=range(prompt))
        made._n_vocab = 97
        mistaken(made, [token for token, _ in moves], detours)
        texts.append((made.sample, made.steps, made._logits.tobytes()))
    assert texts[0] == texts[1]


def test_typed_text_becomes_tokens() -> None:
    made = draft(n=3)
    made.type("1\n2\n")
    assert made.origins == ["typed"] * 3  # no more fit
    assert made.finished
    made.undo()
    with pytest.raises(InputError, match="the text holds"):
        made.type("dragons")
    assert len(made.origins) == 2


def test_the_end_of_a_text_can_be_taken_back() -> None:
    made = draft(eos=(9,))
    made.pick(11)
    before = made.offer()
    made.pick(9)
    assert (made.finished, made.sample.finish_reason, made.text) == (True, "eos", GPT2.decode([11]))
    made.undo()
    assert not made.finished
    assert made.offer() == before
    full = draft(n_positions=4, overflow="stop")
    full.pick(1)
    assert not full.finished
    full.pick(2)
    assert full.sample.finish_reason == "length"


def record(made: Draft) -> dict[str, Any]:
    """What a file holds after --json."""
    value: dict[str, Any] = json.loads(json_text(made.record("toy", "quit")))
    return value


def repeated(value: Any, **options: Any) -> Draft:
    toy = SimpleNamespace(engine=ToyEngine(TABLE, 12), tokenizer=GPT2, n_vocab=300, eos_ids=(), told_changes=None)
    for name, option in options.items():
        setattr(toy, name, option)
    return replayed(read_record(json.dumps(value), "x.json"), cast(OpenCheckpoint, toy), "x.json")


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.integers(0, 299)), max_size=30), st.integers(0, 2**64 - 1))
def test_a_record_writes_the_same_text_again(choices: list[int | None], seed: int) -> None:
    biased = Sampling(temperature=1.3, top_p=0.9, logit_bias={3: -np.inf, 4: 1.5}, repetition_penalty=1.1)
    made = draft(sampling=biased, seed=seed)
    for choice in choices:
        if choice is None:
            made.draw_token()
        else:
            made.pick(choice)
    again = repeated(record(made))
    assert (again.sample.ids, again.origins, again.text) == (made.sample.ids, made.origins, made.text)
    assert again.record("toy", record(made)["finish_reason"]) == made.record("toy", "quit")
    assert again.sample.logprobs == made.sample.logprobs
    assert again.steps == made.steps


def test_a_record_of_another_model_is_told() -> None:
    made = draft()
    for _ in range(6):
        made.draw_token()
    value = record(made)
    with pytest.raises(InputError, match=r"x.json: token \d comes out as .*, and was .*toy"):
        repeated(value, engine=ToyEngine(random_table(300, seed=9), 12))
    with pytest.raises(InputError, match="ends after 1 tokens"):
        repeated(value | {"finish_reason": "eos"}, eos_ids=(made.sample.ids[0],))
    with pytest.raises(InputError, match="token 4,000"):
        repeated(value | {"ids": [4000] * 6})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("[]", "not an object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"ids": None}, "'ids'"),
        ({"ids": [1.5]}, "'ids'"),
        ({"ids": [True]}, "'ids'"),
        ({"ids": [1]}, "different lengths"),
        ({"origins": ["guessed", "drawn"]}, "'origins'"),
        ({"origins": [["drawn"], {}]}, "'origins'"),
        ({"seed": -1}, "'seed'"),
        ({"seed": 2**64}, "'seed'"),
        ({"overflow": "jump"}, "'overflow'"),
        ({"sampling": {"top_k": 1.5}}, "'sampling'"),
        ({"sampling": {"colour": 1}}, "'sampling'"),
        ({"sampling": {"temperature": "hot"}}, "'sampling'"),
        ({"sampling": {"temperature": -1}}, "--temperature"),
        ({"sampling": {"temperature": 10**400}}, "'sampling'"),
        ({"sampling": {"logit_bias": {"1": 10**400}}}, "'logit_bias'"),
        ({"sampling": {"logit_bias": {"1" * 5000: 1.0}}}, "'logit_bias'"),
        ({"sampling": {"logit_bias": {"x": 1}}}, "'logit_bias'"),
        ({"sampling": {"logit_bias": {"1": float("nan")}}}, "'logit_bias'"),
        ({"prompt_ids": []}, "empty"),
    ],
)
def test_what_is_no_record_is_refused(change: Any, said: str) -> None:
    made = draft()
    made.draw_token()
    made.draw_token()
    text = change if isinstance(change, str) else json.dumps(record(made) | change)
    with pytest.raises(InputError, match=said):
        draft(prompt=read_record(text, "x.json").prompt_ids)

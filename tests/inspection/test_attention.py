"""Where heads look: each family against transformers, and what holds for every pattern."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptcli.errors import InputError
from gptcli.inspection import attention as module
from gptcli.inspection.attention import HeadAttention, attention, chosen
from gptcli.inspection.heads import label_heads
from gptcli.model.native.library import library
from gptcli.model.native.weights import why_not
from gptcli.tokenizer.prompt import prompt_ids
from tests.checkpoint.zoo import FAMILIES, both, each, eager
from tests.native.test_engine import in_c
from tests.tales import HEADS, LAYERS

TEXT = "The king and the queen lived in a castle by the sea."


class Ids:
    """A tokenizer that reads ids as they are written."""

    prefix_ids = ()
    eos_id = 0
    name = "ids"

    def encode(self, text: str) -> list[int]:
        return [int(part) for part in text.split()]

    def token_bytes(self, token: int) -> bytes:
        return f"{token} ".encode()


class Opened:
    """What ``attention`` asks of a checkpoint."""

    name, n_vocab, tokenizer, changes, told_changes = "zoo", 80, Ids(), None, None

    def __init__(self, model: Any, native: Any = None) -> None:
        self.model, self.config, self.native = model, model.config, native

    def native_for(self, ids: list[int], *, unchanged: bool = False) -> Any:
        return self.native

    def encode_prompt(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)


@pytest.fixture(scope="module", params=each(FAMILIES))
def family(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    theirs, model = both(request.param)
    return model, eager(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("native", [False, True], ids=["PyTorch", "C"])
def test_every_family_looks_where_transformers_looks(family: tuple[Any, Any], native: bool) -> None:
    model, theirs = family
    if native and (library() is None or why_not(model.config) is not None):
        pytest.skip("the engine in C cannot run this")
    ours: Any = Opened(model, in_c(model) if native else None)
    ids = [5, 17, 3, 60, 3, 17, 8, 41, 2, 5, 9, 11, 30, 31]
    with torch.inference_mode():
        expected = theirs(torch.tensor([ids]), output_attentions=True).attentions
    answer = attention(ours, " ".join(map(str, ids)), layers="all")
    assert ([each.id for each in answer.tokens], answer.tokens[1].token) == (ids, b"17 ")
    assert len(answer.heads) == answer.n_layer * answer.n_head
    for head in answer.heads:
        np.testing.assert_allclose(head.values, expected[head.layer - 1][0, head.head - 1].numpy(), atol=1e-5)
        seen = [[head.sees(query, key) for key in range(len(ids))] for query in range(len(ids))]
        assert not np.any(np.array(head.values)[~np.array(seen)])  # windows too
    config, keys = ours.config, [head.key_head for head in answer.heads[: answer.n_head]]
    group = config.n_head // config.kv_heads
    assert keys == [None if group == 1 else head // group + 1 for head in range(config.n_head)]
    windows = [ours.config.window(layer) for layer in range(answer.n_layer)]
    assert [head.window for head in answer.heads] == [window for window in windows for _ in range(answer.n_head)]


def test_each_query_adds_up_to_one_and_none_looks_ahead(tales: Any) -> None:
    rows = attention(tales, TEXT, layers="2-4", heads="1,3")
    columns = attention(tales, TEXT, layers="2-4", heads="1,3", columns=True)
    assert (rows.rows, columns.rows) == ("queries", "keys")
    assert [(head.layer, head.head) for head in rows.heads] == [(2, 1), (2, 3), (3, 1), (3, 3), (4, 1), (4, 3)]
    for row, column in zip(rows.heads, columns.heads, strict=True):
        pattern = np.array(row.values)
        np.testing.assert_allclose(pattern.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(np.array(column.values).sum(0), 1, atol=1e-6)
        assert np.array_equal(pattern.T, column.values)
        assert not np.triu(pattern, 1).any()


def test_the_softmax_of_the_scores_is_the_weights(tales: Any) -> None:
    scores, weights = (attention(tales, TEXT, layers="3", scores=flag) for flag in (True, False))
    assert (scores.quantity, weights.quantity) == ("scores", "weights")
    for before, after in zip(scores.heads, weights.heads, strict=True):
        figures = np.array(before.values)
        assert np.isneginf(figures[np.triu_indices(len(figures), 1)]).all()
        assert np.isfinite(figures[np.tril_indices(len(figures))]).all()
        exponentials = np.exp(figures - figures.max(1, keepdims=True))
        np.testing.assert_allclose(exponentials / exponentials.sum(1, keepdims=True), after.values, atol=1e-6)


def test_the_scores_are_queries_times_keys(tales: Any) -> None:
    answer = attention(tales, TEXT, layers="1", heads="2", scores=True)
    model = tales.model
    with torch.inference_mode():
        ids = torch.tensor(prompt_ids(tales.tokenizer, TEXT))
        x = model.h[0].ln_1(model.wte(ids) + model.wpe(torch.arange(len(ids))))
        q, k, _ = model.h[0].attn.c_attn(x).chunk(3, dim=-1)
        expected = q[:, 64:128] @ k[:, 64:128].T / math.sqrt(64)
    seen = np.tril_indices(len(ids))
    np.testing.assert_allclose(np.array(answer.heads[0].values)[seen], expected.numpy()[seen], atol=1e-4)


def test_heads_carry_their_names(tales: Any) -> None:
    named = label_heads(tales)
    assert named is not None
    for head in attention(tales, "one word", layers=f"2,{LAYERS}").heads:
        assert head.label == named[head.layer - 1][head.head - 1]


def test_a_window_hides_what_is_too_far() -> None:
    head = HeadAttention(1, 1, 3, None, [])
    assert [key for key in range(9) if head.sees(5, key)] == [3, 4, 5]


@pytest.mark.slow
def test_a_small_model_is_shown_whole_and_a_large_one_by_its_first_layer(
    tales: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {head.layer for head in attention(tales, TEXT).heads} == set(range(1, LAYERS + 1))
    monkeypatch.setattr(module, "_HEADS_UNASKED", LAYERS * HEADS - 1)
    assert {head.layer for head in attention(tales, TEXT).heads} == {1}
    assert len(attention(tales, TEXT, heads="2").heads) == LAYERS


def test_too_much_is_refused_before_the_model_runs(tales: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = LAYERS * HEADS
    monkeypatch.setattr(module, "MOST_FIGURES", heads * 13 * 13 - 1)
    monkeypatch.setattr(module, "look", None)
    with pytest.raises(InputError, match=f"at most {heads - 1} with --layer and --head"):
        attention(tales, TEXT, layers="all")
    monkeypatch.setattr(module, "MOST_FIGURES", 100)
    with pytest.raises(InputError, match=r"13 tokens.*10 are the most"):
        attention(tales, TEXT, layers="1", heads="1")


def test_a_text_longer_than_the_context_is_told_so(tales: Any) -> None:
    with pytest.raises(InputError, match=r"600 tokens.*512"):
        attention(tales, " a" * 600)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", [3]),
        ("1,4", [1, 4]),
        ("2-4", [2, 3, 4]),
        (" 6 , 1 - 2 ", [1, 2, 6]),
        ("4,3-4,4", [3, 4]),
        ("ALL", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_layers_and_heads_by_number_list_and_range(text: str, numbers: list[int]) -> None:
    assert chosen(text, 6, "layer") == numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write a number"),
        ("x", "write a number"),
        ("1,", "write a number"),
        ("-1", "write a number"),
        ("1-2-3", "write a number"),
        ("1.5", "write a number"),
        ("²", "write a number"),
        ("0", "layers 1 to 6"),
        ("7", "layers 1 to 6"),
        ("1-99999999999999999999", "layers 1 to 6"),
        ("4-2", "backwards"),
    ],
)
def test_what_is_no_layer_is_told(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen(text, 6, "layer")


@pytest.mark.slow
@given(st.text(max_size=8), st.integers(0, 12))
def test_any_text_is_a_choice_or_an_input_error(text: str, count: int) -> None:
    try:
        numbers = chosen(text, count, "head")
    except InputError:
        return
    assert numbers
    assert numbers == sorted(set(numbers) & set(range(1, count + 1)))

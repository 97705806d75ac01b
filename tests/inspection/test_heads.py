"""Heads that do one thing, built by hand, and the scores worked out once more in numpy."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gptcli.checkpoint.open import open_checkpoint
from gptcli.checkpoint.weights.placement import Placement
from gptcli.inspection.heads import THRESHOLD, HeadKind, label_heads, labels, repeated_tokens
from gptcli.inspection.record import record

N = 7  # tokens, twice over


def looking_at(target: Any) -> NDArray[np.float32]:
    """The pattern [1, 2N, 2N] of a head that puts all of its attention on ``target(query)``."""
    pattern = np.zeros((1, 2 * N, 2 * N), np.float32)
    for query in range(2 * N):
        pattern[0, query, target(query)] = 1.0
    return pattern


HEADS: dict[HeadKind, Any] = {
    "previous token": lambda query: max(query - 1, 0),
    "first token": lambda query: 0,
    "same token": lambda query: query - N if query >= N else query,
    "induction": lambda query: query - N + 1 if query >= N else 0,
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_built_by_hand_has_a_score_of_one(kind: HeadKind) -> None:
    (label,) = labels(looking_at(HEADS[kind]))
    assert (label.kind, label.nearest, label.score) == (kind, kind, 1.0)
    assert getattr(label, kind.replace(" ", "_")) == 1.0


def test_both_ways_to_look_at_the_same_token_count() -> None:
    (label,) = labels(looking_at(lambda query: query))
    assert (label.kind, label.same_token, label.previous_token, label.induction) == ("same token", 1.0, 0.0, 0.0)


def test_what_a_perfect_head_scores_as_others() -> None:
    (induction,) = labels(looking_at(HEADS["induction"]))
    assert induction.first_token == pytest.approx((N - 1) / (2 * N - 1))  # its first round
    (previous,) = labels(looking_at(HEADS["previous token"]))
    assert previous.first_token == pytest.approx(1 / (2 * N - 1))  # the second position
    assert previous.induction == previous.same_token == 0.0


def test_even_attention_is_no_kind() -> None:
    even = np.tril(np.ones((2 * N, 2 * N), np.float32))
    (label,) = labels((even / even.sum(-1, keepdims=True))[None])
    assert label.kind is None
    assert label.score < THRESHOLD


@pytest.mark.slow
@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_scores_are_shares_of_attention(n: int, seed: int) -> None:
    scores = torch.randn(3, 2 * n, 2 * n, generator=torch.Generator().manual_seed(seed)) * 3
    seen = torch.ones(2 * n, 2 * n).tril().bool()
    pattern = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    ids = np.tile(np.arange(n), 2)
    for head, label in zip(pattern.double().numpy(), labels(pattern.numpy()), strict=True):
        queries = range(1, 2 * n)
        assert label.previous_token == pytest.approx(np.mean([head[q, q - 1] for q in queries]))
        assert label.first_token == pytest.approx(np.mean([head[q, 0] for q in queries]))
        assert label.same_token == pytest.approx(np.mean([head[q, ids == ids[q]].sum() for q in queries]))
        behind = [sum(head[q, k + 1] for k in range(q) if ids[k] == ids[q]) for q in range(n, 2 * n)]
        assert label.induction == pytest.approx(np.mean(behind))
        assert label.score == max(label.previous_token, label.first_token, label.same_token, label.induction)


@pytest.mark.parametrize(
    ("n_vocab", "n_positions", "count"), [(50257, 1024, 50), (101, 131, 50), (3, 99, 3), (99, 9, 4)]
)
def test_the_tokens_are_different_and_come_twice(n_vocab: int, n_positions: int, count: int) -> None:
    ids = repeated_tokens(n_vocab, n_positions)
    assert len(ids) == 2 * count <= n_positions
    assert ids[:count] == ids[count:]
    assert len(set(ids)) == count
    assert all(0 <= token < n_vocab for token in ids)
    assert ids == repeated_tokens(n_vocab, n_positions)


def test_every_head_of_a_model_is_named(tales: Any) -> None:
    named = label_heads(tales)
    assert named is not None
    assert [len(layer) for layer in named] == [tales.model.config.n_head] * tales.model.config.n_layer
    layer = record(tales.model, repeated_tokens(tales.n_vocab, 512)).layers[2]
    assert named[2] == labels(layer.pattern.numpy())


def test_the_engine_in_c_names_them_alike(tales: Any) -> None:
    other = label_heads(open_checkpoint("tales", Placement("cpu", "float32"), inside=False))
    named = label_heads(tales)
    assert named is not None
    assert other is not None
    for label, same in zip((x for each in named for x in each), (x for each in other for x in each), strict=True):
        assert same.score == pytest.approx(label.score, abs=1e-5)
        assert same.induction == pytest.approx(label.induction, abs=1e-5)


def test_a_model_that_cannot_repeat_is_not_named(tales: Any) -> None:
    assert label_heads(SimpleNamespace(n_vocab=1, config=tales.config)) is None  # type: ignore[arg-type]

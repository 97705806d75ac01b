"""The geometry of embeddings, against plain numpy in float64 and numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.matrix import Doubles, Floats, Matrix
from gptcli.embedding.metric import Metric
from gptcli.embedding.vectors import nearest, pairwise, product_scores, rank, scores, unit, weighted_sum
from gptcli.errors import InputError


def random_rows(n: int, d: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def reference_scores(rows: Floats, target: Floats | Doubles, metric: Metric) -> Any:
    exact, point = rows.astype(np.float64), target.astype(np.float64)
    if metric is Metric.euclidean:
        return np.linalg.norm(exact - point, axis=1)
    dots = exact @ point
    return dots if metric is Metric.dot else dots / np.linalg.norm(exact, axis=1) / np.linalg.norm(point)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("chunk_bytes", [1, 100, 4 * 7 * 10, 1 << 20])
def test_scores_whatever_the_chunk(metric: Metric, chunk_bytes: int) -> None:
    rows, target = random_rows(53, 7), random_rows(1, 7, seed=1)[0].astype(np.float64)
    found = scores(Matrix(rows, chunk_bytes), target, metric)
    assert found == pytest.approx(reference_scores(rows, target, metric), abs=1e-5)
    assert scores(Matrix(rows, chunk_bytes), target, metric, rows=20) == pytest.approx(found[:20], abs=1e-6)


def test_scores_by_hand() -> None:
    matrix, target = Matrix(np.array([[3, 4], [0, 0], [-1, 0]], np.float32)), np.array([2.0, 0.0])
    assert scores(matrix, target, Metric.cosine) == pytest.approx([0.6, 0, -1])
    assert scores(matrix, target, Metric.dot) == pytest.approx([6, 0, -2])
    assert scores(matrix, target, Metric.euclidean) == pytest.approx([17**0.5, 2, 3])


def test_weighted_sum_brings_vectors_to_length_one_for_the_cosine_only() -> None:
    vectors = np.array([[3, 4], [0, 10]], np.float32)
    assert weighted_sum(vectors, [1, -0.5], Metric.cosine) == pytest.approx([0.6, 0.3])
    assert weighted_sum(vectors, [1, -0.5], Metric.dot) == pytest.approx([3, -1])


def test_words_that_cancel_out_have_no_direction() -> None:
    vectors = random_rows(1, 50)[[0, 0]]
    with pytest.raises(InputError, match="cancel out"):
        weighted_sum(vectors, [1, -1], Metric.cosine)
    assert weighted_sum(vectors, [1, -1], Metric.dot) == pytest.approx(np.zeros(50))


def test_product_scores_by_hand() -> None:
    matrix = Matrix(np.array([[1, 0], [0, 1], [1, 1]], np.float32))
    vectors = np.array([[2, 0], [0, 3]], np.float32)
    half = (1 + 0.5**0.5) / 2
    # (1 + cos)/2 to the word added, over the same to the word taken away; squared where it is taken twice.
    assert product_scores(matrix, vectors, [1, -1]) == pytest.approx([1 / 0.500001, 0.5 / 1.000001, 1.0], abs=1e-5)
    assert product_scores(matrix, vectors, [1, -2])[2] == pytest.approx(half / half**2, abs=1e-5)
    with pytest.raises(InputError, match="at least one word that is added"):
        product_scores(matrix, vectors, [-1, -1])


def test_pairwise() -> None:
    vectors = random_rows(4, 5)
    for metric in Metric:
        expected = [reference_scores(vectors, vector, metric) for vector in vectors]
        assert pairwise(vectors, metric) == pytest.approx(np.array(expected), abs=1e-6)
    assert np.diag(pairwise(vectors, Metric.cosine)) == pytest.approx(np.ones(4), abs=1e-12)


def places(found: list) -> list[tuple[int, int]]:
    return [(item.rank, item.row) for item in found]


def test_rank() -> None:
    scored = np.array([0.1, 0.9, 0.5, 0.9, -1.0, np.nan], np.float32)
    assert places(rank(scored, Metric.cosine, 3)) == [(1, 1), (2, 3), (3, 2)]
    assert places(rank(scored, Metric.cosine, 2, left_out=[1])) == [(1, 3), (2, 2)]
    assert places(rank(scored, Metric.euclidean, 2)) == [(1, 4), (2, 0)]
    assert places(rank(scored, Metric.cosine, 1, also=[4, 0])) == [(1, 1), (4, 0), (5, 4)]
    assert places(rank(scored, Metric.cosine, 1, also=[1, 99])) == [(1, 1)]
    assert len(rank(scored, Metric.cosine, 100, left_out=[2, 99])) == 5
    assert rank(scored, Metric.cosine, 3, left_out=range(6)) == []


@pytest.mark.parametrize("metric", list(Metric))
def test_the_nearest_are_those_of_float64(metric: Metric) -> None:
    """Rows that differ by less than float32 can tell apart, each at several places: ordered and scored exactly."""
    rng = np.random.default_rng(3)
    near = rng.standard_normal(301).astype(np.float32) + 1e-6 * rng.standard_normal((40, 301)).astype(np.float32)
    rows = np.concatenate([rng.standard_normal((900, 301)).astype(np.float32), near, near, near])
    target = 1.5 * rows[905].astype(np.float64)
    exact = reference_scores(rows, target, metric)
    exact = exact if metric is Metric.euclidean else -exact
    expected = [row for row in np.argsort(exact, kind="stable") if row != 905][:60]
    found = nearest(Matrix(rows), target, metric, 60, left_out=[905])
    assert [abs(item.score) for item in found] == pytest.approx(np.abs(exact[expected]), rel=1e-12)
    assert [item.row for item in found if item.row >= 900] == [row for row in expected if row >= 900]
    assert [item.rank for item in found] == list(range(1, 61))


def test_as_many_of_equals_as_asked_for_in_the_order_of_the_rows() -> None:
    rows = np.tile(random_rows(1, 300), (1_003, 1))
    matrix, target = Matrix(rows), rows[0].astype(np.float64)
    assert [item.row for item in nearest(matrix, target, Metric.cosine, 5)] == [0, 1, 2, 3, 4]
    assert [item.row for item in nearest(matrix, target, Metric.dot, 5, 3, left_out=[0])] == [1, 2]
    kept = nearest(matrix, -target, Metric.cosine, 1, also=[700])
    assert places(kept) == [(1, 0), (1, 700)]


@pytest.mark.slow
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=40),
    st.integers(1, 50),
    st.sets(st.integers(0, 45)),
    st.sampled_from(list(Metric)),
)
def test_rank_is_a_stable_sort(values: list[int], top: int, left_out: set[int], metric: Metric) -> None:
    sign = 1 if metric is Metric.euclidean else -1
    expected = sorted((row for row in range(len(values)) if row not in left_out), key=lambda row: sign * values[row])
    found = rank(np.array(values, np.float32), metric, top, left_out=left_out)
    assert [item.row for item in found] == expected[:top]
    assert [item.rank for item in found] == list(range(1, len(found) + 1))


def test_unit_leaves_zero_alone() -> None:
    assert unit(np.array([[0, 0], [3, 4]], np.float32)) == pytest.approx(np.array([[0, 0], [0.6, 0.8]]))

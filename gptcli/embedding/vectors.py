"""The geometry of embeddings: products and distances, nearest rows, and the arithmetic of analogies.

This module knows vectors and row numbers; ``queries`` knows the words. Matrices are read in chunks, so that one of a
gigabyte takes a few megabytes of memory.

Cosine arithmetic follows gensim's ``KeyedVectors.most_similar`` (and word2vec's tool before it): vectors are normalised
to length 1 before they are added. Dot products and distances are of the vectors as they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gptcli.embedding.matrix import Doubles, Floats, Matrix, row_lengths
from gptcli.embedding.metric import Metric
from gptcli.errors import InputError

# Of 3CosMul's denominator, as in Levy and Goldberg (2014) and gensim.
_EPSILON = 0.000001
# Rows computed in float64 at a time.
_EXACT_ROWS = 100
_Numbers = TypeVar("_Numbers", Floats, Doubles)


@dataclass(frozen=True)
class Ranked:
    """A row of a matrix and its rank.

    Attributes:
        rank: 1 for the most similar, among all rows that are not left out.
        row: its number.
        score: its similarity.
    """

    rank: int
    row: int
    score: float


def unit(vectors: _Numbers) -> _Numbers:
    """Vectors (the last axis) normalised to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: _Numbers = vectors / np.maximum(lengths, np.finfo(vectors.dtype).tiny)
    return scaled


def weighted_sum(vectors: Floats, weights: Sequence[float], metric: Metric) -> Doubles:
    """The target of an analogy, [d]: the sum of ``vectors`` [k, d], normalised first for the cosine.

    Raises:
        InputError: it is the zero vector, which has no direction.
    """
    exact = vectors.astype(np.float64)
    total: Doubles = np.asarray(weights, np.float64) @ (unit(exact) if metric is Metric.cosine else exact)
    if metric is Metric.cosine and np.linalg.norm(total) <= 1e-6 * np.abs(weights).sum():
        raise InputError("the words cancel out: what is left is the zero vector, and nothing is similar to that")
    return total


def scores(matrix: Matrix, target: Doubles, metric: Metric, rows: int | None = None) -> Floats:
    """The similarity of the first ``rows`` rows with ``target`` [d], in float32: [rows]; zero vectors have cosine 0."""
    point = (unit(target) if metric is Metric.cosine else target).astype(np.float32)
    if metric is Metric.euclidean:
        return matrix.each(lambda _, chunk: row_lengths(chunk - point), rows)
    dots = matrix.times(point, rows)
    if metric is Metric.cosine:
        dots /= np.maximum(matrix.lengths(rows), np.finfo(np.float32).tiny)
        np.clip(dots, -1, 1, out=dots)  # the square of a very short row may be zero
    return dots


def product_scores(matrix: Matrix, vectors: Floats, weights: Sequence[float], rows: int | None = None) -> Floats:
    """3CosMul (Levy and Goldberg 2014, equation 4): the product of the similarities to the words that are added,
    divided by that of the words that are subtracted, each mapped to 0 ... 1 by (1 + cosine)/2; a weight is an exponent.

    Args:
        matrix: the rows to score.
        vectors: the words of the analogy, [k, d].
        weights: their factors, [k].
        rows: how many rows to score, from the first.

    Raises:
        InputError: no word is added.
    """
    powers = np.asarray(weights, np.float32)
    if not (powers > 0).any():
        raise InputError("--method mul needs at least one word that is added")
    targets = unit(vectors)

    lengths = np.maximum(matrix.lengths(rows), np.finfo(np.float32).tiny)

    def of_chunk(first: int, chunk: Floats) -> Floats:
        shifted = np.maximum((1 + chunk @ targets.T / lengths[first : first + len(chunk), None]) / 2, 0)
        added = np.prod(shifted[:, powers > 0] ** powers[powers > 0], axis=1)
        taken = np.prod(shifted[:, powers < 0] ** -powers[powers < 0], axis=1)
        ratio: Floats = (added / (taken + _EPSILON)).astype(np.float32)
        return ratio

    return matrix.each(of_chunk, rows)


def nearest(
    matrix: Matrix,
    target: Doubles,
    metric: Metric,
    top: int,
    rows: int | None = None,
    *,
    left_out: Iterable[int] = (),
    also: Iterable[int] = (),
) -> list[Ranked]:
    """The rows most similar to ``target`` [d], best first; equal ones in the order of the rows.

    All rows are compared in float32. Those that may be among the best are computed again in float64, by which they are
    ordered and reported.

    Args:
        matrix, target, metric: which rows, and how they are compared.
        top: how many to return.
        rows: how many to search, from the first.
        left_out, also: see ``rank``.
    """
    left_out, also = set(left_out), set(also)
    rough = scores(matrix, target, metric, rows)
    error = _error(matrix, target, metric, rough)
    near = _near_the_top(rough, metric, top + len(left_out), error) | {row for row in also if row < len(rough)}
    scored = rough.astype(np.float64)
    ordered = sorted(near)
    for start in range(0, len(ordered), _EXACT_ROWS):
        part = ordered[start : start + _EXACT_ROWS]
        scored[part] = _alike(matrix.take(part).astype(np.float64), target, metric)
    return rank(scored, metric, top, left_out=left_out, also=also)


def _error(matrix: Matrix, target: Doubles, metric: Metric, scored: Floats) -> float:
    """A bound on the error in float32: d products and sums, each rounded by at most half a unit of the largest."""
    scale = 1.0
    if metric is Metric.dot:
        scale = float(_largest(matrix.lengths(len(scored))) * np.linalg.norm(target))
    elif metric is Metric.euclidean:
        scale = _largest(scored)
    eps = float(np.finfo(np.float32).eps)
    rounded = eps * float(np.linalg.norm(target)) if metric is Metric.euclidean else 0.0
    return 2 * len(target) * eps * scale + rounded


def _largest(values: Floats) -> float:
    return float(values.max(initial=0, where=np.isfinite(values)))


def _near_the_top(scored: Floats, metric: Metric, top: int, error: float) -> set[int]:
    """The rows that may be among the best ``top`` if each score has an error of up to ``error``."""
    order = _order(scored, metric)
    cut = np.partition(order, top - 1)[top - 1] if 0 < top < len(order) else np.inf
    return set(map(int, np.flatnonzero(order <= cut + 2 * error)))


def _order(scored: Floats | Doubles, metric: Metric) -> Floats | Doubles:
    """An ascending sort key, best row first; NaN comes last."""
    order = -scored if metric is not Metric.euclidean else scored.copy()
    order[np.isnan(order)] = np.inf
    return order


def rank(
    scored: Floats | Doubles, metric: Metric, top: int, *, left_out: Iterable[int] = (), also: Iterable[int] = ()
) -> list[Ranked]:
    """The rows that score best, best first; equal scores in the order of the rows.

    Args:
        scored: a score for each row.
        metric: determines whether the largest or the smallest is best.
        top: how many to return.
        left_out: rows to leave out.
        also: rows to add at the end if they are not among the best.
    """
    order = _order(scored, metric)
    absent = sorted({row for row in left_out if row < len(order)})
    order[absent] = np.inf
    count = min(top, len(order) - len(absent))
    # A few more than requested, so that ties are broken by row.
    cut = np.partition(order, count - 1)[count - 1] if count else -np.inf
    candidates = np.flatnonzero(order <= cut)
    best = [int(row) for row in candidates[np.argsort(order[candidates], kind="stable")] if int(row) not in absent]
    found = [Ranked(number, row, float(scored[row])) for number, row in enumerate(best[:count], start=1)]
    later = sorted({row for row in also if row < len(order)} - {item.row for item in found}, key=lambda row: order[row])
    return found + [Ranked(1 + int((order < order[row]).sum()), row, float(scored[row])) for row in later]


def pairwise(vectors: Floats | Doubles, metric: Metric) -> Doubles:
    """The similarity of each of ``vectors`` [k, d] with each: [k, k]."""
    exact: Doubles = vectors.astype(np.float64)
    return np.stack([_alike(exact, vector, metric) for vector in exact])


def _alike(vectors: Doubles, target: Doubles, metric: Metric) -> Doubles:
    """The similarity of each of ``vectors`` [k, d] with ``target`` [d]: [k]."""
    if metric is Metric.euclidean:
        distances: Doubles = np.linalg.norm(vectors - target, axis=1)
        return distances
    dots: Doubles = np.einsum("ij,j->i", vectors, target)
    if metric is Metric.cosine:
        dots /= np.maximum(np.linalg.norm(vectors, axis=1) * np.linalg.norm(target), np.finfo(np.float64).tiny)
    return dots

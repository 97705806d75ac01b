"""The geometry of embeddings: products and distances, nearest rows, and the arithmetic of analogies.

Everything here is vectors and row numbers; the words belong to ``gptcli.embedding``. Matrices are read a chunk at a
time, so that one of a gigabyte takes a few megabytes.

Cosine arithmetic follows gensim's ``KeyedVectors.most_similar`` (and word2vec's tool before it): the vectors are
brought to length 1 before they are added. Dot products and distances are taken between the vectors as they are.
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
# Rows that are worked out in float64 at a time.
_EXACT_ROWS = 100
_Numbers = TypeVar("_Numbers", Floats, Doubles)


@dataclass(frozen=True)
class Ranked:
    """A row of a matrix and its place among all.

    Attributes:
        rank: its place, 1 for the most alike, counted among all rows that are not left out.
        row: its number.
        score: how alike it is.
    """

    rank: int
    row: int
    score: float


def unit(vectors: _Numbers) -> _Numbers:
    """Vectors (the last axis) brought to length 1; a zero vector stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: _Numbers = vectors / np.maximum(lengths, np.finfo(vectors.dtype).tiny)
    return scaled


def weighted_sum(vectors: Floats, weights: Sequence[float], metric: Metric) -> Doubles:
    """The point that an analogy leads to, [d]: the sum of ``vectors`` [k, d], at length 1 first for the cosine.

    Raises:
        InputError: it is the zero vector, which has no direction.
    """
    exact = vectors.astype(np.float64)
    total: Doubles = np.asarray(weights, np.float64) @ (unit(exact) if metric is Metric.cosine else exact)
    if metric is Metric.cosine and np.linalg.norm(total) <= 1e-6 * np.abs(weights).sum():
        raise InputError("the words cancel out: what is left is the zero vector, and nothing is similar to that")
    return total


def scores(matrix: Matrix, target: Doubles, metric: Metric, rows: int | None = None) -> Floats:
    """How alike each of the first ``rows`` rows is to ``target`` [d], in float32: [rows]; zeros have cosine 0."""
    point = (unit(target) if metric is Metric.cosine else target).astype(np.float32)
    if metric is Metric.euclidean:
        return matrix.each(lambda _, chunk: row_lengths(chunk - point), rows)
    dots = matrix.times(point, rows)
    if metric is Metric.cosine:
        dots /= np.maximum(matrix.lengths(rows), np.finfo(np.float32).tiny)
        np.clip(dots, -1, 1, out=dots)  # the square of a very short row may be zero
    return dots


def product_scores(matrix: Matrix, vectors: Floats, weights: Sequence[float], rows: int | None = None) -> Floats:
    """3CosMul (Levy and Goldberg 2014, equation 4): the product of the similarities to the words that are added, over
    that of those taken away, each shifted to 0 ... 1 by (1 + cosine)/2; a weight is a power.

    Args:
        matrix: the rows to score.
        vectors: the words of the analogy, [k, d].
        weights: what each is multiplied by, k of them.
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
    """The rows most alike to ``target`` [d], best first; equal ones in the order of the rows.

    All rows are compared in float32; those that may be among the best are then worked out in float64, which is what
    orders them and what is reported.

    Args:
        matrix, target, metric: which rows, and how they are compared.
        top: how many to return.
        rows: how many to search, from the first.
        left_out, also: as ``rank`` takes them.
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
    """More than float32 can be wrong by: d products and their sums, each off by half a unit of the largest at most."""
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
    """The rows that may be among the best ``top`` if each score may be wrong by ``error``."""
    order = _order(scored, metric)
    cut = np.partition(order, top - 1)[top - 1] if 0 < top < len(order) else np.inf
    return set(map(int, np.flatnonzero(order <= cut + 2 * error)))


def _order(scored: Floats | Doubles, metric: Metric) -> Floats | Doubles:
    """What sorts rows from best to worst when it rises; rows without a number come last."""
    order = -scored if metric is not Metric.euclidean else scored.copy()
    order[np.isnan(order)] = np.inf
    return order


def rank(
    scored: Floats | Doubles, metric: Metric, top: int, *, left_out: Iterable[int] = (), also: Iterable[int] = ()
) -> list[Ranked]:
    """The rows that score best, best first; equal scores in the order of the rows.

    Args:
        scored: a score for each row.
        metric: tells whether the largest or the smallest is best.
        top: how many to return.
        left_out: rows that do not take part.
        also: rows to return behind the others where they are not among the best.
    """
    order = _order(scored, metric)
    absent = sorted({row for row in left_out if row < len(order)})
    order[absent] = np.inf
    count = min(top, len(order) - len(absent))
    # A few more than asked for, so that a tie at the cut does not decide which rows stay.
    cut = np.partition(order, count - 1)[count - 1] if count else -np.inf
    candidates = np.flatnonzero(order <= cut)
    best = [int(row) for row in candidates[np.argsort(order[candidates], kind="stable")] if int(row) not in absent]
    found = [Ranked(place, row, float(scored[row])) for place, row in enumerate(best[:count], start=1)]
    later = sorted({row for row in also if row < len(order)} - {item.row for item in found}, key=lambda row: order[row])
    return found + [Ranked(1 + int((order < order[row]).sum()), row, float(scored[row])) for row in later]


def pairwise(vectors: Floats | Doubles, metric: Metric) -> Doubles:
    """How alike each of ``vectors`` [k, d] is to each other: [k, k]."""
    exact: Doubles = vectors.astype(np.float64)
    return np.stack([_alike(exact, vector, metric) for vector in exact])


def _alike(vectors: Doubles, target: Doubles, metric: Metric) -> Doubles:
    """How alike each of ``vectors`` [k, d] is to ``target`` [d]: [k]."""
    if metric is Metric.euclidean:
        distances: Doubles = np.linalg.norm(vectors - target, axis=1)
        return distances
    dots: Doubles = np.einsum("ij,j->i", vectors, target)
    if metric is Metric.cosine:
        dots /= np.maximum(np.linalg.norm(vectors, axis=1) * np.linalg.norm(target), np.finfo(np.float64).tiny)
    return dots

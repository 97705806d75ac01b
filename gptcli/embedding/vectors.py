"""The geometry of embeddings: products and distances, nearest rows, and the arithmetic of analogies.

Everything here is vectors and row numbers; the words belong to ``gptcli.embedding``. Matrices are read a chunk at a
time, so that one of a gigabyte takes a few megabytes.

Cosine arithmetic follows gensim's ``KeyedVectors.most_similar`` (and word2vec's tool before it): the vectors are
brought to length 1 before they are added. Dot products and distances are taken between the vectors as they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gptcli.embedding.matrix import Floats, Matrix, row_lengths
from gptcli.embedding.metric import Metric
from gptcli.errors import InputError

# Of 3CosMul's denominator, as in Levy and Goldberg (2014) and gensim.
_EPSILON = 0.000001


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


def unit(vectors: Floats) -> Floats:
    """Vectors (the last axis) brought to length 1; a zero vector stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def weighted_sum(vectors: Floats, weights: Sequence[float], metric: Metric) -> Floats:
    """The point that an analogy leads to, [d]: the sum of ``vectors`` [k, d], at length 1 first for the cosine.

    Raises:
        InputError: it is the zero vector, which has no direction.
    """
    parts = unit(vectors) if metric is Metric.cosine else vectors
    total: Floats = np.asarray(weights, np.float32) @ parts
    if metric is Metric.cosine and np.linalg.norm(total) < 1e-6 * np.abs(weights).sum():
        raise InputError("the words cancel out: what is left is the zero vector, and nothing is similar to that")
    return total


def scores(matrix: Matrix, target: Floats, metric: Metric, rows: int | None = None) -> Floats:
    """How alike each of the first ``rows`` rows is to ``target`` [d]: [rows]. A row of zeros has cosine 0."""
    if metric is Metric.euclidean:
        return matrix.each(lambda _, chunk: row_lengths(chunk - target), rows)
    if metric is Metric.cosine:
        target = unit(target)
    dots = matrix.each(lambda _, chunk: np.einsum("ij,j->i", chunk, target), rows)
    if metric is Metric.cosine:
        dots /= np.maximum(matrix.lengths(rows), np.finfo(np.float32).tiny)
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


def rank(
    scored: Floats, metric: Metric, top: int, *, left_out: Iterable[int] = (), also: Iterable[int] = ()
) -> list[Ranked]:
    """The rows that score best, best first; equal scores in the order of the rows.

    Args:
        scored: a score for each row.
        metric: tells whether the largest or the smallest is best.
        top: how many to return.
        left_out: rows that do not take part.
        also: rows to return behind the others where they are not among the best.
    """
    order = -scored if metric is not Metric.euclidean else scored.copy()
    order[np.isnan(order)] = np.inf
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


def pairwise(vectors: Floats, metric: Metric) -> npt.NDArray[np.float64]:
    """How alike each of ``vectors`` [k, d] is to each other: [k, k]."""
    exact = vectors.astype(np.float64)
    if metric is Metric.euclidean:
        return np.stack([np.linalg.norm(exact - vector, axis=1) for vector in exact])
    if metric is Metric.cosine:
        exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    products: npt.NDArray[np.float64] = exact @ exact.T
    return products

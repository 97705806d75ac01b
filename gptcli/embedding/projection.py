"""Projection of points onto a few axes: principal components, and directions that the user gives.

Principal component analysis as in Jolliffe (2002, chapter 3): the axes are the right singular vectors of the centred
points, in the order of the variance along them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gptcli.embedding.matrix import Doubles
from gptcli.errors import InputError

Vectors = Sequence[npt.NDArray[np.floating]] | npt.NDArray[np.floating]

# A direction with a smaller part of the points' spread than this has rounding errors, not variance.
_NOTHING = 1e-10
_PARALLEL = 0.9999


@dataclass(frozen=True)
class Projection:
    """Points projected onto k axes.

    Attributes:
        directions: the axes, of length 1, [k, d]; zeros for an axis without variance.
        coordinates: of each point along each axis, from the points' mean, [n, k].
        shares: the part of the points' variance along each axis, [k]. Those of principal components add up to at most
            1; given directions need not be orthogonal, so their shares may overlap.
        means: the dot product of the points' mean with each axis, [k]: what to add to a coordinate for the dot
            product of the point itself.
    """

    directions: Doubles
    coordinates: Doubles
    shares: Doubles
    means: Doubles


def project(
    points: npt.NDArray[np.floating], own: Sequence[npt.NDArray[np.floating]] = (), count: int = 3
) -> Projection:
    """Project points onto given directions, then onto the principal components of the remainder.

    Args:
        points: [n, d].
        own: given directions, which become the first axes, each [d] of any length.
        count: how many axes there are in all.

    Raises:
        InputError: the points are all equal, or a given direction is zero or repeats another.
    """
    exact = np.asarray(points, np.float64)
    mean = exact.mean(axis=0)
    centred = exact - mean
    total = float(np.square(centred).sum())
    if total <= _NOTHING**2 * max(float(np.square(exact).sum()), np.finfo(np.float64).tiny):
        raise InputError("these words all have one and the same vector: there is nothing to spread out on a map")
    given = _unit_directions(own, exact.shape[1])
    basis = np.linalg.qr(given.T)[0]  # [d, own], an orthonormal basis of them
    found = principal_directions(centred - centred @ basis @ basis.T, count - len(given), total)
    directions = np.concatenate([given, found])
    coordinates = centred @ directions.T
    return Projection(directions, coordinates, np.square(coordinates).sum(axis=0) / total, directions @ mean)


def principal_directions(centred: Doubles, count: int, total: float) -> Doubles:
    """The directions of greatest variance of centred points [n, d], greatest first: [count, d].

    The sign makes the entry of largest magnitude positive, as in scikit-learn's PCA, so that the same points always
    give the same map.

    Args:
        centred: points whose mean is zero.
        count: how many directions; those that would have no variance are zeros.
        total: the sum of squares of all points, to recognise rounding errors.
    """
    directions = np.zeros((max(count, 0), centred.shape[1]))
    _, spreads, found = np.linalg.svd(centred, full_matrices=False)
    for row, direction in enumerate(found[: len(directions)]):
        if spreads[row] > _NOTHING * np.sqrt(total):
            directions[row] = direction * np.sign(direction[np.abs(direction).argmax()])
    return directions


def _unit_directions(own: Vectors, width: int) -> Doubles:
    """Directions normalised to length 1, [own, d]."""
    given: Doubles = np.array([np.asarray(direction, np.float64) for direction in own]).reshape(-1, width)
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise InputError("the words of an --axis cancel out: what is left has no direction")
    given /= lengths
    products = np.abs(given @ given.T) - np.eye(len(given))
    if (products > _PARALLEL).any():
        raise InputError("both --axis are one and the same direction: leave one out")
    return given

"""Principal components against numpy's covariance eigenvectors, and axes of one's own against dot products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptcli.embedding.projection import project
from gptcli.errors import InputError


def cloud(n: int = 40, d: int = 7, seed: int = 0) -> np.ndarray:
    """Points that vary differently in every direction, around a mean that is not zero."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) * np.arange(1, d + 1) @ generator.normal(size=(d, d)) + 5


def test_by_hand() -> None:
    """Along (3, 4)/5 at -10, 0, 10 and across it at +-1: variance 200 to 2."""
    along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    points = np.array([100, 200]) + np.array([-10 * along, 10 * along, across, -across])
    seen = project(points, count=2)
    np.testing.assert_allclose(seen.directions, [[0.6, 0.8], [0.8, -0.6]], atol=1e-12)
    np.testing.assert_allclose(seen.coordinates, [[-10, 0], [10, 0], [0, -1], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(seen.shares, [200 / 202, 2 / 202], atol=1e-12)
    np.testing.assert_allclose(seen.means, [220, -40], atol=1e-12)


def test_components_are_the_eigenvectors_of_the_covariance() -> None:
    points = cloud()
    variances, vectors = np.linalg.eigh(np.cov(points.T))
    seen = project(points)
    for place in range(3):
        expected = vectors[:, -1 - place]
        expected = expected * np.sign(expected[np.abs(expected).argmax()])
        np.testing.assert_allclose(seen.directions[place], expected, atol=1e-9)
        np.testing.assert_allclose(seen.coordinates[:, place], (points - points.mean(0)) @ expected, atol=1e-9)
    np.testing.assert_allclose(seen.shares, variances[::-1][:3] / variances.sum(), atol=1e-12)


def test_an_axis_of_ones_own_is_a_dot_product_and_the_rest_is_at_right_angles_to_it() -> None:
    points, own = cloud(), [np.arange(1.0, 8.0), np.array([1.0, 0, 0, 0, 0, 0, 0])]
    seen = project(points, own)
    for place, direction in enumerate(own):
        dots = points @ direction / np.linalg.norm(direction)
        np.testing.assert_allclose(seen.coordinates[:, place] + seen.means[place], dots, atol=1e-9)
        assert seen.shares[place] == pytest.approx(dots.var() / points.var(axis=0).sum())
        assert abs(seen.directions[2] @ direction) < 1e-9
    # No direction at right angles to both has more variance than the one found.
    plane = np.linalg.qr(np.array(own).T)[0]
    rest = np.eye(7) - plane @ plane.T
    most = np.linalg.eigvalsh(rest @ np.cov(points.T) @ rest)[-1]
    assert seen.coordinates[:, 2].var(ddof=1) == pytest.approx(most)


@pytest.mark.slow
@given(st.integers(2, 12), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_what_holds_for_all_points(n: int, d: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    seen = project(points)
    assert seen.coordinates.shape == (n, 3)
    np.testing.assert_allclose(seen.coordinates.mean(axis=0), 0, atol=1e-6)
    assert (np.diff(seen.shares) <= 1e-12).all()
    assert seen.shares.min() >= 0
    assert seen.shares.sum() <= 1 + 1e-9
    if min(n - 1, d) <= 3:  # three axes hold everything
        assert seen.shares.sum() == pytest.approx(1)
        distances = np.linalg.norm(points[:, None] - points, axis=-1)
        flat = np.linalg.norm(seen.coordinates[:, None] - seen.coordinates, axis=-1)
        np.testing.assert_allclose(flat, distances, atol=1e-5)
    # Whatever the order of the points, they lie the same way round.
    np.testing.assert_allclose(project(points[::-1]).coordinates[::-1], seen.coordinates, atol=1e-5)


def test_where_nothing_varies_an_axis_is_zero() -> None:
    seen = project(np.array([[1.0, 2, 3], [2, 4, 6], [3, 6, 9]]))
    np.testing.assert_allclose(seen.shares, [1, 0, 0], atol=1e-12)
    assert not seen.directions[1:].any()


@pytest.mark.parametrize(
    ("points", "own", "said"),
    [
        (np.ones((3, 4)), [], "one and the same vector"),
        (cloud(), [np.zeros(7)], "cancel out"),
        (cloud(), [np.ones(7), -2 * np.ones(7)], "same direction"),
    ],
)
def test_what_has_no_map(points: np.ndarray, own: list[np.ndarray], said: str) -> None:
    with pytest.raises(InputError, match=said):
        project(points, own)

"""The Fréchet distance against closed forms, and moments that add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.frechet import Moments, frechet_distance


def moments(mean, covariance, n=100):
    made = Moments(len(mean))
    made.n, made.mean = n, np.asarray(mean, float)
    made.scatter = np.asarray(covariance, float) * (n - 1)
    return made


def features(seed, n=200, d=6):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) + random.normal(size=d)


def distance(x, y):
    return frechet_distance(Moments.of(x), Moments.of(y))


def test_one_dimension():
    assert frechet_distance(moments([1], [[4]]), moments([4], [[25]])) == pytest.approx(3**2 + (2 - 5) ** 2)


def test_diagonal_covariances():
    a, b = np.array([1.0, 4.0, 0.25]), np.array([9.0, 1.0, 0.0])
    expected = 1 + 4 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    measured = frechet_distance(moments([0, 0, 0], np.diag(a)), moments([1, 2, 0], np.diag(b)))
    assert measured == pytest.approx(expected, rel=1e-12)


def test_covariances_that_do_not_commute():
    """In two dimensions tr (AB)^½ = sqrt(tr AB + 2 sqrt det AB)."""
    a, b = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    measured = frechet_distance(moments([0, 0], a), moments([0, 0], b))
    assert measured == pytest.approx(np.trace(a) + np.trace(b) - 2 * root, rel=1e-12)


def test_rank_one_covariances():
    """C = u uᵀ and v vᵀ: the trace of the root is |u·v|."""
    u, v = np.array([1.0, 2.0, 3.0, 0.0]), np.array([0.0, 1.0, -1.0, 5.0])
    measured = frechet_distance(moments([0] * 4, np.outer(u, u)), moments([0] * 4, np.outer(v, v)))
    assert measured == pytest.approx(u @ u + v @ v - 2 * abs(u @ v), rel=1e-9)


@pytest.mark.parametrize("n", [300, 6, 4])  # full rank, and fewer examples than features
def test_same_examples_are_at_distance_zero(n):
    x = features(1, n=n, d=12)
    assert distance(x, x) < 1e-9 * np.trace(Moments.of(x).covariance())


def test_constant_features_are_at_the_distance_of_their_means():
    assert distance(np.full((9, 3), 2.0), np.full((7, 3), 5.0)) == pytest.approx(27.0)


def test_symmetric_and_invariant_to_rotation_and_shift_and_of_second_degree():
    x, y = features(1), features(2)
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    expected = distance(x, y)
    assert expected > 1
    assert distance(y, x) == pytest.approx(expected, rel=1e-10)
    assert distance(x @ rotation + 5, y @ rotation + 5) == pytest.approx(expected, rel=1e-10)
    assert distance(3 * x, 3 * y) == pytest.approx(9 * expected, rel=1e-10)


def test_same_distribution_is_nearer_than_a_shifted_one():
    random = np.random.default_rng(0)
    real, same, other = (random.normal(m, 1, size=(500, 8)) for m in (0, 0, 0.3))
    assert distance(real, same) < 0.3 < 0.6 < distance(real, other)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 99), st.sampled_from([0.0, 1e4]))
def test_batches_and_shards_add_up_to_the_whole(sizes, seed, offset):
    x = np.random.default_rng(seed).normal(offset, 0.1, size=(sum(sizes) + 2, 3))
    parts = np.split(x, np.cumsum(sizes))
    streamed, merged = Moments(3), Moments(3)
    for part in parts:
        streamed.add(part)
        merged.merge(Moments.of(part))
    for made in (streamed, merged):
        assert made.n == len(x)
        np.testing.assert_allclose(made.mean, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(made.covariance(), np.cov(x.T), rtol=1e-6, atol=1e-10)


def test_a_large_mean_does_not_drown_a_small_spread():
    """Where raw sums of squares in float64 lose six digits more."""
    x = np.random.default_rng(0).normal(100, 0.01, size=(4000, 4))
    made = Moments(4)
    for part in np.array_split(x, 13):
        made.add(part)
    np.testing.assert_allclose(made.covariance(), np.cov(x.T), rtol=1e-11, atol=1e-16)


def test_merging_leaves_the_other_as_it_was():
    a, b = Moments.of(features(1)), Moments.of(features(2))
    before = b.mean.copy(), b.scatter.copy()
    a.merge(b).add(features(3))
    np.testing.assert_array_equal(before[0], b.mean)
    np.testing.assert_array_equal(before[1], b.scatter)


def test_a_feature_that_is_not_finite_makes_the_distance_nan():
    x = features(1)
    x[0, 0] = np.nan
    assert np.isnan(distance(x, features(2)))


def test_what_has_no_distance_is_refused():
    with pytest.raises(DataError, match="two examples, and there are 1"):
        distance(features(1)[:1], features(2))
    with pytest.raises(DataError, match="3 features cannot be compared with 6"):
        distance(features(1)[:, :3], features(2))
    with pytest.raises(DataError, match=r"\[n, 6\]"):
        Moments(6).add(np.zeros(6))

"""The Fréchet distance against closed forms, torch-fidelity and its own laws; its interval."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.frechet import (
    Moments,
    Reference,
    ShardedMoments,
    frechet_difference,
    frechet_distance,
    frechet_interval,
    frechet_intervals,
    frechet_of,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "frechet.json").read_text())["cases"]


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


def golden_features(case):
    """Samples and real examples by the recipe in the file."""
    r, d = np.random.RandomState(case["seed"]), case["d"]
    mix = r.standard_normal((d, d)) / d**0.5
    real = np.maximum(r.standard_normal((case["n"], d)) @ mix + 0.5, -0.5)
    samples = np.maximum(1.2 * r.standard_normal((case["m"], d)) @ mix + 0.6, -0.5)
    return samples.astype(case["dtype"]), real.astype(case["dtype"])


@pytest.mark.parametrize(
    "case", GOLDEN, ids=lambda case: f"{case['m']}x{case['n']}x{case['d']}-{case['dtype']}"
)
def test_agrees_with_torch_fidelity(case):
    samples, real = golden_features(case)
    singular = min(case["n"], case["m"]) <= case["d"]  # where its eigenvalues are good to 1e-7 only
    tolerance = 1e-6 if singular or case["dtype"] == "float32" else 1e-10
    assert distance(samples, real) == pytest.approx(case["distance"], rel=tolerance)
    assert frechet_of(samples, real) == pytest.approx(case["distance"], rel=tolerance)


@pytest.mark.parametrize(("n", "m"), [(10, 8), (100, 8), (8, 100), (60, 100), (24, 25), (2, 300), (2, 2)])
def test_every_way_gives_the_same(n, m):
    """Few rows on both sides, on one, on none; a side known by its moments only; a reference of many."""
    x, y = features(1, n=n, d=24), features(2, n=m, d=24)
    left, right = (part - part.mean(axis=0) for part in (x, y))
    root = np.linalg.svd(left @ right.T, compute_uv=False).sum() / np.sqrt((n - 1) * (m - 1))
    shift = x.mean(axis=0) - y.mean(axis=0)
    expected = shift @ shift + np.cov(x.T).trace() + np.cov(y.T).trace() - 2 * root
    reference = Reference(Moments.of(y))
    for found in (
        frechet_of(x, y),
        frechet_of(x, reference),
        frechet_of(Moments.of(x), y),
        distance(x, y),
        frechet_distance(Moments.of(x), reference),
    ):
        assert found == pytest.approx(expected, rel=1e-9)


def test_features_wider_than_a_panel():
    """Of the product whose eigenvalues are taken, which is made in panels of 256 columns."""
    x, y = features(1, n=700, d=600), features(2, n=800, d=600)
    roots = [np.linalg.cholesky(np.cov(part.T)) for part in (x, y)]
    root = np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum()
    shift = x.mean(axis=0) - y.mean(axis=0)
    expected = shift @ shift + np.cov(x.T).trace() + np.cov(y.T).trace() - 2 * root
    assert distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_dead_and_repeated_features_change_nothing():
    """They make a covariance singular, where a Cholesky factor does not exist or is rounding."""
    x, y = features(1), features(2)
    wide = [np.column_stack([part, np.full(len(part), 7.0)]) for part in (x, y)]
    assert distance(*wide) == pytest.approx(distance(x, y), rel=1e-9)
    twice = [np.column_stack([part, part]) for part in (x, y)]
    assert distance(*twice) == pytest.approx(2 * distance(x, y), rel=1e-9)


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
    trace = np.trace(Moments.of(x).covariance())
    assert distance(x, x) < 1e-9 * trace
    assert frechet_of(x, x) < 1e-9 * trace
    steep = x * np.logspace(0, -9, 12)  # variances over 18 digits
    assert distance(steep, steep) < 1e-9 * np.trace(Moments.of(steep).covariance())


def test_constant_features_are_at_the_distance_of_their_means():
    assert distance(np.full((9, 3), 2.0), np.full((7, 3), 5.0)) == pytest.approx(27.0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.integers(1, 8), st.integers(2, 30), st.integers(2, 30), st.floats(1e-3, 1e3))
def test_laws(seed, d, n, m, scale):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, d)), random.normal(0.3, 2, size=(m, d))
    rotation = np.linalg.qr(random.normal(size=(d, d)))[0]
    size = np.square(x).sum() / n + np.square(y).sum() / m
    expected, shift = frechet_of(x, y), random.normal(size=d)

    def same(found):
        return found == pytest.approx(expected, abs=1e-7 * size)

    assert expected >= 0
    assert same(distance(x, y))
    assert same(frechet_of(y, x))  # symmetry
    assert same(frechet_of(random.permutation(x), random.permutation(y)))
    assert same(frechet_of(x @ rotation + shift, y @ rotation + shift))
    assert same(frechet_of(scale * x, scale * y) / scale**2)


@pytest.fixture(scope="module")
def digits():
    """16 principal components of the 8x8 digits, and their classes."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    pixels, labels = pixels[order], labels[order]
    axes = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)[2][:16]
    return pixels, labels, axes.T


def test_more_noise_is_further(digits):
    pixels, _, axes = digits
    noise = np.random.default_rng(1).normal(size=pixels.shape)
    found = [distance((pixels + level * noise) @ axes, pixels @ axes) for level in (0, 1, 2, 4, 8)]
    assert found == sorted(found)
    assert found[0] < 1e-6 < found[1] < found[-1] / 20


def test_fewer_classes_are_further(digits):
    pixels, labels, axes = digits
    found = [distance((pixels @ axes)[labels < kept], pixels @ axes) for kept in (10, 9, 7, 5, 3, 1)]
    assert found == sorted(found)
    assert found[1] > 1


def test_same_distribution_is_nearer_than_a_shifted_one():
    random = np.random.default_rng(0)
    real, same, other = (random.normal(m, 1, size=(500, 8)) for m in (0, 0, 0.3))
    assert distance(real, same) < 0.3 < 0.6 < distance(real, other)


def test_a_feature_that_is_not_finite_makes_the_distance_nan():
    x = features(1)
    x[0, 0] = np.nan
    assert np.isnan(distance(x, features(2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("n", [4, 200])
def test_no_way_hides_what_is_not_finite(bad, n):
    x = features(1)[:n]
    x[1, 2] = bad
    assert np.isnan(frechet_of(x, features(2)))
    assert np.isnan(frechet_of(features(2)[:4], x))


def test_what_has_no_distance_is_refused():
    with pytest.raises(DataError, match="two examples, and there are 1"):
        distance(features(1)[:1], features(2))
    with pytest.raises(DataError, match="two examples, and there are 1"):
        frechet_of(features(1)[:1], features(2))
    with pytest.raises(DataError, match="3 features cannot be compared with 6: take both from the same"):
        distance(features(1)[:, :3], features(2))
    with pytest.raises(DataError, match="5 features cannot be compared with 6"):
        frechet_of(features(1)[:4, :5], features(2))
    with pytest.raises(DataError, match=r"features are \[n, d\], and these are \[6\]"):
        frechet_of(np.zeros(6), features(2))


def sharded(x):
    return ShardedMoments.of(x)


def test_the_interval_is_the_jackknife_of_both_sides():
    """Against the formula written out: shard k, rows k, k + 20, ..., is deleted from samples and real."""
    from scipy.stats import t

    x, y = features(1, n=210), features(2, n=207)
    found = frechet_interval(sharded(x), sharded(y))
    without = np.array(
        [distance(x[np.arange(210) % 20 != k], y[np.arange(207) % 20 != k]) for k in range(20)]
    )
    whole = distance(x, y)
    value = 20 * whole - 19 * without.mean()
    error = np.sqrt(19 / 20 * np.square(without - without.mean()).sum())
    assert found.plain == pytest.approx(whole, rel=1e-10)
    np.testing.assert_allclose(found.without, without, rtol=1e-10)
    bounds = [value, value - t.ppf(0.975, 19) * error, value + t.ppf(0.975, 19) * error]
    np.testing.assert_allclose([found.value, found.low, found.high], bounds, rtol=1e-8)


def test_the_corrected_value_has_lost_the_bias():
    """Two sets of one distribution: the plain distance is of the order of d (1/n + 1/m), the truth is 0."""
    random = np.random.default_rng(0)
    found = frechet_interval(*(sharded(random.normal(size=(400, 16))) for _ in range(2)))
    assert found.low < 0 < found.high
    assert abs(found.value) < found.plain / 5


@pytest.mark.parametrize(
    ("n", "m", "why"),
    [
        (13, 90, "13 samples for 6 features: fewer than 2.3 a feature"),
        (90, 13, "13 real examples for 6 features"),
        (39, 90, "39 samples are fewer than two a shard"),
    ],
)
def test_too_few_examples_carry_no_interval(n, m, why):
    x, y = features(1, n=n), features(2, n=m)
    found = frechet_interval(sharded(x), sharded(y))
    assert not found.estimable
    assert found.why.startswith(why)
    assert found.value == found.plain == pytest.approx(distance(x, y), rel=1e-10)
    assert found.extra["corrected"] is False


def test_what_is_not_finite_has_no_interval():
    x = features(1)
    x[3, 3] = np.nan
    found = frechet_interval(sharded(x), sharded(features(2)))
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.why == "a feature is not finite"


def test_several_models_are_as_each_alone():
    real, few = sharded(features(1)), sharded(features(5, n=10))
    models = [sharded(features(2)), few, sharded(features(3))]
    assert frechet_intervals(models, real) == [frechet_interval(model, real) for model in models]


def test_a_difference_is_paired():
    """Models that share their latents differ by what sets them apart, not by the noise they share."""
    random = np.random.default_rng(0)
    latents, real = random.normal(size=(600, 8)), sharded(random.normal(size=(600, 8)))
    champion, challenger = sharded(1.20 * latents), sharded(1.25 * latents)
    found = frechet_difference(challenger, champion, real)
    apart, also = frechet_intervals([challenger, champion], real)
    assert found.low > 0  # truly worse: 8 (0.25² - 0.2²) = 0.18
    assert found.low < 0.18 < found.high
    assert found.high - found.low < (apart.high - apart.low) / 2
    assert found.value == pytest.approx(apart.value - also.value, rel=1e-9)
    assert found.plain == pytest.approx(apart.plain - also.plain, rel=1e-9)


def test_a_difference_of_too_few_is_plain():
    real, own = sharded(features(1)), sharded(features(2))
    found = frechet_difference(own, sharded(features(3, n=10)), real)
    assert not found.estimable
    assert found.why.startswith("10 samples for 6 features")
    assert found.value == found.plain
    equal = frechet_difference(own, own, real)
    assert (equal.value, equal.low, equal.high) == (0, 0, 0)


def test_sides_of_other_shards_are_refused():
    with pytest.raises(DataError, match="different numbers of shards"):
        frechet_interval(ShardedMoments.of(features(1), shards=10), sharded(features(2)))

"""Two-sample tests against sklearn, scipy and brute force; their false alarms by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.energy import energy_distance, kolmogorov_smirnov, margins_two_sample
from components.metrics.two_sample import classifier_two_sample, logistic

TESTS = {"classifier": classifier_two_sample, "energy": energy_distance, "margins": margins_two_sample}
small = settings(max_examples=20, deadline=None, derandomize=True)


def rows(seed, n=80, d=4, shift=0.0, spread=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * spread + shift


@pytest.mark.parametrize("ridge", [0.1, 1.0, 20.0])
def test_the_regression_is_that_of_sklearn(ridge):
    sklearn = pytest.importorskip("sklearn.linear_model")
    x = np.concatenate([rows(1), rows(2, shift=0.7)])
    y = np.repeat([0, 1], 80)
    oracle = sklearn.LogisticRegression(C=1 / ridge, tol=1e-12, max_iter=10_000).fit(x, y)
    found = logistic(x, y, np.ones(160), ridge)
    assert found == pytest.approx([*oracle.coef_[0], oracle.intercept_[0]], abs=1e-6)


def test_the_regression_of_sets_that_a_plane_parts_is_finite():
    x = np.concatenate([rows(1), rows(2, shift=50)])
    assert np.isfinite(logistic(x, np.repeat([0, 1], 80), np.ones(160), 1.0)).all()
    assert classifier_two_sample(x[:80], x[80:]).value == 1


@small
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_kolmogorov_smirnov_is_scipys_also_with_ties(seed, n, m, ties):
    from scipy.stats import ks_2samp

    a, b = rows(seed, n, 1)[:, 0], rows(seed + 1, m, 1, 0.4)[:, 0]
    if ties:
        a, b = np.round(a), np.round(b)
    assert kolmogorov_smirnov(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic, abs=1e-12)


def test_the_p_values_of_margins_are_near_the_exact_ones():
    from scipy.stats import ks_2samp

    for shift in (0.0, 0.2, 0.5):
        a, b = rows(3, 150, 3), rows(4, 120, 3, shift)
        exact = [ks_2samp(a[:, k], b[:, k], method="exact").pvalue for k in range(3)]
        found = np.array(margins_two_sample(a, b).extra["p_values"])
        assert (found >= np.array(exact) - 0.002).all()  # never an alarm that the exact test would not give
        assert found == pytest.approx(exact, abs=0.04)


def test_holm_names_the_features_that_differ():
    a, b = rows(5, 300, 6), rows(6, 300, 6)
    b[:, [1, 4]] += 0.6
    found = margins_two_sample(a, b)
    assert found.extra["differ"] == [1, 4]
    assert found.low > 0
    assert found.value == max(found.extra["distances"])


@small
@given(st.integers(0, 999), st.integers(2, 12), st.integers(2, 12), st.integers(1, 3))
def test_energy_distance_by_brute_force_and_its_laws(seed, n, m, d):
    a, b = rows(seed, n, d), rows(seed + 1, m, d, 0.5)

    def mean(x, y):
        return np.linalg.norm(x[:, None] - y, axis=2).mean()

    found = energy_distance(a, b, permutations=1)
    expected = 2 * mean(a, b) - mean(a, a) - mean(b, b)
    assert found.extra["plain"] == pytest.approx(expected, abs=1e-7)
    assert found.extra["plain"] >= -1e-7
    scaled = energy_distance(3 * a + 1, 3 * b + 1, permutations=1)
    assert scaled.extra["plain"] == pytest.approx(3 * expected, abs=1e-6)
    swapped = energy_distance(b, a[::-1], permutations=1)
    assert swapped.extra["plain"] == pytest.approx(expected, abs=1e-7)
    assert energy_distance(a, a, permutations=1).extra["plain"] == pytest.approx(0, abs=1e-7)


def test_energy_distance_in_one_dimension_is_scipys_squared():
    from scipy.stats import energy_distance as oracle

    a, b = rows(7, 60, 1), rows(8, 50, 1, 0.8)
    found = energy_distance(a, b)
    assert found.extra["plain"] == pytest.approx(oracle(a[:, 0], b[:, 0]) ** 2, abs=1e-7)
    assert found.value < found.extra["plain"]  # corrected: what two sets of one distribution would show
    assert found.low < found.value < found.high


@pytest.mark.parametrize("name", TESTS)
def test_each_test_sees_what_it_can_see(name):
    shifted = TESTS[name](rows(9, 200), rows(10, 200, shift=0.6))
    assert shifted.extra["p"] < 0.01
    assert shifted.low > (0.5 if name == "classifier" else 0)
    alike = TESTS[name](rows(9, 200), rows(10, 200))
    assert alike.extra["p"] > 0.05
    assert alike.low <= (0.5 if name == "classifier" else 0)
    spread = TESTS[name](rows(11, 200), rows(12, 200, spread=2.0))
    if name == "classifier":
        assert spread.extra["p"] > 0.01  # a plane cannot part them: features have to show it
    else:
        assert spread.extra["p"] < 0.01


def test_the_larger_side_loses_rows_and_not_the_test_its_balance():
    found = classifier_two_sample(rows(13, 400), rows(14, 60))
    assert found.extra["rows"] == 60
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("test", [classifier_two_sample, energy_distance])
def test_groups_are_never_parted(test):
    """Ten windows of each of eight series that have levels of their own, on both sides: each side's series are
    other ones, and with rows as if independent that is already a difference."""
    random = np.random.default_rng(15)
    groups = np.repeat(np.arange(8), 10)
    real, samples = (random.normal(size=(8, 3))[groups] * 2 + random.normal(size=(80, 3)) for _ in "ab")
    assert test(real, samples).extra["p"] < 0.02
    assert test(real, samples, real_groups=groups, sample_groups=groups).extra["p"] > 0.05


@pytest.mark.parametrize("test", TESTS.values(), ids=TESTS)
def test_bad_input_is_refused_or_marked(test):
    with pytest.raises(DataError, match="rows of the same features"):
        test(rows(1), rows(2, d=3))
    with pytest.raises(DataError, match="rows on each side, and there are 80"):
        test(rows(1), rows(2, n=0))
    broken = rows(2)
    broken[3, 1] = np.nan
    found = test(rows(1), broken)
    assert np.isnan(found.value)
    assert "1 samples are not finite" in found.why
    if test is not margins_two_sample:
        with pytest.raises(DataError, match="give one for each row"):
            test(rows(1), rows(2), real_groups=np.zeros(3))


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(DataError, match="needs as many groups on each side, and there are 3 real"):
        classifier_two_sample(rows(1), rows(2), real_groups=np.arange(80) % 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TESTS)
def test_false_alarms_at_five_percent(name):
    """200 pairs of sets drawn alike; 5 % with a standard error of 1.5 %. Binomial counting would alarm at 11 %."""
    options = {"energy": {"permutations": 99}}.get(name, {})
    found = [TESTS[name](rows(2 * s), rows(2 * s + 1), **options) for s in range(200)]
    assert np.mean([one.extra["p"] <= 0.05 for one in found]) <= 0.09
    if name == "classifier":
        assert np.mean([one.low <= 0.5 <= one.high for one in found]) >= 0.9

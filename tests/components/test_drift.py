"""Drift: equal samples of any size are no alarm, shifted ones are, and the measures are the textbook's."""

import numpy as np
import pytest

from components.accumulators import Categorical, Numeric
from components.drift import compare, critical_distance, jensen_shannon, kolmogorov_smirnov
from components.modalities import Summary
from components.settings import DriftSettings

SETTINGS = DriftSettings()


def counted(rng, shares, n):
    return Categorical.of({f"c{i}": int(count) for i, count in enumerate(rng.multinomial(n, shares))})


def only(current, reference, settings=SETTINGS):
    """The one finding about one feature."""
    (finding,) = compare(
        Summary(current.total, {"f": current}), Summary(reference.total, {"f": reference}), settings
    )
    return finding


@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize("kinds", [2, 10, 300])
def test_categories_of_one_distribution_are_no_alarm(n, kinds):
    rng = np.random.default_rng(kinds * n)
    shares = rng.dirichlet(np.ones(kinds))
    alarms = sum(only(counted(rng, shares, n), counted(rng, shares, 8 * n)).drifted for _ in range(300))
    assert alarms <= 3


@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, lambda rng, n: rng.poisson(2, n)])
def test_numbers_of_one_distribution_are_no_alarm(n, draw):
    rng = np.random.default_rng(n)
    alarms = sum(only(Numeric.of(draw(rng, n)), Numeric.of(draw(rng, 8 * n))).drifted for _ in range(300))
    assert alarms <= 3


def test_small_samples_would_alarm_without_regard_to_chance():
    rng = np.random.default_rng(0)
    draws = [(Numeric.of(rng.random(10)), Numeric.of(rng.random(80))) for _ in range(100)]
    assert sum(kolmogorov_smirnov(*pair) > SETTINGS.kolmogorov_smirnov for pair in draws) > 80
    assert sum(only(*pair).drifted for pair in draws) == 0


def test_names_that_never_repeat_are_no_alarm():
    a, b = (Categorical.of(f"{split}{i}" for i in range(500)) for split in ("train", "test"))
    finding = only(a, b)
    assert (finding.distance, finding.drifted) == (0.0, False)


def test_planted_shifts_are_found_and_named():
    rng = np.random.default_rng(1)
    tens = np.full(10, 0.1)
    lost = np.append(np.full(7, 1 / 7), np.zeros(3))
    assert only(counted(rng, lost, 300), counted(rng, tens, 3000)).drifted
    skewed = only(counted(rng, np.array([0.9, 0.1]), 200), counted(rng, np.array([0.3, 0.7]), 2000))
    assert skewed.drifted
    new = only(Categorical({"a": 60, "new": 40}), Categorical({"a": 1000}))
    assert (new.drifted, new.most) == (True, "a")
    moved = only(Numeric.of(rng.normal(0.7, 1, 300)), Numeric.of(rng.normal(0, 1, 3000)))
    assert moved.drifted
    assert moved.distance > moved.limit >= SETTINGS.kolmogorov_smirnov


def test_a_difference_beyond_chance_but_below_the_limit_is_no_alarm():
    rng = np.random.default_rng(2)
    a, b = Numeric.of(rng.normal(0.1, 1, 100_000)), Numeric.of(rng.normal(0, 1, 100_000))
    finding = only(a, b)
    assert finding.distance > 2 * critical_distance(1e5, 1e5, 0.001)
    assert not finding.drifted
    assert only(a, b, DriftSettings(kolmogorov_smirnov=0.02)).drifted


def test_numbers_that_go_missing_are_a_shift():
    whole, holes = Numeric.of(np.arange(1000.0)), Numeric.of(np.arange(600.0), missing=400)
    found = compare(Summary(1000, {"f": holes}), Summary(1000, {"f": whole}), SETTINGS)
    assert [(one.feature, one.drifted) for one in found] == [("f", True), ("f missing", True)]


def test_values_of_few_records_are_not_taken_for_as_many_observations():
    rng = np.random.default_rng(3)
    few = Numeric.of(rng.normal(0.8, 1, 1000))  # one song
    many = Numeric.of(rng.normal(0, 1, 100_000))
    finding = compare(Summary(1, {"f": few}), Summary(100, {"f": many}), SETTINGS)[0]
    assert finding.limit > 0.3


def test_features_that_only_one_side_has_or_has_no_values_of_are_left_out():
    a = Summary(2, {"x": Numeric.of([1, 2]), "y": Numeric.of([1]), "z": Numeric()})
    b = Summary(2, {"x": Numeric.of([1, 2]), "y": Categorical({"a": 1}), "z": Numeric.of([1])})
    assert [one.feature for one in compare(a, b, SETTINGS)] == ["x"]
    assert compare(Summary(0), b, SETTINGS) == []


def test_the_measures_are_those_of_the_textbook():
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 1.0])) == 1
    assert jensen_shannon(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(4)
    p, q = rng.dirichlet(np.ones(9), 2)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, 2) ** 2)
    a, b = rng.poisson(3, 500), rng.poisson(4, 70)
    assert kolmogorov_smirnov(Numeric.of(a), Numeric.of(b)) == pytest.approx(ks_2samp(a, b).statistic)
    x, y = rng.standard_normal(5000), rng.normal(0.5, 2, 4000)  # in buckets
    assert kolmogorov_smirnov(Numeric.of(x), Numeric.of(y)) == pytest.approx(
        ks_2samp(x, y).statistic, abs=0.01
    )
    some = rng.choice(x, 50)  # one exact, one in buckets
    assert kolmogorov_smirnov(Numeric.of(x), Numeric.of(some)) == pytest.approx(
        ks_2samp(x, some).statistic, abs=0.02
    )

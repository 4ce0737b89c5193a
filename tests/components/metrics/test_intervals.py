"""Intervals: closed forms, an oracle (scipy, statsmodels' formulas by hand) and how often they cover."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.errors import DataError
from components.metrics.intervals import (
    SHARDS,
    Estimate,
    bootstrap,
    difference,
    exactly,
    holm,
    jackknife,
    mean,
    ratio,
    shard_of,
    share,
    wilson,
)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (372, 1000)])
def test_wilson_is_scipys(successes: int, n: int) -> None:
    own = wilson(successes, n)
    oracle = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert own.value == successes / n
    assert (own.low, own.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


@settings(derandomize=True, max_examples=50)
@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_holds_its_value(n: int, share: float) -> None:
    own = wilson(int(share * n), n)
    assert 0 <= own.low <= own.value <= own.high <= 1


def test_mean_is_scipys_t_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 50)
    own = mean(values)
    oracle = stats.ttest_1samp(values, 0).confidence_interval()
    assert (own.low, own.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert own.estimable


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], [1.0, math.inf]])
def test_without_an_interval_it_says_why(values: list[float]) -> None:
    own = mean(np.array(values))
    assert not own.estimable
    assert own.why


def test_jackknife_of_a_mean_is_the_mean_and_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=100).reshape(20, 5)
    without = [np.delete(values, k, axis=0).mean() for k in range(20)]
    own = jackknife(values.mean(), without)
    assert own.value == pytest.approx(values.mean(), abs=1e-12)
    assert own.extra["standard_error"] == pytest.approx(values.mean(axis=1).std(ddof=1) / math.sqrt(20))


def test_jackknife_removes_the_bias_of_the_plain_variance() -> None:
    values = np.random.default_rng(2).normal(size=20)
    own = jackknife(values.var(), [np.delete(values, k).var() for k in range(20)])
    assert own.value == pytest.approx(values.var(ddof=1), rel=1e-12)
    assert own.extra["plain"] == values.var()


def test_jackknife_with_a_nan_is_marked() -> None:
    own = jackknife(1.0, [1.0, math.nan])
    assert not own.estimable
    assert own.why == "a value is not finite"


def test_bootstrap_covers_a_median() -> None:
    random = np.random.default_rng(3)
    found = [bootstrap(random.normal(size=60), np.median, replicates=200, seed=s) for s in range(100)]
    assert 0.88 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 1


def test_blocks_widen_the_interval_of_dependent_rows() -> None:
    random = np.random.default_rng(4)
    walk = np.zeros(400)
    for t in range(1, 400):
        walk[t] = 0.9 * walk[t - 1] + random.normal()
    single, blocks = bootstrap(walk, np.mean), bootstrap(walk, np.mean, block=40)
    assert blocks.high - blocks.low > 2 * (single.high - single.low)


def test_bootstrap_of_fewer_than_two_blocks_is_not_estimable() -> None:
    assert not bootstrap(np.arange(10.0), np.mean, block=6).estimable


def test_holm_by_hand() -> None:
    p = [0.01, 0.04, 0.03, math.nan, 0.005]
    # sorted: 0.005 <= .05/4, 0.01 <= .05/3, 0.03 > .05/2: stop
    assert holm(p).tolist() == [True, False, False, False, True]


def test_what_cannot_be_counted_is_refused() -> None:
    for wrong in (lambda: wilson(1, 0), lambda: wilson(3, 2), lambda: mean(np.zeros(0))):
        with pytest.raises(DataError):
            wrong()
    with pytest.raises(DataError):
        jackknife(1.0, [1.0])
    with pytest.raises(DataError):
        bootstrap(np.zeros(3), np.mean, block=4)


def test_shards_are_even() -> None:
    assert np.bincount(shard_of(45)).tolist() == [3] * 5 + [2] * (SHARDS - 5)


def test_an_estimate_without_bounds_is_not_estimable() -> None:
    assert not Estimate(1.0).estimable


def test_a_pair_on_the_same_rows_differs_by_less_than_two_strangers() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(0, 10, 1000)
    own, other = mean(rows + random.normal(0.1, 0.1, 1000)), mean(rows)
    paired = difference(own, other)
    assert paired.method.startswith("paired")
    assert 0 < paired.low < 0.1 < paired.high
    assert paired.value == pytest.approx(0.1, abs=0.02)
    strangers = difference(
        Estimate(own.value, own.low, own.high), Estimate(other.value, other.low, other.high)
    )
    assert strangers.high - strangers.low > 10 * (paired.high - paired.low)
    assert strangers.low < 0 < strangers.high


def test_a_model_differs_from_itself_by_nothing() -> None:
    own = share(np.arange(100) % 3 == 0)
    assert difference(own, own).told() == {
        "value": 0.0, "low": 0.0, "high": 0.0, "interval": "paired jackknife of 20 shards"
    }  # fmt: skip


def test_independent_intervals_cover_the_difference() -> None:
    random = np.random.default_rng(6)
    found = [difference(*(wilson(int(random.binomial(80, p)), 80) for p in (0.3, 0.5))) for _ in range(300)]
    assert 0.92 <= np.mean([one.low <= -0.2 <= one.high for one in found]) <= 0.99


def test_a_difference_without_an_interval_says_why() -> None:
    found = difference(Estimate(1.0, why="too few"), Estimate(0.5, 0.4, 0.6))
    assert (found.value, found.estimable, found.why) == (0.5, False, "too few")


def test_a_ratio_is_of_sums_and_covers() -> None:
    random = np.random.default_rng(7)
    found = []
    for _ in range(200):
        below = random.integers(1, 50, 200)
        found.append(ratio(2 * below + random.normal(0, 5, 200), below))
    assert 0.9 <= np.mean([one.low <= 2 <= one.high for one in found]) <= 1
    assert found[-1].plain == pytest.approx(2, abs=0.2)


def test_a_count_is_its_own_interval() -> None:
    assert exactly(7).told() == {"value": 7.0, "low": 7.0, "high": 7.0, "interval": "counted"}


def test_scaling_scales_everything() -> None:
    own = mean(np.arange(100.0))
    half = own.scaled(0.5)
    assert (half.value, half.low, half.plain) == (own.value / 2, own.low / 2, own.value / 2)
    assert difference(own, half).value == pytest.approx(own.value / 2)

"""Modes reached and missed: counts by hand, scipy's exact tests, and planted collapses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.errors import DataError
from components.metrics.coverage import (
    captured,
    collapse,
    decoded,
    different_bins,
    directions,
    support_size,
    vendi,
)
from components.metrics.missing import missing_mass
from components.metrics.moments import ShardedMoments

RING = np.array([[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)]) * 2


def ring(seed: int, n: int, modes: list[int], std: float = 0.02) -> np.ndarray:
    random = np.random.RandomState(seed)
    return RING[random.choice(modes, n)] + std * random.randn(n, 2)


def test_every_mode_of_a_ring_is_captured_and_normal_samples_are_of_high_quality() -> None:
    found = captured(ring(0, 5000, list(range(8))), RING, 0.02)
    assert found["modes_captured"].value == 8
    share = found["high_quality_share"]
    assert share.low < 1 - math.exp(-9 / 2) < share.high  # two dimensions within 3 σ


def test_dropped_and_bridged_modes_show() -> None:
    bridge = (RING[:1] + RING[1:2]) / 2
    found = captured(np.concatenate([ring(1, 300, [0, 3]), np.repeat(bridge, 100, axis=0)]), RING, 0.02)
    assert found["modes_captured"].value == 2
    assert found["high_quality_share"].value == pytest.approx(0.75, abs=0.02)


def test_each_mode_may_have_its_own_spread() -> None:
    samples = np.array([[0.0, 0.5], [10.0, 0.5]])
    centres = np.array([[0.0, 0.0], [10.0, 0.0]])
    found = captured(samples, centres, np.array([0.1, 0.2]))
    assert (found["modes_captured"].value, found["high_quality_share"].value) == (1, 0.5)


def test_samples_that_are_no_numbers_give_no_number() -> None:
    samples = ring(2, 50, [0])
    samples[7] = np.inf
    for found in captured(samples, RING, 0.02).values():
        assert math.isnan(found.value)
        assert "not finite" in found.why
    with pytest.raises(DataError, match="share d"):
        captured(np.zeros((4, 3)), RING, 0.02)


def test_stacked_digits() -> None:
    """26,000 perfect draws of 1,000 modes: all reached, KL near 0 though its plug-in is 0.019."""
    perfect = decoded(np.random.RandomState(0).randint(0, 1000, 26_000), 1000)
    assert perfect["modes_captured"].value == 1000
    assert perfect["modes_captured"].extra["expected"] == pytest.approx(1000)
    kl = perfect["kl_to_uniform"]
    assert kl.extra["plain"] == pytest.approx(999 / 52_000, rel=0.1)
    assert kl.low < 0 < kl.high
    half = decoded(np.random.RandomState(1).randint(0, 500, 26_000), 1000)["kl_to_uniform"]
    assert half.low < math.log(2) < half.high
    assert decoded(np.zeros(100, int), 1000)["kl_to_uniform"].value == pytest.approx(math.log(1000))
    few = decoded(np.arange(20), 1000)
    assert few["modes_captured"].extra["expected"] == pytest.approx(1000 * (1 - 0.999**20))
    assert "20 samples" in few["kl_to_uniform"].why
    with pytest.raises(DataError, match="from 0 to 9"):
        decoded(np.array([10]), 10)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=80), st.lists(st.integers(1, 30), min_size=5, max_size=5)
)
def test_chances_of_so_few_are_scipys(predicted: list[int], weights: list[int]) -> None:
    real = np.array(weights)
    shares = real / real.sum()
    counts = np.bincount(predicted, minlength=5)
    n, m = len(predicted), int(real.sum())
    known = missing_mass(np.array(predicted), shares)
    np.testing.assert_allclose(known.p, stats.binom.cdf(counts, n, shares), rtol=1e-9)
    of_sample = missing_mass(np.array(predicted), shares, counted_on=m)
    expected = [
        stats.fisher_exact([[k, n - k], [r, m - r]], alternative="less").pvalue for k, r in zip(counts, real)
    ]
    np.testing.assert_allclose(of_sample.p, expected, rtol=1e-9)
    assert known.mass == pytest.approx(shares[counts == 0].sum())


def test_a_missing_class_is_found_and_a_small_one_is_not_accused() -> None:
    shares = np.array([0.3, 0.3, 0.3, 0.099, 0.001])
    predicted = np.repeat([0, 1, 2], [333, 333, 334])
    found = missing_mass(predicted, shares)
    assert found.rejected == (False, False, False, True, False)
    assert found.starved() == [3]
    assert found.mass == pytest.approx(0.1)
    assert found.p_value < 1e-40
    assert missing_mass(np.array([0, 1, 2]), shares).starved() == []  # three samples prove nothing


def test_classes_of_no_or_of_all_examples() -> None:
    found = missing_mass(np.array([0, 0, 0]), np.array([1.0, 0.0]))
    assert found.p == (1.0, 1.0)
    assert missing_mass(np.array([1]), np.array([1.0, 0.0])).p[0] == 0
    with pytest.raises(DataError, match="sum to one"):
        missing_mass(np.array([0]), np.array([0.2, 0.2]))
    with pytest.raises(DataError, match="from 0 to 1"):
        missing_mass(np.array([2]), np.array([0.5, 0.5]))


@pytest.mark.parametrize("counted_on", [0, 400])
def test_a_sound_generator_is_seldom_accused(counted_on: int) -> None:
    """Of 300 sets of the right shares at most 5 % (and the noise of 300) have any class rejected."""
    random = np.random.RandomState(0)
    even = np.full(10, 0.1)
    accused = 0
    for _ in range(300):
        shares = random.multinomial(counted_on, even) / counted_on if counted_on else even
        accused += any(missing_mass(random.randint(0, 10, 300), shares, counted_on=counted_on).rejected)
    assert accused <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_bins_that_differ_are_counted_as_statsmodels_would() -> None:
    """z of 30 in 100 against 50 in 100: 0.2 / √(0.4 · 0.6 · 0.02) = 2.887, p = 0.0039."""
    found = different_bins(np.array([30, 40, 30]), np.array([50, 40, 10]))
    assert found.value == pytest.approx(2 / 3)
    assert found.extra["after_holm"] == 2
    tables = [[[30, 70], [50, 50]], [[40, 60], [40, 60]], [[30, 70], [10, 90]]]
    p = [stats.chi2_contingency(table, correction=False).pvalue for table in tables]
    assert found.extra["different"] == sum(np.array(p) < 0.05)
    assert not found.estimable
    assert different_bins(np.array([5, 0]), np.array([9, 0])).value == 0
    with pytest.raises(DataError, match="same bins"):
        different_bins(np.array([1, 2]), np.array([1, 2, 3]))


def test_a_sound_generator_has_about_a_twentieth_of_its_bins_different() -> None:
    random = np.random.RandomState(0)
    shares = random.dirichlet(np.full(50, 5.0))
    found = [
        different_bins(random.multinomial(2000, shares), random.multinomial(2000, shares)) for _ in range(100)
    ]
    assert np.mean([one.value for one in found]) == pytest.approx(0.05, abs=0.015)
    assert np.mean([one.extra["after_holm"] > 0 for one in found]) < 0.12


def test_repeats_tell_the_size_of_the_support() -> None:
    random = np.random.RandomState(0)
    held = 0
    for _ in range(200):
        counts = np.bincount(random.randint(0, 1000, 150))
        found = support_size(int((counts * (counts - 1) // 2).sum()), 150)
        held += found.low <= 1000 <= found.high
    assert held >= 180
    assert support_size(10, 100).value == 495  # 4950 pairs, of which one in 495 repeats


def test_without_a_repeat_there_is_only_a_lower_bound() -> None:
    found = support_size(0, 100)
    assert found.value == math.inf
    assert found.low > 1000  # of 4950 pairs, a share of up to 0.00078
    assert not found.estimable
    assert found.why
    with pytest.raises(DataError, match="two samples"):
        support_size(0, 1)


def vendi_of(features: np.ndarray) -> float:
    return vendi(ShardedMoments.of(directions(features))).plain


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 12))
def test_vendi_is_the_entropy_of_the_kernel(seed: int, n: int, d: int) -> None:
    features = np.random.RandomState(seed).randn(n, d)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    shares = np.clip(np.linalg.eigvalsh(unit @ unit.T / n), 1e-300, None)
    assert vendi_of(features) == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())), rel=1e-9)
    assert 1 - 1e-9 <= vendi_of(features) <= min(n, d) + 1e-9
    assert vendi_of(np.repeat(features, 2, axis=0)) == pytest.approx(vendi_of(features))  # copies add nothing
    assert vendi_of(features * 7) == pytest.approx(vendi_of(features))


def test_vendi_counts_what_is_wholly_different() -> None:
    assert vendi_of(np.repeat(np.eye(5), 9, axis=0)) == pytest.approx(5)
    assert vendi_of(np.ones((40, 5))) == pytest.approx(1)


def test_vendi_merges_to_the_same_bits_and_its_interval_covers() -> None:
    random = np.random.RandomState(0)
    features = random.randn(400, 6) * np.linspace(0.3, 2, 6) + 0.5
    whole = vendi(ShardedMoments.of(directions(features)))
    parts = ShardedMoments(6)
    for start in range(0, 400, 37):
        parts.merge(ShardedMoments(6).add(directions(features[start : start + 37]), first=start))
    assert vendi(parts) == whole
    expected = vendi_of(random.randn(200_000, 6) * np.linspace(0.3, 2, 6) + 0.5)
    held = 0
    for _ in range(60):
        found = vendi(ShardedMoments.of(directions(random.randn(100, 6) * np.linspace(0.3, 2, 6) + 0.5)))
        held += found.low <= expected <= found.high
    assert held >= 52


def test_vendi_of_few_or_of_no_numbers() -> None:
    few = vendi(ShardedMoments.of(directions(np.random.RandomState(0).randn(50, 40))))
    assert math.isfinite(few.value)
    assert "50 examples for 40 features" in few.why
    for spoilt in (np.nan, np.inf, 0.0):
        features = np.ones((60, 3))
        features[4] = spoilt
        found = vendi(ShardedMoments.of(directions(features)))
        assert math.isnan(found.value)
        assert found.why
    with pytest.raises(DataError, match="at least one"):
        vendi(ShardedMoments(3))


def test_nothing_shows_where_all_is_well_or_unmeasured() -> None:
    even = missing_mass(np.arange(1000) % 10, np.full(10, 0.1))
    assert collapse() == ""
    assert collapse(coverage=math.nan, vendi_ratio=math.nan, duplicate_rate=math.nan) == ""
    sound = collapse(
        coverage=0.9,
        expected_coverage=0.97,
        duplicate_rate=0.004,
        real_duplicate_rate=0.001,
        vendi_ratio=0.93,
        missing=even,
    )
    assert sound == ""


def test_samples_that_spread_as_wide_as_the_data_and_miss_them_have_not_collapsed() -> None:
    assert collapse(coverage=0.45, expected_coverage=0.969, recall=0.8) == ""


@pytest.mark.parametrize(
    ("shown", "what"),
    [
        ({"coverage": 0.45, "expected_coverage": 0.969}, "coverage is 0.45"),
        ({"coverage": 0.45, "expected_coverage": 0.969, "recall": 0.4}, "coverage is 0.45"),
        ({"duplicate_rate": 0.05, "real_duplicate_rate": 0.002}, "5.0% of samples are repeats"),
        ({"duplicate_rate": 0.02}, "repeats"),
        ({"vendi_ratio": 0.4}, "Vendi score is 0.40"),
    ],
)
def test_any_one_sign_is_a_collapse(shown: dict, what: str) -> None:
    said = collapse(**shown)
    assert said.startswith("Mode collapse: ")
    assert what in said
    assert said.endswith(".")


def test_a_starved_class_is_named() -> None:
    predicted = np.append(np.arange(1000) % 9, [9] * 5)
    said = collapse(
        vendi_ratio=0.3,
        missing=missing_mass(predicted, np.full(10, 0.1)),
        names=[f"digit {k}" for k in range(10)],
    )
    assert "digit 9 has 5 samples where 100 are expected" in said
    assert "Vendi" in said

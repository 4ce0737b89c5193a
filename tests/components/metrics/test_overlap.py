"""Distances of distributions: closed forms, scipy, one grid, honest bounds where the sets are alike."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.metrics.overlap import (
    density_distances,
    histogram_distance,
    jensen_shannon,
    kullback_leibler,
    total_variation,
)

COUNTS = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(COUNTS, COUNTS)
def test_distances_of_counts_are_those_of_scipy(p: list[int], q: list[int]) -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import entropy

    a, b = np.array(p), np.array(q)
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a, b, base=2) ** 2, abs=1e-12)
    mixed = 0.999 * b / b.sum() + 0.001 * a / a.sum()
    assert kullback_leibler(a, b) == pytest.approx(entropy(a, mixed), abs=1e-12)
    assert total_variation(a, b) == pytest.approx(1 - np.minimum(a / a.sum(), b / b.sum()).sum(), abs=1e-12)
    assert 0 <= jensen_shannon(a, b) <= 1 + 1e-12


def test_a_set_moved_by_1000_is_far_from_itself() -> None:
    """A grid for each set, as MGEval has it, finds KL = 5e-17 here."""
    values = np.random.default_rng(0).normal(size=200)
    divergence, area = density_distances(values + 1000, values)
    assert divergence.value == pytest.approx(math.log(1000))
    assert area.value == pytest.approx(0, abs=1e-12)
    divergence, area = density_distances(values, values)
    assert divergence.value == pytest.approx(0, abs=1e-12)
    assert area.value == pytest.approx(1)


def test_one_value_far_away_does_not_hide_a_difference() -> None:
    random = np.random.default_rng(1)
    samples, real = random.normal(size=200) + 3, random.normal(size=200)
    near = density_distances(samples, real)[1]
    samples[0] = 1e12
    assert density_distances(samples, real)[1].value == pytest.approx(near.value, abs=0.02)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_overlap_of_two_normal_distributions(shift: float) -> None:
    random = np.random.default_rng(2)
    area = density_distances(random.normal(size=4000) + shift, random.normal(size=4000))[1]
    assert area.value == pytest.approx(math.erfc(shift / 2 / math.sqrt(2)), abs=0.03)
    assert area.low < area.value < area.high


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_units_do_not_matter(seed: int, scale: float, shift: float) -> None:
    random = np.random.default_rng(seed)
    samples, real = random.normal(size=60), random.normal(size=50) * 1.3
    plain = density_distances(samples, real)
    moved = density_distances(samples * scale + shift, real * scale + shift)
    for one, other in zip(plain, moved, strict=True):
        # Rounding may put a value on the edge of a cell into the next one, a quarter of a bandwidth away.
        assert one.plain == pytest.approx(other.plain, abs=0.02)


def test_distance_grows_with_noise() -> None:
    random = np.random.default_rng(3)
    samples, real = random.normal(size=400), random.normal(size=400)
    found = [density_distances(samples + noise * random.normal(size=400), real) for noise in (0, 1, 3, 10)]
    areas, divergences = [area.value for _, area in found], [kl.value for kl, _ in found]
    assert areas == sorted(areas, reverse=True)
    assert divergences == sorted(divergences)


def test_all_values_equal() -> None:
    """On both sides the same, on both sides another, and on one side only."""
    threes, fours = np.full(50, 3.0), np.full(50, 4.0)
    assert density_distances(threes, threes)[1].value == pytest.approx(1)
    assert density_distances(threes, fours)[1].value == pytest.approx(0, abs=1e-12)
    spread = np.random.default_rng(4).normal(size=50) + 3
    for pair in ((threes, spread), (spread, threes)):
        assert 0.05 < density_distances(*pair)[1].value < 0.8


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    random = np.random.default_rng(5)
    samples, real = random.normal(size=100), random.normal(size=100)
    samples[:3], real[0] = [math.nan, math.inf, -math.inf], math.nan
    divergence, area = density_distances(samples, real)
    assert (area.extra["empty"], area.extra["real_empty"]) == (3, 1)
    assert area.extra["mean"] == pytest.approx(samples[3:].mean())
    assert area.value > 0.8
    assert divergence.estimable
    nothing = density_distances(np.full(9, math.nan), real)[1]
    assert math.isnan(nothing.value)
    assert nothing.why


def test_few_rows_have_no_interval() -> None:
    area = density_distances(np.arange(30.0), np.arange(100.0))[1]
    assert not area.estimable
    assert area.why == "30 rows are fewer than two a shard"


def test_histograms_weigh_each_piece_alike_and_leave_empty_ones_out() -> None:
    long, short = [1000, 0, 0], [0, 1, 0]
    samples = np.array([long, short, [0, 0, 0]] * 40)
    found = histogram_distance(samples, np.array([[1, 1, 0]] * 60))
    assert found.plain == pytest.approx(0, abs=1e-12)
    assert (found.extra["empty"], found.extra["real_empty"]) == (40, 0)
    apart = histogram_distance(samples, np.array([[0, 0, 1]] * 60))
    assert apart.plain == pytest.approx(1)
    assert math.isnan(histogram_distance(samples[2:3], samples).value)


@pytest.mark.slow
def test_intervals_hold_the_truth_also_where_the_sets_are_alike() -> None:
    """Of 200 draws each, at 0.1 and at 0: chance makes every such estimate larger than the truth."""
    from components.metrics.ngrams import Sequences, gram_distances

    random = np.random.default_rng(6)
    real = random.dirichlet(np.ones(30))
    for weight in (0.0, 0.2):
        own = (1 - weight) * real + weight * random.dirichlet(np.ones(30))
        truth = total_variation(own, real), jensen_shannon(own, real)
        hits = np.zeros(2)
        for _ in range(200):
            sides = (Sequences.of(random.choice(30, (100, 20), p=p)) for p in (own, real))
            found = gram_distances(*sides, 1)
            hits += [one.low <= value <= one.high for one, value in zip(found, truth, strict=True)]
        assert (hits / 200 >= 0.93).all()

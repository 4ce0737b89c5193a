"""Precision, recall and copies against brute force and planted answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.neighbours import copies, copy_rate, nearest, precision_recall


def points(seed, n, d=4):
    return np.random.default_rng(seed).normal(size=(n, d))


def brute_force(real, samples, k):
    """The definition, pair by pair."""

    def apart(a, b):
        return np.array([[np.linalg.norm(x - y) for y in b] for x in a])

    def share_inside(queries, centres):
        radii = np.sort(apart(centres, centres), axis=1)[:, k]
        return (apart(queries, centres) <= radii).any(axis=1).mean()

    return share_inside(samples, real), share_inside(real, samples)


def test_precision_and_recall_equal_brute_force():
    real, samples = points(1, 40), points(2, 33) * 1.5
    assert precision_recall(real, samples, k=3) == pytest.approx(brute_force(real, samples, 3), abs=1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.integers(6, 30), st.integers(6, 30), st.integers(1, 5))
def test_swapping_the_sides_swaps_the_numbers_and_a_shift_changes_nothing(seed, n, m, k):
    real, samples = points(seed, n), points(seed + 1, m) * 0.7
    precision, recall = precision_recall(real, samples, k)
    assert precision_recall(samples, real, k) == (recall, precision)
    assert precision_recall(real + 30, samples + 30, k) == (precision, recall)


def test_the_boundary_lies_inside():
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    samples = np.array([[-1.0], [4.0], [4.1], [9.0]])  # -1 and 4 are on the edges of the outer balls
    assert precision_recall(real, samples, k=1)[0] == 0.5


def test_equal_sets_score_one_and_far_sets_zero():
    real = points(1, 50)
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 100) == (0.0, 0.0)


def test_a_collapsed_generator_has_no_recall():
    real = points(1, 200)
    one = np.repeat(real[:1] + 1e-3, 200, axis=0)
    precision, recall = precision_recall(real, one)
    assert precision == 1.0
    assert recall == 0.0


def test_constant_features_are_inside_each_other():
    same = np.full((20, 3), 0.1)
    assert precision_recall(same, same) == (1.0, 1.0)


def test_repeated_examples_are_inside_balls_without_extent():
    """Where rounding of the blocks would leave them just outside."""
    repeated = np.repeat(points(1, 60, 30) * 7 + 3, 5, axis=0)
    assert precision_recall(repeated, repeated[:150]) == (1.0, 0.5)


def test_an_over_dispersed_generator_loses_precision_and_half_the_modes_lose_recall():
    real = points(1, 300, 2)
    assert precision_recall(real, points(2, 300, 2) * 4)[0] < 0.6
    assert precision_recall(real, np.abs(points(2, 300, 2)))[1] < 0.6


def test_too_few_examples_are_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"more than 3 .* 10 real and 3 samples.*evaluate.neighbours"):
        precision_recall(points(1, 10), points(2, 3))


def test_values_that_are_not_finite_give_nan():
    bad = points(1, 20)
    bad[3, 1] = np.nan
    assert np.isnan(precision_recall(points(2, 20), bad)).all()
    assert np.isnan(copy_rate(bad, points(2, 20), points(3, 20)))


def test_nearest_equals_brute_force_and_takes_images():
    training, samples = points(1, 30, 12).reshape(30, 2, 2, 3), points(2, 7, 12).reshape(7, 2, 2, 3)
    index, distance = nearest(samples, training)
    apart = np.array([[np.linalg.norm(s - t) for t in training] for s in samples])
    np.testing.assert_array_equal(index, apart.argmin(axis=1))
    np.testing.assert_allclose(distance, apart.min(axis=1), rtol=1e-12)


def test_duplicates_are_at_distance_exactly_zero_far_from_the_origin_and_across_dtypes():
    training = (points(1, 50, 20) + 1e3).astype(np.float32)
    index, distance = nearest(training[10:20].astype(np.float64), training)
    np.testing.assert_array_equal(index, np.arange(10, 20))
    np.testing.assert_array_equal(distance, 0.0)
    grey = np.random.default_rng(0).integers(0, 256, (30, 64)) / 255
    np.testing.assert_array_equal(nearest(grey, grey.astype(np.float32))[1], 0.0)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_planted_copies_are_counted(share):
    training, held_out, fresh = points(1, 800, 8), points(2, 1000, 8), points(3, 1000, 8)
    planted = int(share * 1000)
    noise = np.random.default_rng(4).normal(0, 0.01, size=(planted, 8))
    samples = np.concatenate([training[np.arange(planted) % 800] + noise, fresh[planted:]])
    assert copy_rate(samples, training, held_out) == pytest.approx(share, abs=0.02)


def test_held_out_examples_themselves_show_the_quantile():
    training, held_out = points(1, 300), points(2, 1000)
    found = copies(held_out, training, held_out, quantile=0.01)
    assert found.rate.value == found.expected.value == pytest.approx(0.01)
    assert found.excess.value == 0.0
    assert found.excess.low < 0 < found.excess.high


def test_exact_duplicates_count_even_where_the_threshold_is_zero():
    training = points(1, 100)
    held_out = np.concatenate([training[:10], points(2, 90)])  # a tenth is in the training data too
    samples = np.concatenate([training[50:75], points(3, 75)])
    found = copies(samples, training, held_out)
    assert found.threshold == 0.0
    assert (found.rate.value, found.expected.value) == (0.25, 0.1)


def test_ties_of_binary_images_are_no_copies():
    """Half of the honest samples sit exactly on the threshold, and none is nearer."""
    training = np.zeros((5, 16))
    one, two = np.eye(16), np.eye(16) + np.roll(np.eye(16), 1, axis=1)
    honest = np.concatenate([one, two])
    assert copies(honest, training, honest).rate.value == 0.0


def test_nothing_to_compare_is_refused():
    with pytest.raises(DataError, match="no training examples"):
        nearest(points(1, 3), points(1, 3)[:0])
    with pytest.raises(DataError, match="held-out examples: 3 and 0"):
        copies(points(1, 3), points(2, 3), points(1, 3)[:0])

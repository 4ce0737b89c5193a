"""Precision to coverage, the 1-NN test and copies: against brute force and planted answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.copies import copies, nearest
from components.metrics.neighbours import CONVENTIONS, expected_coverage, neighbourhood, realism, two_sample


def precision_recall(real, samples, k=3):
    found = neighbourhood(real, samples, k)
    return found["precision"].value, found["recall"].value


def copy_rate(samples, training, held_out):
    return copies(samples, training, held_out).rate.value


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
    assert found.rate.value == pytest.approx(0.01)
    assert found.expected.value == pytest.approx(0.011)  # each by the threshold of the 999 others
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


def digits(seed=0):
    """Pixels of 1,797 handwritten digits, and their labels, in a random order."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    order = np.random.RandomState(seed).permutation(len(loaded.data))
    return loaded.data[order] / 16, loaded.target[order]


def test_the_four_numbers_are_their_definitions():
    real, samples = points(1, 60), points(2, 50) + 0.7
    apart = np.linalg.norm(real[:, None] - samples[None], axis=2)
    radii = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)[:, 5]
    inside = apart <= radii[:, None]
    found = neighbourhood(real, samples)
    assert found["precision"].value == inside.any(axis=0).mean()
    assert found["density"].value == pytest.approx(inside.sum(axis=0).mean() / 5)
    assert found["coverage"].value == inside.any(axis=1).mean()
    p, r = found["precision"].value, found["recall"].value
    assert found["f1"].value == pytest.approx(2 * p * r / (p + r))
    for name in ("precision", "recall", "f1", "density", "coverage"):
        assert found[name].low < found[name].value < found[name].high


def test_conventions_differ_only_where_distances_tie():
    real, samples = points(1, 80), points(2, 70)
    assert neighbourhood(real, samples) == neighbourhood(real, samples, convention="prdc")
    assert neighbourhood(real, samples, 3) == neighbourhood(real, samples, convention="kynkaanniemi")
    same = np.ones((20, 3))
    values = {
        name: [
            neighbourhood(same, same, convention=name)[key].value for key in ("precision", "coverage", "f1")
        ]
        for name in CONVENTIONS
    }
    assert values == {"mozart": [1, 1, 1], "kynkaanniemi": [1, 1, 1], "prdc": [0, 0, 0]}


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 5), (60, 30, 3)])
def test_equal_distributions_cover_what_the_closed_form_says(n, m, k):
    found = [neighbourhood(points(seed, n), points(seed + 500, m), k)["coverage"] for seed in range(150)]
    expected = found[0].extra["expected"]
    assert expected == expected_coverage(n, m, k)
    assert np.mean([estimate.value for estimate in found]) == pytest.approx(expected, abs=0.01)
    assert expected_coverage(10**6, 10**6, 5) == pytest.approx(1 - 2**-5, abs=1e-5)


def test_repeats_are_told():
    real, samples = points(1, 60), points(2, 60)
    samples[30:] = samples[:30]
    real[59] = real[0]
    told = neighbourhood(real, samples)["duplicate_rate"]
    assert (told.value, told.extra) == (0.5, {"real": 1 / 60})


def test_a_value_that_is_not_finite_makes_all_of_them_nan_and_says_so():
    bad = points(1, 60)
    bad[3, 1] = np.inf
    for estimate in (*neighbourhood(points(2, 60), bad).values(), two_sample(bad, points(2, 60))):
        assert np.isnan(estimate.value)
        assert estimate.why == "a feature is not finite"
    assert np.isnan(realism(bad, points(2, 60))).all()
    assert np.isnan(copies(points(2, 60), bad, points(3, 60)).excess.value)


def test_a_missing_class_of_ten_lowers_recall_and_coverage():
    pixels, labels = digits()
    real, drawn = pixels[:800], pixels[800:1600]
    whole = neighbourhood(real, drawn)
    missing = neighbourhood(real, drawn[labels[800:1600] != 4])
    assert missing["recall"].high < whole["recall"].low
    assert missing["coverage"].high < whole["coverage"].low
    assert missing["precision"].value == pytest.approx(whole["precision"].value, abs=0.02)


def test_a_collapsed_model_is_precise_and_recalls_and_covers_nothing():
    pixels, _ = digits()
    real = pixels[:500]
    collapsed = real[7] + np.random.RandomState(1).normal(size=real.shape) * 1e-3
    found = neighbourhood(real, collapsed)
    assert found["precision"].value == 1
    assert found["recall"].high < 0.05
    assert found["coverage"].high < 0.1
    assert two_sample(real, collapsed).extra["real"] > 0.9


def test_realism_is_the_largest_radius_by_distance():
    real, samples = points(1, 50), points(2, 20)
    apart = np.linalg.norm(real[:, None] - samples[None], axis=2)
    radii = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)[:, 3]
    small = radii <= np.median(radii)
    expected = (radii[small, None] / apart[small]).max(axis=0)
    np.testing.assert_allclose(realism(real, samples), expected, rtol=1e-9)


def test_the_nearest_neighbour_test_is_brute_force():
    real, samples = points(1, 40), points(2, 30) + 0.5
    both = np.concatenate([real, samples])
    apart = np.linalg.norm(both[:, None] - both[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    kind = np.arange(70) < 40
    right = kind[apart.argmin(axis=1)] == kind
    found = two_sample(real, samples)
    assert found.value == right.mean()
    assert (found.extra["real"], found.extra["samples"]) == (right[:40].mean(), right[40:].mean())


def test_copies_are_below_chance_and_ties_at_it():
    real = points(1, 100)
    assert two_sample(real, real + 1e-6).value == 0
    assert two_sample(np.ones((30, 2)), np.ones((30, 2))).value == 0.5
    with pytest.raises(DataError, match="1-NN test needs two"):
        two_sample(real, real[:1])


def test_the_interval_of_the_nearest_neighbour_test_holds_at_chance():
    """Neighbours of each other are right or wrong together: 1.3 times wider than of independent rows."""
    found = [two_sample(points(seed, 60, 2), points(seed + 900, 60, 2)) for seed in range(120)]
    assert np.mean([estimate.low <= 0.5 <= estimate.high for estimate in found]) >= 0.92


def test_five_planted_percent_of_copies_are_found_in_digits():
    """Copies with some noise on them among samples that are as unseen digits are, in ten divisions: an
    excess of 0.05 ± 0.015 but for chance in the samples themselves, and always within its interval."""
    near, honest = [], []
    for seed in range(10):
        pixels, _ = digits(seed)
        training, held_out, samples = pixels[:800], pixels[800:1300], pixels[1300:]
        excess = copies(samples, training, held_out).excess
        honest.append(excess.low < 0 < excess.high)
        random = np.random.RandomState(seed)
        planted = random.choice(len(samples), 25, replace=False)
        samples[planted] = training[planted] + random.normal(size=(25, 64)) * 0.01
        found = copies(samples, training, held_out)
        assert 0 < found.excess.low < 25 / 497 < found.excess.high
        near.append(abs(found.excess.value - 0.05) <= 0.015)
        shown = {pair["sample"]: pair["training"] for pair in found.pairs}
        assert len(shown) == 20
        assert all(shown[sample] == sample for sample in shown)
        assert set(shown) <= set(planted.tolist())
    assert sum(near) >= 9
    assert sum(honest) >= 9


def test_what_is_expected_is_the_rate_of_unseen_examples():
    """Over many divisions the excess of honest samples is 0, which their share below the threshold is not."""
    found = [
        copies(points(3 * s, 60, 2), points(3 * s + 1, 40, 2), points(3 * s + 2, 60, 2), 0.05)
        for s in range(300)
    ]
    assert np.mean([copied.excess.value for copied in found]) == pytest.approx(0, abs=0.006)
    assert np.mean([copied.excess.low <= 0 <= copied.excess.high for copied in found]) >= 0.93


def test_authentic_samples_are_further_away_than_training_examples_are_from_each_other():
    training, fresh = points(1, 300), points(2, 200)
    assert copies(training[:200] + 1e-6, training, fresh).authentic.value == 0
    apart = np.linalg.norm(fresh[:, None] - training[None], axis=2)
    own = np.linalg.norm(training[:, None] - training[None], axis=2) + np.diag([np.inf] * 300)
    expected = (apart.min(axis=1) > own.min(axis=1)[apart.argmin(axis=1)]).mean()
    assert copies(fresh, training, points(3, 50)).authentic.value == expected

"""Class shares by hand, against scipy, and how often their intervals cover."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest

from components.errors import DataError
from components.metrics.classes import (
    agreement,
    class_shares,
    classes_covered,
    histogram_distance,
    jensen_shannon,
    share_intervals,
    total_variation,
)


def test_shares_count_absent_classes():
    np.testing.assert_allclose(class_shares(np.array([0, 2, 2, 2]), 4), [0.25, 0, 0.75, 0])


@pytest.mark.parametrize("predicted", [[], [-1, 0], [0, 3]])
def test_no_prediction_or_an_unknown_class_is_refused(predicted):
    with pytest.raises(ValueError, match="from 0 to 2"):
        class_shares(np.array(predicted, int), 3)


def test_total_variation_by_hand():
    assert total_variation([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]) == pytest.approx(0.5)
    assert total_variation([1.0, 0.0], [0.0, 1.0]) == 1.0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(*[st.lists(st.integers(0, 5), min_size=1, max_size=30)] * 3)
def test_total_variation_is_a_distance(a, b, c):
    a, b, c = (class_shares(np.array(x), 6) for x in (a, b, c))
    assert total_variation(a, a) == 0.0
    assert 0 <= total_variation(a, b) <= 1 + 1e-12
    assert total_variation(a, b) == total_variation(b, a)
    assert total_variation(a, c) <= total_variation(a, b) + total_variation(b, c) + 1e-12


def test_a_class_is_covered_from_a_quarter_of_its_real_share():
    real = np.array([0.4, 0.4, 0.2, 0.0])
    assert classes_covered(np.array([0.1, 0.09, 0.81, 0.0]), real) == 2
    assert classes_covered(real, real) == 3  # a class that real data lack cannot be covered
    assert classes_covered(np.array([1.0, 0, 0, 0]), real) == 1


def test_shares_have_wilsons_intervals():
    predicted = np.repeat([0, 1, 3], [50, 30, 20])
    found = share_intervals(predicted, 4)
    assert [one.value for one in found] == [0.5, 0.3, 0.0, 0.2]
    assert found[2].low == 0
    assert 0 < found[2].high < 0.05
    assert found[0].method == "Wilson"
    with pytest.raises(ValueError, match="from 0 to 2"):
        share_intervals(predicted, 3)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(*[st.lists(st.integers(0, 5), min_size=1, max_size=30)] * 2)
def test_jensen_shannon_is_scipys(a, b):
    a, b = (class_shares(np.array(x), 6) for x in (a, b))
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a, b, base=2) ** 2, abs=1e-12)
    assert jensen_shannon(a, b) == pytest.approx(jensen_shannon(b, a), abs=1e-15)
    assert 0 <= jensen_shannon(a, b) <= 1 + 1e-12
    assert jensen_shannon(a, a) == 0


def test_jensen_shannon_of_nothing_in_common_and_of_nan():
    assert jensen_shannon([1, 0], [0, 1]) == 1
    assert math.isnan(jensen_shannon([np.nan, 1], [0, 1]))


def planted(seed, n, shares):
    return np.random.RandomState(seed).choice(len(shares), n, p=shares)


def test_a_dropped_class_moves_the_histogram_and_equal_shares_do_not():
    even, dropped = np.full(10, 0.1), np.r_[0, np.full(9, 1 / 9)]
    real = planted(0, 2000, even)
    same = histogram_distance(planted(1, 3000, even), real, 10)
    assert same.low == 0
    assert same.value < same.extra["plain"]  # two finite sets are never equal
    gone = histogram_distance(planted(2, 3000, dropped), real, 10)
    assert gone.low < 0.1 < gone.high
    assert gone.low > 0.05
    assert gone.extra["plain"] == pytest.approx(
        total_variation(class_shares(planted(2, 3000, dropped), 10), class_shares(real, 10))
    )
    assert 0 < gone.extra["jensen_shannon"] < 0.1


def test_the_interval_of_the_histogram_distance_covers():
    """Also at 0, where the distance has a corner; measured over 200 sets each: 0.92 to 0.99."""
    even = np.full(10, 0.1)
    for shares in (even, np.r_[0.05, np.full(9, 0.95 / 9)], np.linspace(0.05, 0.15, 10)):
        expected = total_variation(shares, even)
        found = [
            histogram_distance(planted(2 * k, 1000, shares), planted(2 * k + 1, 1000, even), 10)
            for k in range(60)
        ]
        assert np.mean([one.low <= expected <= one.high for one in found]) >= 0.9


def test_few_examples_have_a_distance_without_interval():
    found = histogram_distance(np.arange(10) % 2, np.zeros(50, int), 2)
    assert found.value == 0.5
    assert "10 examples" in found.why


def test_agreement_by_hand():
    wanted = np.repeat([0, 1], [8, 2])
    drawn = wanted.copy()
    drawn[[0, 8]] = [1, 0]
    found = agreement(drawn, wanted, ["cat", "dog"])
    assert {name: one.value for name, one in found.items()} == {
        "accuracy": 0.8,
        "accuracy/cat": 0.875,
        "accuracy/dog": 0.5,
    }
    assert found["accuracy"].extra == {"worst": "dog", "worst_share": 0.5}
    oracle = binomtest(8, 10).proportion_ci(method="wilson")
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((oracle.low, oracle.high))


def test_attributes_are_all_right_or_not():
    wanted = np.array([[0, 1], [1, 1], [0, 0], [1, 0]])
    drawn = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])
    found = agreement(drawn, wanted)
    assert [found[name].value for name in ("accuracy", "accuracy/0", "accuracy/1")] == [0.5, 1.0, 0.5]


@pytest.mark.parametrize(
    ("drawn", "wanted", "names", "what"),
    [
        (np.zeros(3), np.zeros(4), None, "one by one"),
        (np.zeros(0), np.zeros(0), None, "n > 0"),
        (np.zeros(3, int), np.array([0, 1, 2]), ["a", "b"], "2 names"),
    ],
)
def test_what_cannot_agree_is_refused(drawn, wanted, names, what):
    with pytest.raises(DataError, match=what):
        agreement(drawn, wanted, names)

"""Class shares by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.metrics.classes import class_shares, classes_covered, total_variation


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

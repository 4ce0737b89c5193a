"""digits-dcgan: all ten classes in fair shares, half of the full normal's distance, no copies."""

from __future__ import annotations

import pytest

from tests.learning.line import value

pytestmark = pytest.mark.slow

CLASSES = 10
SHARES = (0.04, 0.18)  # of each class among 1,000 samples
RATIO = 0.5  # of the full-covariance normal's distance
COPIES = 0.02


@pytest.mark.parametrize("seed", range(5))
def test_the_recipe_makes_all_digits(line, seed):
    digits = line("digits-dcgan")
    assert digits.recipe.evaluate.samples == 1000
    model, took = digits.learn(seed)
    found = digits.evaluation(model)
    measured = {metric: value(found, "test", metric) for metric in found["test"]}
    floor = value(found["floors"]["normal (covariance full)"], "test", "classifier_fid")
    told = "  ".join(f"{metric} {number:.3f}" for metric, number in measured.items())
    print(f"\nseed {seed}: {told}  floor {floor:.2f}, {took}")
    assert measured["classes_covered"] == CLASSES
    assert measured["smallest_class_share"] >= SHARES[0]
    assert measured["largest_class_share"] <= SHARES[1]
    assert measured["classifier_fid"] <= RATIO * floor
    assert measured["copy_rate"] <= COPIES
    verdict = digits.verdict(found)
    assert verdict["blessed"], verdict["reasons"]

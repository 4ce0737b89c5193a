"""digits-vae: nats of unseen binarised digits below 17.5, and below every mixture."""

from __future__ import annotations

import pytest

from tests.learning.line import value

pytestmark = pytest.mark.slow

NATS = 17.5  # importance-weighted with 500 samples


def test_the_floors_are_where_the_literature_of_this_data_set_has_them(line):
    """Independent pixels near 25.2 nats and a mixture of 30 near 18.5: the yardstick itself is right."""
    floors = line("digits-vae").floors
    one = value(floors["mixture (components 1)"], "test", "nats")
    thirty = value(floors["mixture (components 30)"], "test", "nats")
    print(f"\nmixture of 1: {one:.2f} nats, of 30: {thirty:.2f}")
    assert 24.5 < one < 26
    assert 17.5 < thirty < 19.5


@pytest.mark.parametrize("seed", range(5))
def test_the_recipe_beats_the_mixtures(line, seed):
    digits = line("digits-vae")
    assert digits.recipe.evaluate.importance_samples == 500
    model, took = digits.learn(seed)
    found = digits.evaluation(model)
    nats, floors = value(found, "test", "nats"), found["floors"].values()
    print(f"\nseed {seed}: {nats:.3f} nats on the test split, {took}")
    assert nats <= NATS
    assert nats < min(value(floor, "test", "nats") for floor in floors)
    verdict = digits.verdict(found)
    assert verdict["blessed"], verdict["reasons"]

"""dice-game on Bach's chorales: which bar follows which is learnt, and from their order.

The table and the counts are drawn from no seed, so there is one.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.learning.line import Line, spoilt

pytestmark = pytest.mark.slow

RATIO = 0.85  # of the perplexity of bars by themselves; 97.3 of 126.2 when it was frozen


@pytest.fixture(scope="module")
def game(line, test_data):
    """The recipe on sixteenths."""
    return line("dice-game", f"data.source=chorales:{test_data / 'jsb_chorales' / 'jsb-chorales-16th.json'}")


def perplexity(model, data):
    """Of a bar, from sums."""
    return math.exp(-float(np.sum(model.log_prob(data["x"], data["length"]))) / data["length"].sum())


def alone(game):
    """Of bars by themselves."""
    (floor,) = game.recipe.evaluate.floors
    return perplexity(game.learn(0, floor, floor.train)[0], game.judge.data["test"])


def test_a_bar_is_foretold_by_the_one_before(game):
    model, took = game.learn(0)
    found, floor = perplexity(model, game.judge.data["test"]), alone(game)
    print(f"\nperplexity {found:.1f}, of bars by themselves {floor:.1f}, {took}")
    assert found <= RATIO * floor


def test_bars_in_any_order_teach_no_order(game, tmp_path):
    random = np.random.default_rng(0)

    def shuffled(x):
        """0 fills the window."""
        return np.stack([np.concatenate([random.permutation(row[row > 0]), row[row == 0]]) for row in x])

    other = Line(game.recipe, spoilt(game.examples, tmp_path / "examples", "x", shuffled))
    found, floor = perplexity(other.learn(0)[0], game.judge.data["test"]), alone(game)
    print(f"\nshuffled bars: perplexity {found:.1f}, of bars by themselves {floor:.1f}")
    assert found > floor


def test_the_recipe_passes_its_gate(game):
    model, _ = game.learn(0)
    verdict = game.verdict(game.evaluation(model))
    assert verdict["blessed"], verdict["reasons"]

"""text-hmm on tiny Shakespeare: the hidden states read characters better than their frequencies do."""

from __future__ import annotations

import pytest

from tests.learning.line import value

pytestmark = pytest.mark.slow

RATIO = 0.6  # of the perplexity of one state: every character by itself


@pytest.mark.parametrize("seed", range(3))
def test_the_recipe_beats_its_floor(line, test_data, seed):
    text = line("text-hmm", f"data.source=text:{test_data / 'tinyshakespeare' / 'input.txt'}")
    model, took = text.learn(seed)
    found = text.evaluation(model)
    perplexity = value(found, "test", "perplexity")
    floor = value(found["floors"]["hmm (states 1)"], "test", "perplexity")
    print(f"\nseed {seed}: perplexity {perplexity:.3f}, floor {floor:.3f}, {took}")
    assert perplexity <= RATIO * floor
    verdict = text.verdict(found)
    assert verdict["blessed"], verdict["reasons"]

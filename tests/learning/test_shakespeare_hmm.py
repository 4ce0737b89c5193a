"""text-hmm on tiny Shakespeare: the hidden states read characters better than their frequencies do."""

from __future__ import annotations

import pytest

from tests.learning.line import value

pytestmark = pytest.mark.slow


def test_the_recipe_beats_its_floors(line, test_data):
    text = line("text-hmm", f"data.source=text:{test_data / 'tinyshakespeare' / 'input.txt'}")
    model, took = text.learn(seed=0)
    found = text.evaluation(model)
    perplexity = value(found, "test", "perplexity")
    floors = {name: value(floor, "test", "perplexity") for name, floor in found["floors"].items()}
    print(f"\nperplexity {perplexity:.3f}, floors {floors}, {took}")
    assert perplexity < min(floors.values())
    assert perplexity < 0.7 * floors["hmm (states 1)"]
    verdict = text.verdict(found)
    assert verdict["blessed"], verdict["reasons"]

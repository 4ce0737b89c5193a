"""The lines that the learning tests share: data steps once a session, judges and floors too."""

from __future__ import annotations

from functools import cache

import pytest

from pipelines.recipe import load_recipe
from tests.learning.line import Line, run_data_steps


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    """`line("digits-vae", "train.epochs=5")`: that recipe on its examples; one object a session."""
    examples = {}

    @cache
    def line_of(reference, *overrides):
        recipe = load_recipe(reference, overrides)
        key = recipe.data.model_dump_json()
        if key not in examples:
            examples[key] = run_data_steps(recipe, tmp_path_factory.mktemp(reference))
        return Line(recipe, examples[key])

    return line_of

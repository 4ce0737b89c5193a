"""Fine-tuning from end to end: a published model of one text goes on to learn another."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from components.artifacts import read_json
from tests.pipelines.line import mozart, runs

pytestmark = pytest.mark.slow

WORDS = ("the", "dog", "barks", "at", "night", "and", "sleeps", "in", "rain")
RECIPE = """\
name: first
about: sentences of a few words
data: {source: "text:first.jsonl", encode: {length: 16}}
model: {family: gpt, config: {layers: 1, heads: 2, width: 32, learning_rate: 0.01, warm_up: 5, decay_steps: 500}}
train: {epochs: 4, batch_size: 16}
evaluate: {samples: 32}
gates: {metric: perplexity, limits: {copy_excess: {max: 1}}}
"""


def written(seed: int, count: int, extra: str = "") -> str:
    """Sentences of a few words in any order; `extra` ends each."""
    random = np.random.default_rng(seed)
    rows = (" ".join(random.choice(WORDS, 5)) + f"{extra}.\n" for _ in range(count))
    return "".join(json.dumps({"text": row}) + "\n" for row in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a model of the first text is published."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "first.jsonl").write_text(written(0, 400))
    (folder / "second.jsonl").write_text(written(1, 200, "!"))  # a sign that the first text has not
    (folder / "gpt.yaml").write_text(RECIPE)
    done = mozart(folder, "run", "gpt.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(folder, name, *sets):
    """A run of the second text for an epoch: what it said, and its first loss."""
    given = [f"name={name}", "data.source=text:second.jsonl", "train.epochs=1", *sets]
    done = mozart(folder, "run", "gpt.yaml", *(word for one in given for word in ("--set", one)))
    (made,) = (one for one in runs(folder) if one.name.startswith(name))
    with next(made.glob("train/*/history.csv")).open() as rows:
        loss = float(next(csv.DictReader(rows))["loss"])
    return done, made, loss


def test_the_second_model_sees_as_the_first_and_begins_lower(folder):
    done, made, loss = run(folder, "second", "train.fine_tune=first")
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, cold = run(folder, "cold")
    assert loss < cold - 0.5
    own, before = (
        read_json(
            next(one for one in runs(folder) if one.name.startswith(name))
            .glob("train/*/encoding.json")
            .__next__()
        )
        for name in ("second", "first")
    )
    assert own == before
    assert "!" not in own["vocabulary"]
    start = read_json(next(made.glob("train/*/provenance.json")))["start"]
    assert (start["source"], start["weights"], start["optimizers"]) == ("first:1", True, False)


def test_another_family_is_one_sentence_before_the_first_step(folder):
    sets = ("--set", "name=third", "--set", "train.fine_tune=first", "--set", "model={family: lstm}")
    done = mozart(folder, "run", "gpt.yaml", *sets)
    assert done.returncode == 2
    assert (
        "train.fine_tune: first:1 is of family 'gpt', and the recipe's is 'lstm'" in done.stderr + done.stdout
    )
    unknown = mozart(folder, "run", "gpt.yaml", "--set", "train.fine_tune=furst")
    assert "no model 'furst' is published" in unknown.stderr + unknown.stdout
    assert "did you mean 'first'" in unknown.stderr + unknown.stdout

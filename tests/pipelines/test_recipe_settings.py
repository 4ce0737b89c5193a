"""Each setting of a recipe: its bounds, its type, and the hint for a misspelt key (fault list, row L)."""

from __future__ import annotations

import random

import pytest

from components.errors import ConfigError
from pipelines.recipe import load_recipe
from tests.pipelines.test_recipe import KEYS, problem

DCGAN_KEYS = [
    f"model.config.{key}"
    for key in ("latent", "width", "generator_learning_rate", "discriminator_learning_rate", "ema_decay")
]

WHOLE = {  # lowest and highest value
    "train.epochs": (1, 100_000),
    "train.batch_size": (1, 65_536),
    "train.seed": (0, 2**31 - 1),
    "train.snapshot_steps": (1, None),
    "evaluate.samples": (16, 1_000_000),
    "evaluate.seed": (0, 2**31 - 1),
    "evaluate.neighbours": (1, 100),
    "evaluate.importance_samples": (1, None),
    "evaluate.likelihood_examples": (16, None),
    "evaluate.classifier_epochs": (1, None),
    "data.augment.shift": (0, 64),
    "data.beam.workers": (1, 1024),
}
SHARES = ("data.max_rejected", "evaluate.classifier_accuracy", "gates.champion_margin")


def value_at(recipe, key):
    """The setting named `train.epochs`."""
    found = recipe.model_dump(mode="json")
    for part in key.split("."):
        found = found[part]
    return found


@pytest.mark.parametrize("key", WHOLE)
def test_each_bound_of_a_whole_number_holds(small, key):
    lowest, highest = WHOLE[key]
    for good in (lowest, lowest + 1, highest):
        if good is not None:
            assert value_at(load_recipe(small, [f"{key}={good}"]), key) == good
    assert f"{key}: {lowest - 1} is below the smallest value {lowest}" in problem(
        small, f"{key}={lowest - 1}"
    )
    if highest is not None:
        said = problem(small, f"{key}={highest + 1}")
        assert "above the largest value" in said or "must be below 2,147,483,648" in said


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize("wrong", ["true", "'32'", "32.0", "1e3", "[32]", "{a: 1}", "thirty"])
def test_a_whole_number_is_nothing_else(small, key, wrong):
    said = problem(small, f"{key}={wrong}")
    assert f"{key}: " in said
    assert f"≥ {WHOLE[key][0]}" in said


@pytest.mark.parametrize("key", SHARES)
def test_each_bound_of_a_share_holds(small, key):
    for good in (0, 0.0, 0.5, 1, 1.0):
        assert value_at(load_recipe(small, [f"{key}={good}"]), key) == good
    for wrong in ("-1e-9", "1.000001", "true", "'0.5'", ".nan", ".inf", "1e999"):
        problem(small, f"{key}={wrong}")
    assert "must be above 0" in problem(small, "gates.floor_ratio=0")
    assert load_recipe(small, ["gates.floor_ratio=1"]).gates.floor_ratio == 1


@pytest.mark.parametrize("key", ["gates.beat_floors", "gates.champion"])
@pytest.mark.parametrize("wrong", ["1", "0", "no", "'true'", "[]"])
def test_true_or_false_is_nothing_else(small, key, wrong):
    assert f"{key}: " in problem(small, f"{key}={wrong}")


@pytest.mark.parametrize("name", ["a", "digits-dcgan", "0.1_b", "a" * 63])
def test_a_good_name_is_kept(small, name):
    assert load_recipe(small, [f"name='{name}'"]).name == name


@pytest.mark.parametrize(
    "name",
    [
        "''",
        "a" * 64,
        ".a",
        "-rf",
        "_a",
        "A",
        "a b",
        "a/b",
        "a..b",
        "..",
        "a:b",
        '"a\\n"',
        '"a\\0"',
        "é",
        "m@champion",
    ],
)
def test_a_bad_name_is_refused(small, name):
    assert "name" in problem(small, f"name={name}" if name[0] in "'\"" else f"name='{name}'")


def typos(key):
    """Four misspellings by one edit: a letter lost, doubled, replaced, two exchanged."""
    choose = random.Random(key)
    i = choose.randrange(len(key))
    j = choose.randrange(len(key) - 1)
    yield key[:i] + key[i + 1 :]
    yield key[:i] + key[i] + key[i:]
    yield key[:i] + choose.choice("qxzjk") + key[i + 1 :]
    if key[j] != key[j + 1]:
        yield key[:j] + key[j + 1] + key[j] + key[j + 2 :]


def test_a_typo_in_any_key_gets_the_right_hint(small):
    right, wrong = 0, []
    for key in KEYS + DCGAN_KEYS:
        *group, last = key.split(".")
        for typo in typos(last):
            said = problem("digits-dcgan" if key in DCGAN_KEYS else small, ".".join([*group, typo]) + "=1")
            if f"did you mean '{last}'?" in said:
                right += 1
            else:
                wrong.append(said)
    assert right + len(wrong) >= 150
    assert right >= 0.95 * (right + len(wrong)), wrong


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("gates.metric=nats", "gates.metric: family 'dcgan' has no likelihood"),
        ("gates.limits.perplexity={max: 9}", "gates.limits.perplexity: family 'dcgan' has no likelihood"),
    ],
)
def test_a_metric_that_the_family_can_never_have_is_refused(override, said):
    with pytest.raises(ConfigError, match=said):
        load_recipe("digits-dcgan", [override])


def test_a_metric_of_another_kind_of_data_is_refused():
    with pytest.raises(ConfigError, match="measured on text and music, and these are images"):
        load_recipe("digits-vae", ["gates.metric=perplexity"])

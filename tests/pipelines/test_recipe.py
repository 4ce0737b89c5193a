"""Recipes: what is right is read, and what is not is refused with its place and what would do."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ConfigError, DataError
from components.strict_yaml import MAX_BYTES
from pipelines.fields import names_at, schema_at
from pipelines.recipe import Recipe, bundled_recipes, load_recipe
from tests.pipelines.conftest import SMALL

GROUPS = ((), ("data",), ("data", "split"), ("model",), ("train",), ("evaluate",), ("gates",))
KEYS = [".".join((*group, key)) for group in GROUPS for key in names_at(Recipe.model_json_schema(), group)]


def problem(reference, *overrides):
    """What loading is refused with."""
    with pytest.raises(ConfigError) as caught:
        load_recipe(reference, overrides)
    return str(caught.value)


# -- what is right -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", bundled_recipes())
def test_a_bundled_recipe_loads_says_how_to_run_it_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert f"mozart run {name}" in bundled_recipes()[name].read_text("utf-8").split("name:")[0]
    assert Recipe.parse(recipe.as_json()) == recipe
    assert Recipe.parse(recipe.as_json()).as_json() == recipe.as_json()
    if recipe.data.source == "digits":
        assert recipe.preflight() is recipe


def test_equal_recipes_have_equal_json_whatever_the_order_of_their_keys(tmp_path):
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text(SMALL + "train: {epochs: 3, seed: 1}\n", "utf-8")
    b.write_text("train:\n  seed: 1\n  epochs: 3\n" + SMALL, "utf-8")
    assert load_recipe(str(a)).as_json() == load_recipe(str(b)).as_json()
    assert load_recipe(str(a)).as_json() != load_recipe(str(a), ["train.seed=2"]).as_json()


def test_overrides_set_values_make_groups_and_the_last_one_wins(small):
    changes = [
        "train.epochs=5",
        "train.epochs=6",
        "model.config.covariance=diagonal",
        "gates.limits.recall.min=0.5",
        "evaluate.floors=[{family: mixture, config: {components: 2}}]",
        "gates.metric=",
        "about='a # b'",
        "data.beam.options=[--direct_num_workers=2]",
    ]
    recipe = load_recipe(small, changes)
    assert recipe.train.epochs == 6
    assert recipe.model.config == {"covariance": "diagonal"}
    assert recipe.gates.limits["recall"].min == 0.5
    assert recipe.evaluate.floors[0].config == {"components": 2}
    assert recipe.gates.metric is None
    assert recipe.about == "a # b"
    assert recipe.data.beam.options == ("--direct_num_workers=2",)
    assert load_recipe(small).train.epochs == 50  # nothing was kept


# -- references and files ------------------------------------------------------------------------------


def test_an_unknown_recipe_gets_the_nearest_name():
    assert "did you mean 'digits-dcgan'?" in problem("digit-dcgan")
    assert "digits-vae" in problem("zzz")
    assert "there is no recipe file 'absent.yaml'" in problem("absent.yaml")


@pytest.mark.parametrize(
    "reference", ["", "..", "../recipe", "/etc/passwd", "digits-dcgan\n", "a\0.yaml", "/.yaml"]
)
def test_a_reference_that_is_no_recipe_is_refused(reference):
    assert "recipe" in problem(reference)


def test_a_path_that_is_too_long_is_refused():
    assert "recipe" in problem("x" * 5000 + ".yaml") or "path" in problem("x" * 5000 + ".yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: a\nname: b\n", ":2: the key 'name' stands here again; it is also on line 1"),
        (b"name: a\nabout: \xff\n", ":2: not UTF-8 text (byte 15)"),
        (SMALL.encode("utf-16"), "not UTF-8"),
        (b"- name\n", ":1: a recipe is a group of settings"),
        (b"", ":1: there is nothing in it"),
        (b"\0" * 100, ":1: not valid YAML"),
        (b"a: !!python/object/apply:os.system [ls]\n", ":1: the tag"),
        (b"x" * (MAX_BYTES + 1), "the most is 1,000,000"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_line(tmp_path, content, said):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    assert problem(str(file)).startswith(f"{file}:")
    assert said in problem(str(file))


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_recipe(str(file)).name == "small"


def test_a_file_of_10_mb_is_refused_in_less_than_a_second(tmp_path):
    file = tmp_path / "huge.yaml"
    file.write_bytes(SMALL.encode() + b"#" * 10_000_000)
    start = time.process_time()
    assert "the most is 1,000,000" in problem(str(file))
    assert time.process_time() - start < 1.0


# -- settings ------------------------------------------------------------------------------------------


def test_the_sentences(small):
    def said(override):
        return problem(small, override).removeprefix(f"recipe '{small}': ")

    assert said("train.epochs=0") == "train.epochs: 0 is below the smallest value 1"
    assert said("train.epoch=3") == "unknown key 'train.epoch' — did you mean 'epochs'?"
    assert said("epochs=3") == "unknown key 'epochs' — did you mean 'train.epochs'?"
    assert said("train.seed=1e3").startswith(
        "train.seed: 1000.0 is given where the recipe needs: whole number"
    )
    assert said("gates.beat_floors=no").startswith("gates.beat_floors: the text 'no' is given where")
    assert said("data.split.train=0.9") == "data.split: train, validation and test add up to 1"
    assert said("data.source=digit") == "data.source 'digit': unknown source — did you mean 'digits'?"
    assert said("model.family=norml") == "model.family: unknown family 'norml' — did you mean 'normal'?"
    assert said("model.config.ridge=2") == "model.config.ridge: 2 is above the largest value 1"
    assert said("model.config.ridge=0.0") == "model.config.ridge: 0.0 is too small: it must be above 0"
    assert said("model.config.covariance=ful").endswith("did you mean 'full'?")
    assert said("model.config.rigde=1") == "unknown key 'model.config.rigde' — did you mean 'ridge'?"
    assert said("gates.metric=recal").endswith("unknown metric 'recal' — did you mean 'recall'?")
    assert said("gates.limits.recal.min=1").endswith("unknown metric 'recal' — did you mean 'recall'?")
    assert said("gates.limits.recall={}") == "gates.limits.recall: a limit has a min, a max or both"
    assert "no value is at least 2" in said("gates.limits.recall={min: 2, max: 1}")
    assert said("data.encode.binarise=treshold").endswith("did you mean 'threshold'?")
    assert said("data.augment.shift=65") == "data.augment.shift: 65 is above the largest value 64"
    assert said("data.read.resize=1") == "data.read.resize: 1 is below the smallest value 4"
    assert said("train=3") == "train: 3 is given where the recipe needs: group of settings"
    assert said("evaluate.floors=[{config: {}}]").startswith("evaluate.floors.0.family: missing")
    assert said("evaluate.floors=[{family: vaee}]").endswith("unknown family 'vaee' — did you mean 'vae'?")
    assert said("evaluate.floors=[{family: normal, config: {ridge: 2}}]").startswith(
        "evaluate.floors.0.config.ridge"
    )
    assert said("name=My Model").startswith("name: the text 'My Model' is not allowed: small letters")


def test_a_family_that_does_not_learn_this_kind_of_data_is_refused_by_both_names(small):
    assert "'hmm' learns tokens and roll and series data, and data.source gives image" in problem(
        small, "model.family=hmm"
    )
    floor = problem(small, "evaluate.floors=[{family: hmm}]")
    assert "evaluate.floors.0.family: 'hmm' learns tokens and roll and series data" in floor


def test_all_problems_are_told_at_once_one_a_line(small):
    changes = ["train.epochs=0", "model.config.ridge=7", "data.source=digit", "gates.metric=fid", "nam=x"]
    lines = problem(small, *changes).splitlines()
    assert len(lines) == 5
    assert all(line.startswith(f"recipe '{small}': ") for line in lines)


def test_a_flood_of_problems_is_cut_short(small):
    many = "{" + ", ".join(f"key_{i}: 1" for i in range(4000)) + "}"
    start = time.process_time()
    assert problem(small, f"train={many}").splitlines()[-1] == "and 3980 problems more"
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs.x=5", "train.epochs: a group of settings is given"),
        ("train.epochs", "write it as key=value"),
        ("=5", "write it as key=value"),
        ("train..epochs=5", "write it as key=value"),
        ("data.source.x=5", "'data.source' is no group of settings"),
        ("data.source=*x", "alias"),
        ("data.source=images:/my pictures #1", "drops what follows a #"),
        ("train={epochs: 1, epochs: 2}", "stands here again"),
        ("train.epochs=5\n--- 6", "second document"),
        ("train.epochs=[1", "not valid YAML"),
        ("data.source=\udcff", "UTF-8"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(small, override, said):
    assert said in problem(small, override)


# -- nothing but ConfigError escapes -------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab:.", max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["min", "family", "x"]), inside, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(KEYS), JSON)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_value_at_any_key_is_a_recipe_or_a_configerror(small, key, value):
    with contextlib.suppress(ConfigError):
        recipe = load_recipe(small, [f"{key}={json.dumps(value)}"])
        assert Recipe.parse(recipe.as_json()) == recipe


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_override_and_any_reference_is_a_recipe_or_a_configerror(small, text):
    for reference, overrides in ((small, [text]), (text, []), (small, [f"about={text}"])):
        with contextlib.suppress(ConfigError):
            assert isinstance(load_recipe(reference, overrides), Recipe)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_file_is_a_recipe_or_a_configerror(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        load_recipe(str(file))


# -- data, and what it costs ---------------------------------------------------------------------------


def test_data_that_the_user_must_name_are_asked_for_in_one_sentence():
    with pytest.raises(ConfigError, match=r"needs your own file: add e\.g\. --set data.source=text:"):
        load_recipe("text-hmm").preflight()


def test_data_that_are_not_there_are_refused_before_anything_runs(small, tmp_path):
    with pytest.raises(DataError, match="there is no file or folder"):
        load_recipe(small, [f"data.source=images:{tmp_path}/absent"]).preflight()
    text = tmp_path / "my.txt"
    text.write_text("to be or not to be\n", "utf-8")
    assert load_recipe("text-hmm", [f"data.source=text:{text}"]).preflight().name == "text-hmm"


def test_checking_a_recipe_imports_nothing_heavy():
    code = (
        "import sys; from pipelines.recipe import load_recipe; load_recipe('digits-dcgan').preflight();"
        "print({'tensorflow', 'keras', 'apache_beam', 'kfp', 'mlflow', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_setting_has_a_meaning():
    root = Recipe.model_json_schema()
    for key in KEYS:
        schema = schema_at(root, key.split("."))
        assert schema is not None
        assert schema.get("description"), key

"""The catalogue of families: found by file name, described without importing TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_models

ROOT = Path(__file__).parents[2]

DESCRIBE = """
import json, sys
import keras_models
found = {name: [d.name, d.school, d.summary, d.config().model_dump(mode="json"), d.tasks]
         for name in keras_models.families() for d in [keras_models.describe(name)]}
heavy = sorted({"tensorflow", "keras", "tensorflow_probability"} & set(sys.modules))
print(json.dumps({"families": found, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def described():
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(done.stdout)


def test_every_family_is_described_without_tensorflow(described):
    assert described["heavy"] == []
    assert set(described["families"]) == set(keras_models.families())
    for name, (said, school, summary, config, tasks) in described["families"].items():
        assert said == name
        assert school == keras_models.families()[name].parent.name
        assert len(summary) > 20, f"{name}'s first line says what it is"
        assert keras_models.describe(name).config.parse(config).model_dump(mode="json") == config
        assert "sample" in tasks


def test_the_file_name_is_the_registry():
    found = keras_models.families()
    assert {"normal", "mixture"} <= set(found)
    for name, file in found.items():
        assert file.stem == name
        assert "class Config(" in file.read_text("utf-8")
    assert not {"base", "spec", "config", "saving", "__init__"} & set(found)


def test_no_two_schools_have_a_family_of_one_name():
    names = [file.stem for file in keras_models.ROOT.glob("[a-z]*/[a-z]*.py")]
    assert len(names) == len(set(names)), "the later one would hide the first"


def test_facts_are_read_from_the_source():
    mixture = keras_models.describe("mixture")
    assert mixture.kinds == ("image",)
    assert (mixture.likelihood, mixture.measure) == ("exact", "mass")
    assert mixture.school == "classical"
    assert mixture.tasks == ("sample", "log_prob", "encode", "as_tfp")
    assert "Lazarsfeld" in mixture.paper


def test_each_family_has_a_contract_test():
    for name, file in keras_models.families().items():
        test = ROOT / "tests" / "keras_models" / file.parent.name / f"test_{name}.py"
        assert test.is_file(), f"family '{name}' has no {test.relative_to(ROOT)}"
        assert "(Contract)" in test.read_text("utf-8"), f"{test.relative_to(ROOT)} does not inherit Contract"


def test_an_unknown_family_is_a_key_error():
    with pytest.raises(KeyError, match="dcgam"):
        keras_models.describe("dcgam")

"""Saving: two files without code, checked before they are used; and what every model refuses."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_models
from keras_models import saving
from keras_models.spec import Spec

SPEC = Spec(kind="image", shape=(2, 2, 1))


@pytest.fixture
def model():
    return keras_models.build("normal", SPEC)


def test_the_digest_is_of_the_tensors(model, tmp_path):
    first = saving.save(model, tmp_path)
    assert first == saving.save(model, tmp_path)
    assert first == saving.digest(load_file(tmp_path / saving.WEIGHTS))
    model.mean.assign_add(np.full(4, 1e-12))
    assert first != saving.save(model, tmp_path)


def test_every_variable_comes_back(model, tmp_path):
    model.scatter.assign(np.arange(16.0).reshape(4, 4))
    saving.save(model, tmp_path)
    loaded = saving.load(tmp_path)
    assert loaded.spec == SPEC
    assert loaded.config == model.config
    for ours, theirs in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_changed_weights_are_not_loaded(model, tmp_path):
    saving.save(model, tmp_path)
    arrays = load_file(tmp_path / saving.WEIGHTS)
    arrays["0000.mean"] += 1e-9
    save_file(arrays, tmp_path / saving.WEIGHTS)
    with pytest.raises(ValueError, match="does not hold the tensors"):
        saving.load(tmp_path)


def test_weights_of_another_shape_are_refused_by_name(model, tmp_path):
    saving.save(model, tmp_path)
    facts = json.loads((tmp_path / saving.MODEL).read_text())
    facts["spec"]["shape"] = [3, 2, 1]
    (tmp_path / saving.MODEL).write_text(json.dumps(facts))
    with pytest.raises(
        ValueError, match=r"variable '.*mean' is float64\(6,\), and the file holds float64\(4,\)"
    ):
        saving.load(tmp_path)


def test_another_number_of_weights_is_refused(model):
    with pytest.raises(ValueError, match=r"1 arrays for \d+ variables of 'normal'"):
        model.set_arrays([np.zeros(4)])


def test_no_samples_and_unknown_conditions_are_refused(model):
    with pytest.raises(ValueError, match="at least 1, and 0"):
        model.sample(0)
    with pytest.raises(ValueError, match="'normal' takes no condition"):
        model.sample(1, condition=np.array([1]))

"""masked_lm: what is hidden, what is read, the pseudo-likelihood, and blanks that are filled."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import keras_models
from keras_models.spec import Spec
from tests.contract import Contract

SPEC = Spec(kind="tokens", shape=(6,), vocabulary=4)
TINY = {"layers": 1, "heads": 2, "width": 8, "learning_rate": 0.01, "warm_up": 2}
X = np.random.default_rng(0).integers(0, 4, (4, 6)).astype(np.int32)
LENGTH = np.array([6, 4, 5, 2], np.int32)


def build(**settings):
    return keras_models.build("masked_lm", SPEC, keras_models.describe("masked_lm").config.parse(settings))


@pytest.fixture(scope="module")
def model():
    """Two layers with weights large enough that every place matters."""
    made = build(**{**TINY, "layers": 2})
    for number, variable in enumerate(made.weights):
        if len(variable.shape) == 2:
            variable.assign(np.random.default_rng(number).normal(0, 0.5, variable.shape))
    return made


class TestMaskedLM(Contract):
    family = "masked_lm"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {**TINY, "dropout": 0.1, "hidden": 0.4}
    resume_needs = ("seed_generator", "adam_w", "iteration")


def test_fifteen_in_a_hundred_are_to_be_said_and_most_of_them_are_blank():
    model = build(**TINY)
    x = tf.fill((20_000, 6), 3)
    length = tf.fill((20_000,), 5)
    shown, said = (each.numpy() for each in model.corrupted(x, length, tf.constant([1, 2])))
    assert not said[:, 5].any(), "nothing behind the end"
    assert said[:, :5].mean() == pytest.approx(0.15, abs=0.005)
    assert (shown[~said] == 3).all()
    share = np.bincount(shown[said], minlength=5) / said.sum()
    np.testing.assert_allclose(share, [0.025, 0.025, 0.025, 0.125, 0.8], atol=0.01)


def test_both_sides_are_read_and_nothing_behind_the_end(model):
    length = tf.constant(LENGTH)
    before = model.hidden(X, length).numpy()
    for place in range(6):
        changed = X.copy()
        changed[:, place] = (X[:, place] + 1) % 4
        moved = np.abs(model.hidden(changed, length).numpy() - before).max(axis=2) > 0
        for row, end in enumerate(LENGTH):
            assert moved[row, :end].all() == (place < end), (row, place)
            assert moved[row, :end].any() == (place < end), (row, place)


def test_the_pseudo_log_likelihood_is_that_of_each_symbol_blank_in_turn(model):
    expected = np.zeros(4)
    for place in range(6):
        blank = X.copy()
        blank[:, place] = model.blank
        probability = model.probabilities(blank, LENGTH).numpy()[np.arange(4), place, X[:, place]]
        expected += np.where(place < LENGTH, np.log(probability), 0)
    np.testing.assert_allclose(model.pseudo_log_prob(X, LENGTH), expected, rtol=1e-5)
    unknown = np.where(np.arange(6) == 1, 4, X)
    assert (model.pseudo_log_prob(unknown).numpy() == -np.inf).all()


def test_a_learnt_sequence_is_filled_in():
    """Rows rise or fall by one; a blank follows from any neighbour, several from what was filled before."""
    up = (np.arange(6)[None] + np.arange(4)[:, None]) % 4
    rows = np.concatenate([up, up[:, ::-1]]).astype(np.int32)
    model = build(layers=2, heads=2, width=32, hidden=0.3, learning_rate=0.005, warm_up=20)
    model.compile(steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors({"x": np.tile(rows, (8, 1))}).repeat(400), verbose=0)
    for blanks in ([2], [0], [5], [1, 4], [0, 1, 4]):
        shown = rows.copy()
        shown[:, blanks] = model.blank
        np.testing.assert_array_equal(model.fill(shown), rows)
    drawn = model.sample(64, seed=1)
    known = {row.tobytes() for row in rows}
    assert np.mean([row.tobytes() in known for row in drawn]) > 0.7


def test_fill_leaves_what_is_no_blank_and_what_is_behind_the_end(model):
    shown = np.full((2, 6), model.blank, np.int32)
    shown[0, 3] = 2
    found = model.fill(shown, [6, 2])
    assert found[0, 3] == 2
    assert (found[0] < 4).all()
    assert (found[1, 2:] == model.blank).all()
    shown[1, 0] = 9
    with pytest.raises(ValueError, match="row 1: symbol 9 at place 0 is none of the 4"):
        model.fill(shown)


def test_encode_is_the_mean_state_of_what_is_there(model):
    found = model.encode(X, LENGTH).numpy()
    assert found.shape == (4, 8)
    padded = np.where(np.arange(6) < LENGTH[:, None], X, 0)
    np.testing.assert_allclose(model.encode(padded, LENGTH), found, atol=1e-6)
    hidden = model.hidden(X, tf.constant(LENGTH)).numpy()
    np.testing.assert_allclose(found[1], hidden[1, :4].mean(axis=0), atol=1e-5)

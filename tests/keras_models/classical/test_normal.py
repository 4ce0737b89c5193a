"""Normal: the battery, and the closed form by NumPy and SciPy."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import keras_models
from keras_models.spec import Spec
from tests.contract import Contract

SPEC = Spec(kind="image", shape=(2, 3, 1))


class TestNormal(Contract):
    family = "normal"
    spec = Spec(kind="image", shape=(3, 3, 1))
    epochs = 2
    learns = "log_prob"
    resume_needs = ("scatter", "running_mean", "count")
    tiny = Spec(kind="image", shape=(1, 2, 1))


class TestDiagonalNormal(Contract):
    family = "normal"
    spec = SPEC
    settings = {"covariance": "diagonal", "ridge": 0.01}
    epochs = 2
    learns = "log_prob"
    tiny = Spec(kind="image", shape=(1, 2, 1))
    data = classmethod(lambda cls, spec: {"x": images(32, spec.dimensions).reshape(-1, *spec.shape)})


def images(n, dimensions, seed=4):
    """Correlated pixels around 0.5, well inside [0, 1]."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(dimensions, dimensions))
    x = 0.5 + 0.05 * random.normal(size=(n, dimensions)) @ mixing
    return np.clip(x, 0, 1).astype(np.float32)


def fit(x, batch_size, epochs=1, **settings):
    model = keras_models.build("normal", SPEC, keras_models.describe("normal").config(**settings))
    model.compile()
    batches = tf.data.Dataset.from_tensor_slices({"x": x.reshape(-1, *SPEC.shape)}).batch(batch_size)
    model.fit(batches, epochs=epochs, verbose=0)
    return model


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_it_is_the_closed_form(covariance):
    x = images(100, 6)
    model = fit(x, 100, covariance=covariance, ridge=1e-3)
    expected = np.cov(x.astype(np.float64), rowvar=False, bias=True)
    if covariance == "diagonal":
        expected = np.diag(np.diag(expected))
    expected = expected + 1e-3 * np.eye(6)
    scale = np.array(model.scale)
    np.testing.assert_allclose(model.mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale @ scale.T, expected, atol=1e-14)
    oracle = scipy.stats.multivariate_normal(np.array(model.mean), expected)
    held_out = images(20, 6, seed=5)
    found = model.log_prob(held_out)
    np.testing.assert_allclose(found, oracle.logpdf(held_out), rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 7, 50])
def test_batches_add_up_to_the_whole(batch_size):
    x = images(100, 6)
    whole, parts = fit(x, 100), fit(x, batch_size)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.scale, whole.scale, atol=1e-12)


def test_a_second_pass_changes_nothing():
    x = images(100, 6)
    np.testing.assert_array_equal(fit(x, 30, epochs=2).scale, fit(x, 30, epochs=1).scale)


def test_a_diagonal_covariance_is_worth_less_on_correlated_pixels():
    x = images(400, 6)
    full, diagonal = (fit(x, 64, covariance=kind) for kind in ("full", "diagonal"))
    gain = np.mean(full.log_prob(x)) - np.mean(diagonal.log_prob(x))
    correlation = np.corrcoef(x, rowvar=False)
    # The gain is the total correlation of the pixels: -log det(correlation) / 2.
    assert gain == pytest.approx(-np.linalg.slogdet(correlation)[1] / 2, rel=0.05)
    assert gain > 0.5


def test_samples_have_the_mean_and_covariance_of_the_data():
    x = images(500, 6)
    samples = fit(x, 64).sample(5000, seed=1).reshape(-1, 6)
    np.testing.assert_allclose(samples.mean(axis=0), x.mean(axis=0), atol=0.01)
    assert np.abs(np.cov(samples, rowvar=False) - np.cov(x, rowvar=False)).max() < 0.003


def test_pixels_that_never_vary_are_learnt_all_the_same():
    model = fit(np.full((20, 6), 0.25, np.float32), 5, ridge=1e-4)
    assert np.isfinite(model.log_prob(np.full((1, *SPEC.shape), 0.25))).all()
    np.testing.assert_allclose(model.sample(200).std(axis=0), 0.01, rtol=0.3)

"""Mixture of Bernoullis: the battery, EM by hand, planted prototypes, the digits."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import keras_models
from keras_models.spec import Spec
from tests.contract import Contract
from tests.tiny_data import every_value, tiny_data

SIX = Spec(kind="image", shape=(2, 3, 1), levels=2)


class TestMixture(Contract):
    family = "mixture"
    spec = Spec(kind="image", shape=(4, 4, 1), levels=2)
    settings = {"components": 3}
    resume_needs = ("seed_generator", "count", "sums", "means", "proportions", "passes")
    tiny = SIX


def fit(x, spec, epochs, seed=0, batch_size=64, **settings):
    config = keras_models.describe("mixture").config(**settings)
    model = keras_models.build("mixture", spec, config, seed=seed)
    model.compile()
    batches = tf.data.Dataset.from_tensor_slices({"x": x}).batch(batch_size)
    history = model.fit(batches, epochs=epochs, verbose=0).history["nats"]
    return model, history


def test_more_than_two_levels_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"have 256: set `data\.encode\.binarise`"):
        keras_models.build("mixture", Spec(kind="image", shape=(2, 2, 1)))


def test_before_learning_every_image_is_equally_likely():
    model = keras_models.build("mixture", SIX)
    np.testing.assert_allclose(model.log_prob(every_value(SIX)["x"]), -6 * np.log(2))


def test_one_component_is_the_independent_bernoulli():
    x = tiny_data(SIX)["x"]
    model, _ = fit(x, SIX, epochs=1, components=1, pseudo_count=0.5)
    p = (x.reshape(-1, 6).sum(axis=0, dtype=float) + 0.5) / (len(x) + 1)
    flat = every_value(SIX)["x"].reshape(-1, 6)
    expected = (flat * np.log(p) + (1 - flat) * np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(model.log_prob(every_value(SIX)["x"]), expected, rtol=1e-12)
    np.testing.assert_allclose(model.encode(x), 1)


def test_one_pass_is_em_by_hand():
    x = tiny_data(SIX)["x"]
    before, _ = fit(x, SIX, epochs=3, components=3)
    after, _ = fit(x, SIX, epochs=4, components=3)
    flat, weight, p = x.reshape(-1, 1, 6), np.array(before.proportions), np.array(before.means)
    joint = weight * np.prod(np.where(flat == 1, p, 1 - p), axis=2)
    share = joint / joint.sum(axis=1, keepdims=True)
    count = share.sum(axis=0)
    np.testing.assert_allclose(before.encode(x), share, rtol=1e-10)
    np.testing.assert_allclose(after.proportions, (count + 0.1) / (len(x) + 0.3), rtol=1e-10)
    means = (share.T @ x.reshape(-1, 6) + 0.1) / (count[:, None] + 0.2)
    np.testing.assert_allclose(after.means, means, rtol=1e-10)


def test_likelihood_never_falls_once_em_has_begun():
    x = tiny_data(Spec(kind="image", shape=(4, 4, 1), levels=2))["x"]
    spec = Spec(kind="image", shape=(4, 4, 1), levels=2)
    _, nats = fit(x, spec, epochs=15, components=4, pseudo_count=1e-9)
    assert np.all(np.diff(nats) < 1e-5)
    assert nats[1] - nats[-1] > 0.5, "nothing was learnt, so nothing could fall"


def test_batches_add_up_to_the_whole():
    x = np.repeat(tiny_data(SIX)["x"], 3, axis=0)
    whole, _ = fit(x, SIX, epochs=1, components=1, batch_size=96)
    parts, _ = fit(x, SIX, epochs=1, components=1, batch_size=7)
    np.testing.assert_allclose(parts.means, whole.means, rtol=1e-12)


def test_planted_prototypes_are_found():
    random = np.random.default_rng(3)
    prototypes = random.integers(0, 2, (2, 36))
    prototypes[1, :18] = 1 - prototypes[0, :18]
    cluster = (random.random(400) < 0.3).astype(int)
    noisy = np.where(random.random((400, 36)) < 0.1, 1 - prototypes[cluster], prototypes[cluster])
    spec = Spec(kind="image", shape=(6, 6, 1), levels=2)
    model, _ = fit(noisy.reshape(-1, 6, 6, 1).astype("float32"), spec, epochs=20, components=2)
    order = np.argsort(-np.array(model.proportions))  # the first prototype is the commoner
    np.testing.assert_array_equal(np.array(model.means)[order].round(), prototypes)
    np.testing.assert_allclose(np.array(model.proportions)[order], [0.7, 0.3], atol=0.06)
    found = order.argsort()[np.argmax(model.encode(noisy.reshape(-1, 6, 6, 1)), axis=1)]
    assert (found == cluster).mean() > 0.99


def test_the_seed_decides_the_classes():
    x = tiny_data(SIX)["x"]
    first, again, other = (fit(x, SIX, 3, seed=seed, components=3)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.means, again.means)
    assert not np.allclose(first.means, other.means)


@pytest.mark.parametrize(("threshold", "independent"), [(7.5, 25.24), (8.5, 24.59)])
def test_digits_in_nats(threshold, independent):
    """Scans at >= 8 (7.5) or > 8 (8.5) of 16 levels; 1437 to learn from and 360 held out."""
    images = (load_digits().images[..., None] > threshold).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    train, test = images[order[:1437]], images[order[1437:]]
    spec = Spec(kind="image", shape=(8, 8, 1), levels=2)
    floor, _ = fit(train, spec, epochs=1, components=1)
    mixture, _ = fit(train, spec, epochs=40, components=30)
    assert -np.mean(floor.log_prob(test)) == pytest.approx(independent, abs=0.01)
    assert -np.mean(mixture.log_prob(test)) < 18.5

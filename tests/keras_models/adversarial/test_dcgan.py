"""The DCGAN against the contract and against what its two steps may and may not change."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_models
from components.evaluation_pictures import DIMENSIONS, PATHS, PLACES, STOPS, latent_pictures
from keras_models.adversarial.dcgan import Config
from keras_models.spec import Spec
from tests.contract import Contract

SPEC = Spec(kind="image", shape=(8, 8, 1))


class TestContract(Contract):
    family = "dcgan"
    spec = SPEC
    settings = {"width": 4, "latent": 4, "generator_learning_rate": 0.01, "discriminator_learning_rate": 0.01}
    epochs = 12
    learns = "samples"
    resume_needs = ("seed_generator", "adam", "generator_ema", "updates")
    jit_tolerance = 5e-2  # Adam's first step is the gradient's sign, which rounding flips near zero


def make(spec: Spec = SPEC, **settings):
    return keras_models.build("dcgan", spec, Config.parse({"width": 8, "latent": 4} | settings), seed=1)


def values(network: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in network.variables]


def changed(before: list[np.ndarray], network: keras.Model) -> list[bool]:
    return [not np.array_equal(a, b) for a, b in zip(before, values(network), strict=True)]


@pytest.fixture
def batch() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).uniform(-1, 1, (16, 8, 8, 1)), tf.float32)


def test_generator_step_leaves_the_discriminator_as_it_was(batch):
    """Weights and batch statistics: the discriminator learns from its own step only."""
    model = make()
    model.optimizers()
    before = values(model.discriminator)
    generator = values(model.generator)
    model._generator_step(16)
    assert not any(changed(before, model.discriminator))
    assert any(changed(generator, model.generator))


def test_discriminator_step_leaves_the_generator_weights_as_they_were(batch):
    model = make()
    model.optimizers()
    before = [variable.numpy() for variable in model.generator.trainable_variables]
    discriminator = values(model.discriminator)
    model._discriminator_step(batch)
    after = [variable.numpy() for variable in model.generator.trainable_variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert any(changed(discriminator, model.discriminator))


def test_losses_are_the_papers_on_logits(batch):
    """softplus(-D(x)) + softplus(D(G(z))), finite for logits at which log(sigmoid) is not."""
    model = make()
    model.optimizers()
    loss, real, fake = model._discriminator_step(batch)
    sigmoid = lambda logit: 1 / (1 + np.exp(-logit.numpy().astype(np.float64)))  # noqa: E731
    expected = -np.mean(np.log(sigmoid(real))) - np.mean(np.log(1 - sigmoid(fake)))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_average_follows_the_generator_and_its_batch_statistics():
    model = make(ema_decay=0.5)
    for variable in model.generator.weights:
        variable.assign(tf.ones_like(variable))
    start = [variable.numpy() for variable in model.generator_ema.weights]
    model._average()  # the warm-up: (1 + 1) / (10 + 1) is below 0.5
    for before, after in zip(start, model.generator_ema.weights, strict=True):
        np.testing.assert_allclose(after, before * (2 / 11) + (9 / 11), rtol=1e-5)


def test_samples_come_from_the_average():
    model = make()
    before = model.sample(4, seed=0)
    for variable in model.generator.trainable_variables:
        variable.assign(variable + 1.0)
    np.testing.assert_array_equal(model.sample(4, seed=0), before)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (12, 20, 1)])
def test_networks_fit_the_shape(shape):
    model = make(Spec(kind="image", shape=shape))
    assert model.generator.output_shape[1:] == shape
    assert model.sample(2).shape == (2, *shape)
    assert model.discriminator(np.zeros((2, *shape), np.float32)).shape == (2, 1)


def test_a_side_that_does_not_halve_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"33x33 do not halve.*data.read.resize, e.g. to 32"):
        make(Spec(kind="image", shape=(33, 33, 1)))


def test_latents_are_draws_of_the_prior_by_their_seed():
    model = make()
    drawn = np.asarray(model.latents(4000, seed=1))
    assert drawn.shape == (4000, 4)
    np.testing.assert_array_equal(drawn, model.latents(4000, seed=1))
    assert not np.array_equal(drawn, model.latents(4000, seed=2))
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(4), atol=0.1)


def test_pictures_of_latents_are_drawn_by_the_average():
    model = make(latent=8)
    found = latent_pictures(model, 0)
    for variable in model.generator.trainable_variables:
        variable.assign(variable + 1.0)
    again = latent_pictures(model, 0)
    assert found["interpolations"].shape == (PATHS, STOPS, *SPEC.shape)
    assert found["traversals"].shape == (DIMENSIONS, PLACES, *SPEC.shape)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    drawn = np.asarray(model.latents(500, seed=0))
    np.testing.assert_allclose(found["interpolations"][:, 0], model.decode(drawn[:PATHS]), atol=1e-4)
    assert 0 <= found["traversals"].min() <= found["traversals"].max() <= 1
    assert np.ptp(found["traversals"][0], axis=0).max() > 0

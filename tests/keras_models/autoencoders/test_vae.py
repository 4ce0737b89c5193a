"""The VAE against the contract, against closed forms and against its own joint distribution."""

import numpy as np
import pytest
import tensorflow as tf

import keras_models
from components.evaluation_pictures import DIMENSIONS, PATHS, PLACES, STOPS, latent_pictures
from keras_models.autoencoders.vae import Config
from keras_models.spec import Spec
from tests.contract import Contract

BINARY = Spec(kind="image", shape=(4, 4, 1), levels=2)
GREY = Spec(kind="image", shape=(4, 4, 1), levels=16)
SMALL = {"latent": 2, "hidden": [16]}


class TestContract(Contract):
    family = "vae"
    spec = BINARY
    settings = SMALL | {"learning_rate": 0.01}
    epochs = 6
    resume_needs = ("seed_generator", "adam")


class TestContractOfGreyLevels(Contract):
    family = "vae"
    spec = GREY
    settings = SMALL | {"decoder": "discretised_logistic", "learning_rate": 0.01}
    epochs = 6
    resume_needs = ("seed_generator", "adam")


def make(spec: Spec = BINARY, **settings):
    return keras_models.build("vae", spec, Config.parse(SMALL | settings), seed=1)


def images(spec: Spec, n: int = 6) -> np.ndarray:
    random = np.random.default_rng(0).integers(0, spec.levels, (n, *spec.shape))
    return (random / (spec.levels - 1)).astype(np.float32)


def test_kl_is_the_closed_form():
    model = make()
    x = images(BINARY)
    q = model.posterior(x)
    mean, std = q.mean().numpy(), q.stddev().numpy()
    expected = 0.5 * np.sum(mean**2 + std**2 - 1 - 2 * np.log(std), axis=1)
    assert float(model.objective({"x": x}, training=True)["kl"]) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "discretised_logistic"])
def test_as_tfp_is_the_same_joint_density(decoder):
    spec = BINARY if decoder == "bernoulli" else GREY
    model, x = make(spec, decoder=decoder), images(spec)
    z = np.random.default_rng(1).normal(size=(len(x), 2)).astype(np.float32)
    joint = model.as_tfp().log_prob([z, model.support(x)])
    np.testing.assert_allclose(joint, model.joint_log_prob(x, z), rtol=1e-5)


def test_gaussian_decoder_is_the_density_with_the_stated_std():
    model, x = make(GREY, decoder="gaussian", std=0.25), images(GREY)
    z = np.zeros((len(x), 2), np.float32)
    residual = (x.reshape(len(x), -1) - model.decode(z).numpy().reshape(len(x), -1)) / 0.25
    expected = -0.5 * np.sum(residual**2, axis=1) - 16 * np.log(0.25 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(model.likelihood_of(z).log_prob(x.reshape(len(x), -1)), expected, rtol=1e-4)
    assert model.measure == "density"


def test_discretised_logistic_sums_to_one_over_its_grid():
    model = make(GREY, decoder="discretised_logistic")
    z = np.random.default_rng(2).normal(size=(1, 2)).astype(np.float32)
    grid = np.arange(16, dtype=np.float32)
    flat = np.repeat(grid[:, None], 16, axis=1)  # every pixel at once: the pixels are independent given z
    each = model.likelihood_of(z).distribution.log_prob(flat[:, None, :]).numpy()
    np.testing.assert_allclose(np.exp(each).sum(axis=0), 1.0, atol=1e-4)


def test_bound_meets_the_exact_likelihood_of_a_small_latent():
    """With two latent dimensions log p(x) can be integrated on a grid: the bound approaches it from
    below and tightens as the number of importance samples grows."""
    model, x = make(), images(BINARY, 4)
    axis = np.linspace(-6, 6, 121, dtype=np.float32)
    z = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    joint = model.joint_log_prob(x, np.repeat(z[:, None, :], 4, axis=1))
    exact = tf.reduce_logsumexp(joint, axis=0) + 2 * np.log(axis[1] - axis[0])
    many = np.repeat(x, 200, axis=0)
    means = [float(np.mean(model.log_prob(many, samples=k, seed=3))) for k in (1, 5, 50)]
    assert means[0] < means[1] < means[2] < np.mean(exact) + 0.01
    close = model.log_prob(many, samples=400, seed=3).numpy().reshape(4, 200).mean(axis=1)
    np.testing.assert_allclose(close, exact, atol=0.05)


def test_bound_is_the_same_for_the_same_seed_only():
    model, x = make(), images(BINARY)
    a, b, c = (model.log_prob(x, samples=60, seed=seed).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_grey_levels_are_refused_by_the_bernoulli_decoder_with_the_remedy():
    with pytest.raises(ValueError, match=r"16 levels: set data.encode.binarise"):
        make(GREY)


def test_gradient_of_the_objective_reaches_both_networks():
    model = make()
    with tf.GradientTape() as tape:
        loss = model.objective({"x": images(BINARY)}, training=True)["loss"]
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.abs(gradient).sum() > 0 for gradient in gradients if len(gradient.shape) == 2)


def test_latents_are_draws_of_the_prior_by_their_seed():
    model = make()
    drawn = np.asarray(model.latents(4000, seed=1))
    assert drawn.shape == (4000, 2)
    np.testing.assert_array_equal(drawn, model.latents(4000, seed=1))
    assert not np.array_equal(drawn, model.latents(4000, seed=2))
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.07)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(2), atol=0.1)


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "discretised_logistic"])
def test_simulated_images_come_from_the_latents_beside_them(decoder):
    spec = BINARY if decoder == "bernoulli" else GREY
    model, seed = make(spec, decoder=decoder), tf.constant([3, 1])
    x, z = (np.asarray(one) for one in model.simulate(3000, seed))
    assert (x.shape, z.shape) == ((3000, *spec.shape), (3000, 2))
    assert 0 <= x.min() <= x.max() <= 1
    for one, again in zip((x, z), model.simulate(3000, seed), strict=True):
        np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(x, model.draw(3000, None, seed))
    assert not np.array_equal(z, model.simulate(3000, tf.constant([4, 1]))[1])
    if decoder == "bernoulli":  # each image scatters about the mean of its own latent, not of another's
        own, other = np.asarray(model.decode(z)), np.asarray(model.decode(z[::-1]))
        assert np.square(x - own).mean() < np.square(x - other).mean()
        np.testing.assert_allclose(x.mean(axis=0), own.mean(axis=0), atol=0.04)


def test_pictures_of_latents_are_drawn():
    model = make(latent=8)
    found, again = (latent_pictures(model, seed) for seed in (0, 0))
    assert found["interpolations"].shape == (PATHS, STOPS, *BINARY.shape)
    assert found["traversals"].shape == (DIMENSIONS, PLACES, *BINARY.shape)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    drawn = np.asarray(model.latents(500, seed=0))
    np.testing.assert_allclose(found["interpolations"][:, 0], model.decode(drawn[:PATHS]), atol=1e-5)
    assert np.ptp(found["traversals"][0], axis=0).max() > 0

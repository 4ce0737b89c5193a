"""Annealed bounds of a real VAE with two latents, against the integral over them on a grid."""

import numpy as np
import pytest
import tensorflow as tf

import keras_models
from components.annealed_bounds import annealed_bounds
from keras_models.spec import Spec

SPEC = Spec(kind="image", shape=(4, 4, 1), levels=2)


@pytest.fixture(scope="module")
def vae():
    config = keras_models.describe("vae").config(latent=2, hidden=(8,))
    model = keras_models.build("vae", SPEC, config, seed=1)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:  # untrained, z would not matter
        variable.assign(random.normal(0, 0.7, variable.shape))
    return model


def exact(model, x):
    """log p(x) by the sum over a fine grid of latents."""
    side = np.linspace(-6, 6, 121)
    z = np.stack(np.meshgrid(side, side), -1).reshape(-1, 1, 2)
    joint = model.joint_log_prob(
        tf.constant(x), tf.constant(np.broadcast_to(z, (len(z), len(x), 2)), tf.float32)
    )
    cell = 2 * np.log(side[1] - side[0])
    return np.asarray(tf.reduce_logsumexp(tf.cast(joint, tf.float64), axis=0)) + cell


def test_the_bounds_hold_the_integral(vae):
    x, _ = (np.asarray(part) for part in vae.simulate(6, (0, 5)))
    found = annealed_bounds(vae, x, steps=100, seed=0)["nats_annealed"]
    truth = -exact(vae, x).mean()
    assert abs(found.value - truth) < 0.1  # -0.02 to 0.02 for seeds 0 to 2 (150 steps)
    assert -0.1 < found.extra["drawn"]["gap"] < 0.3
    assert found.extra["chains"] == 16

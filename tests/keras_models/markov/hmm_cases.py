"""Models with every emission that hidden Markov models have, parameters at random, and data drawn from them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_models import build, describe
from keras_models.markov import hmm_programs
from keras_models.spec import Spec

STEPS = 6
EMISSIONS = ("categorical", "bernoulli", "gaussian", "full_gaussian", "gaussian_mixture", "poisson")
FEW = ("bernoulli", "gaussian_mixture")  # what the fast tests try; the slow ones try all
EACH = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in EMISSIONS]


def model_of(emission, states=3, steps=STEPS, **config):
    """A model with parameters at random, far from any symmetry."""
    if emission == "categorical":
        spec = Spec(kind="tokens", shape=(steps,), vocabulary=4)
    elif emission == "bernoulli":
        spec = Spec(kind="roll", shape=(steps, 3))
    else:
        spec = Spec(kind="series", shape=(steps, 2))
        config["emission"] = emission
    model = build("hmm", spec, describe("hmm").config(states=states, pseudo_count=0.0, **config), seed=1)
    random = np.random.default_rng(5)
    *chain, rest = [*model.candidates[0].arrays()[:2], list(model.candidates[0].arrays()[2:])]
    if emission in ("gaussian", "gaussian_mixture"):
        rest[1] = random.uniform(0.3, 2, rest[1].shape)
    if emission == "full_gaussian":
        rest[1] = np.tril(random.uniform(0.3, 1, rest[1].shape))
    model.candidates[0].assign((*chain, *rest))
    return model


def data_of(model, batch=5, seed=2):
    """x, its mask or None, and lengths."""
    x = model.sample(batch, seed=seed)
    length = np.full(batch, model.spec.shape[0], np.int32)
    length[1:] -= np.arange(batch - 1) % 3
    if model.spec.kind != "series":
        return x, None, length
    mask = np.random.default_rng(0).random(x.shape) < 0.8
    if model.config.emission == "full_gaussian":
        mask = np.repeat(mask[..., :1], 2, axis=2)
    return x, mask.astype(np.uint8), length


def run(name, model, x, mask, length):
    values = model.candidates[0].values()
    return getattr(hmm_programs, name)(model.chain, values, x, mask, tf.constant(length))


def joined(x, length):
    return np.concatenate([row[:n] for row, n in zip(x, length, strict=True)])

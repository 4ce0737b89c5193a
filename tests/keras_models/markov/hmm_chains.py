"""Small hidden Markov models of symbols, their compiled programs, and sequences of unequal length."""

import itertools

import numpy as np
import tensorflow as tf

from keras_models import build, describe
from keras_models.markov import hmm_programs
from keras_models.markov.hmm_discrete import Categorical
from keras_models.spec import Spec

WEATHER = ([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.9, 0.1], [0.2, 0.8]])
EVERY_FOUR = np.array(list(itertools.product((0, 1), repeat=4)), np.int32)


def make(states=2, length=4, vocabulary=2, parameters=None, seed=0, **settings):
    spec = Spec(kind="tokens", shape=(length,), vocabulary=vocabulary)
    model = build("hmm", spec, describe("hmm").config(states=states, **settings), seed=seed)
    if parameters:
        for rows, value in zip((model.initial, model.transition, model.emission), parameters, strict=True):
            rows.assign(np.array(value))
    return model


def learn(model, x, length=None, batch=4, **settings):
    data = {"x": x} if length is None else {"x": x, "length": length}
    model.compile()
    return model.fit(tf.data.Dataset.from_tensor_slices(data).batch(batch), verbose=0, **settings)


def parameters_of(model):
    return [rows.numpy() for rows in (model.initial, model.transition, model.emission)]


def random_parameters(states, vocabulary, seed=0):
    random = np.random.default_rng(seed)
    shapes = (states,), (states, states), (states, vocabulary)
    return [random.dirichlet(np.ones(shape[-1]), shape[:-1]) for shape in shapes]


def ragged(vocabulary=5, batch=6, length=7, seed=1):
    random = np.random.default_rng(seed)
    lengths = random.integers(1, length + 1, batch).astype(np.int32)
    lengths[0] = length
    return random.integers(0, vocabulary, (batch, length)).astype(np.int32), lengths


def run(name, initial, transition, emission, x, length):
    """A compiled program of the chain that these parameters are of."""
    chain = hmm_programs.Chain(len(initial), Categorical(*np.shape(emission)))
    rows = [tf.convert_to_tensor(value, tf.float64) for value in (initial, transition, emission)]
    return getattr(hmm_programs, name)(
        chain, rows, tf.convert_to_tensor(x), None, tf.convert_to_tensor(length)
    )


def expected_counts(*given):
    return run("expected_counts", *given)


def log_likelihood(*given):
    return run("log_likelihood", *given)


def viterbi(*given):
    return run("viterbi", *given)


def path_score(parameters, x, path):
    initial, transition, emission = (np.log(np.array(rows)) for rows in parameters)
    moves = transition[path[:-1], path[1:]].sum()
    return initial[path[0]] + moves + emission[path, x].sum()

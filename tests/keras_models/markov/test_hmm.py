"""Hidden Markov model: exact small examples, enumeration, and hmmlearn, TFP and autodiff as oracles."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hmmlearn.hmm import CategoricalHMM

from keras_models.markov import hmm_programs
from keras_models.spec import Spec
from tests.contract import Contract
from tests.keras_models.markov.hmm_chains import (
    EVERY_FOUR,
    WEATHER,
    expected_counts,
    learn,
    log_likelihood,
    make,
    parameters_of,
    path_score,
    ragged,
    random_parameters,
    run,
)


class TestHMM(Contract):
    family = "hmm"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {"states": 2}
    resume_needs = ("initial_count", "transition_count", "emission_count", "hmm/emission")
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)


def test_weather_likelihoods():
    x = np.array([[0, 1, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    got = make(parameters=WEATHER).log_prob(x, np.array([3, 4, 4, 1]))
    assert got.dtype == tf.float64
    np.testing.assert_allclose(got, np.log([0.10893, 0.0704115, 0.0650625, 0.62]), rtol=1e-12)


def test_weather_likeliest_paths():
    x = np.array([[0, 1, 0, 1], [0, 1, 0, 0]])
    path, score = make(parameters=WEATHER).decode_states(x, np.array([3, 4]))
    np.testing.assert_array_equal(path, [[0, 1, 0, -1], [0, 1, 0, 0]])
    np.testing.assert_allclose(score, np.log([0.046656, 0.02939328]), rtol=1e-12)


def test_weather_one_step_of_baum_welch():
    model = make(parameters=WEATHER, pseudo_count=0.0)
    history = learn(model, np.array([[0, 1, 0, 0]], np.int32))
    expected = (
        [0.81205343, 0.18794657],
        [[0.66097986, 0.33902014], [0.68024032, 0.31975968]],
        [[0.9041456, 0.0958544], [0.38353947, 0.61646053]],
    )
    for got, value in zip(parameters_of(model), expected, strict=True):
        np.testing.assert_allclose(got, value, atol=1e-7)
    assert history.history["loss"][0] == pytest.approx(2.6533986769 / 4, rel=1e-6)  # nats per symbol


def test_probabilities_of_all_sequences_sum_to_one():
    model = make(states=3, vocabulary=2, seed=5)
    assert np.exp(model.log_prob(EVERY_FOUR)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("pseudo_count", [0.0, 0.25])
def test_likelihood_and_one_step_equal_hmmlearn(pseudo_count):
    (x, lengths), parameters = ragged(), random_parameters(3, 5)
    model = make(states=3, length=7, vocabulary=5, parameters=parameters, pseudo_count=pseudo_count)
    prior = 1 + pseudo_count  # pseudo-counts are those of a Dirichlet prior
    priors = dict.fromkeys(("startprob_prior", "transmat_prior", "emissionprob_prior"), prior)
    other = CategoricalHMM(3, n_iter=1, init_params="", implementation="scaling", **priors)
    other.startprob_, other.transmat_, other.emissionprob_ = parameters
    other.n_features = 5
    joined = np.concatenate([row[:n] for row, n in zip(x, lengths)])[:, None]
    assert np.sum(model.log_prob(x, lengths)) == pytest.approx(other.score(joined, lengths), rel=1e-10)
    learn(model, x, lengths)
    other.fit(joined, lengths)
    expected = other.startprob_, other.transmat_, other.emissionprob_
    for got, value in zip(parameters_of(model), expected, strict=True):
        np.testing.assert_allclose(got, value, atol=1e-8)


def test_counts_are_the_gradient_of_the_likelihood():
    (x, lengths), parameters = ragged(), [tf.constant(rows) for rows in random_parameters(3, 5)]

    @tf.function(jit_compile=True)
    def gradient(*rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = tf.reduce_sum(log_likelihood(*rows, x, lengths))
        return [rows * slope for rows, slope in zip(rows, tape.gradient(total, rows), strict=True)]

    _, *counts = expected_counts(*parameters, x, lengths)
    for count, value in zip(counts, gradient(*parameters), strict=True):
        np.testing.assert_allclose(count, value, rtol=1e-12, atol=1e-14)


def test_no_path_scores_above_the_decoded_one():
    (x, lengths), parameters = ragged(batch=4, length=5), random_parameters(3, 5)
    paths, scores = make(states=3, length=5, vocabulary=5, parameters=parameters).decode_states(x, lengths)
    for row, n, path, score in zip(x, lengths, paths.numpy(), scores.numpy()):
        every = [path_score(parameters, row[:n], np.array(p)) for p in itertools.product(range(3), repeat=n)]
        assert score == pytest.approx(path_score(parameters, row[:n], path[:n]), rel=1e-12)
        assert score == pytest.approx(max(every), rel=1e-12)
        assert np.all(path[n:] == -1)


def test_a_padded_batch_is_its_sequences():
    x, lengths = ragged(batch=3, length=5)
    parameters = random_parameters(3, 5)
    together = expected_counts(*parameters, x, lengths)
    apart = [
        expected_counts(*parameters, x[i : i + 1, :n], lengths[i : i + 1]) for i, n in enumerate(lengths)
    ]
    np.testing.assert_allclose(together[0], np.concatenate([a[0] for a in apart]), rtol=1e-13)
    for i in (1, 2, 3):
        np.testing.assert_allclose(together[i], sum(a[i].numpy() for a in apart), rtol=1e-12, atol=1e-15)
    padded = np.where(np.arange(5) < lengths[:, None], x, 99)
    for got, value in zip(expected_counts(*parameters, padded, lengths), together, strict=True):
        np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("name", ["expected_counts", "log_likelihood", "viterbi", "smooth_states"])
def test_pieces_that_run_side_by_side_are_the_whole(monkeypatch, name):
    """A large batch is cut in as many equal pieces as there are cores."""
    x, lengths = ragged(batch=8)
    found = []
    for count in (1, 4):
        monkeypatch.setattr(hmm_programs, "pieces", lambda rows, count=count: count)
        found.append(tf.nest.flatten(run(name, *random_parameters(3, 5), x, lengths)))
    for whole, cut in zip(*found, strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-12, atol=1e-15)


def test_a_batch_is_cut_in_equal_pieces_of_some_sequences(monkeypatch):
    monkeypatch.setattr(tf.config.threading, "get_inter_op_parallelism_threads", lambda: 4)
    assert [hmm_programs.pieces(rows) for rows in (None, 8, 64, 96, 100, 128, 1024, 1025)] == [
        1, 1, 2, 3, 2, 4, 4, 1,
    ]  # fmt: skip

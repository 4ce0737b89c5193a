"""Likelihoods with slopes and information, and the search that they serve, on problems whose answers are known."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_models.autoregressive.angles import free_of, slopes
from keras_models.autoregressive.complete_fit import differenced_rows
from keras_models.autoregressive.gaps_fit import estimates
from keras_models.autoregressive.polynomials import Polynomials
from keras_models.autoregressive.score import scored
from keras_models.autoregressive.scoring import Valued, scored_least
from keras_models.autoregressive.stationarity import autocovariances

SEASONAL = Polynomials(2, 1, 1, 1, 4, (1.0,))
ANGLE = st.floats(-1.4, 1.4)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.lists(ANGLE, min_size=5, max_size=5))
def test_processes_of_angles_are_those_of_their_tangents(angles):
    angles = np.array(angles)[:, None]
    found = slopes(SEASONAL[:4], SEASONAL.season, angles)
    process = SEASONAL.process(tf.constant(free_of(angles)))
    whole = np.zeros(process.ar.shape)
    whole[np.array(found.lags) - 1] = found.ar
    np.testing.assert_allclose(whole, process.ar, atol=1e-12)
    gamma = autocovariances(process.ar, process.ma, process.size)
    np.testing.assert_allclose(found.gamma, gamma, rtol=1e-9, atol=1e-9 * np.abs(gamma).max())


def test_slopes_are_differences():
    angles, small = np.array([[0.3], [-0.8], [1.1], [0.4], [-0.2]]), 1e-6
    found = slopes(SEASONAL[:4], SEASONAL.season, angles)
    for i in range(len(angles)):
        step = small * np.eye(len(angles))[:, i : i + 1]
        up, down = (slopes(SEASONAL[:4], SEASONAL.season, angles + sign * step) for sign in (1, -1))
        np.testing.assert_allclose(found.ar_slopes[:, i], (up.ar - down.ar) / (2 * small), atol=1e-8)
        np.testing.assert_allclose(found.gamma_slopes[:, i], (up.gamma - down.gamma) / (2 * small), atol=1e-7)


def test_score_is_the_kalman_filters():
    """Series that end at different steps, with regressors: value, regression and variance; and the gradient."""
    rng = np.random.default_rng(0)
    polynomials = Polynomials(1, 1, 1, 0, 2, (1.0,))
    columns, angles = rng.normal(size=(3, 30, 3)).cumsum(1), rng.uniform(-1.2, 1.2, (3, 3))
    count = np.array([30, 21, 27])
    there = (np.arange(30) < count[:, None]).astype(float)
    columns *= there[..., None]

    def at(angles):
        process = slopes(polynomials[:4], polynomials.season, angles)
        return scored(process, differenced_rows(columns, polynomials.delta), count - 1)

    found = at(angles)
    regression, variance, nats, values = estimates(polynomials, np.tan(angles), columns, there)
    np.testing.assert_array_equal(values, count - 1)
    np.testing.assert_allclose(found.value, -np.asarray(nats), rtol=1e-8)
    np.testing.assert_allclose(found.regression.T, regression, rtol=1e-6)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-8)
    for i in range(3):
        step = 1e-5 * np.eye(3)[:, i : i + 1]
        change = (at(angles + step).value - at(angles - step).value) / 2e-5
        np.testing.assert_allclose(found.gradient[i], change, rtol=1e-5, atol=1e-6)


def test_information_is_the_textbooks():
    """Of AR(1) and MA(1), 1 / (1 - coefficient^2) a value (Brockwell & Davis 1991, 8.8)."""
    rng = np.random.default_rng(0)
    for degrees, angle in (((1, 0, 0, 0), 0.5), ((0, 1, 0, 0), -0.7)):
        e = rng.normal(size=(1, 20_001))
        x = e[:, 1:] + np.sin(angle) * e[:, :-1]
        if degrees[0]:
            x = e[:, 1:].copy()
            for t in range(1, x.shape[1]):
                x[:, t] += np.sin(angle) * x[:, t - 1]
        found = scored(slopes(degrees, 1, np.array([[angle]])), x[..., None], np.array([x.shape[1]]))
        information = found.information[0, 0, 0] / np.cos(angle) ** 2 / x.shape[1]
        np.testing.assert_allclose(information, 1 / (1 - np.sin(angle) ** 2), rtol=0.05)


def test_the_likelihood_turns_smoothly_at_a_unit_root_of_a_moving_average():
    """Which is where most series have their maximum that were differenced once too often."""
    x = np.diff(np.random.default_rng(0).normal(size=(1, 60)))
    around = -np.pi / 2 + np.array([-0.01, 0, 0.01])
    rows = np.repeat(x[..., None], 3, axis=0)
    found = scored(slopes((0, 1, 0, 0), 1, around[None]), rows, np.full(3, x.shape[1]))
    np.testing.assert_allclose(found.value[0], found.value[2], rtol=1e-10)
    np.testing.assert_allclose(found.gradient[0, 1], 0, atol=1e-6)


@pytest.mark.parametrize("exact", [True, False])
def test_scoring_finds_the_least_of_parabolas(exact):
    """In a step where the information is the Hessian, and still where it is not."""
    rng = np.random.default_rng(0)
    target, start = rng.normal(size=(7, 3)) / 10, np.zeros((7, 3))
    hessian = np.diag([1.0, 20.0, 400.0])

    def evaluate(trial, problem):
        gradient = (trial - target[problem]) @ hessian
        value = 0.5 * ((trial - target[problem]) * gradient).sum(1)
        known = hessian if exact else np.diag([3.0, 9.0, 900.0])
        return Valued(value, gradient, np.broadcast_to(known, (len(trial), 3, 3)))

    search = scored_least(evaluate, start, (4, 2), 7, np.array([0]))
    np.testing.assert_allclose(search.point, target, atol=1e-3)
    assert (search.evaluations <= (6 if exact else 30)).all()


def test_a_search_that_comes_to_another_stops_and_a_broken_one_is_left():
    def evaluate(trial, problem):
        value = np.where(problem % 2 == 1, np.nan, np.square(trial).sum(1))
        return Valued(value, 2 * trial, np.tile(2 * np.eye(1), (len(trial), 1, 1)))

    search = scored_least(evaluate, np.array([[0.3], [0.3], [-0.4], [0.3]]), (2,), 2, np.array([0, 0]))
    assert search.done.all()
    np.testing.assert_allclose(search.point[0], 0, atol=1e-3)
    assert np.isinf(search.value[[1, 3]]).all()
    assert search.evaluations[2] <= search.evaluations[0]

"""Autoregression: the contract, closed forms, statsmodels' numbers, and what it says of bad series."""

import numpy as np
import pytest

from keras_models.spec import Spec
from tests.contract import Contract
from tests.keras_models.autoregressive.conftest import batch_of, learn, make, score


class TestAR(Contract):
    family = "ar"
    spec = Spec(kind="series", shape=(6, 1))
    settings = {"order": 1}
    resume_needs = ("sums",)
    tiny = Spec(kind="series", shape=(2, 1))


def test_density_of_three_values_is_the_closed_form():
    """AR(1), phi = 0.5, on [1, 2, 3]."""
    model = make("arima", 3, order=(1, 0, 0))
    model.set_coefficients(ar=[0.5])
    expected = -1.5 * np.log(2 * np.pi) + 0.5 * np.log(0.75) - 0.5 * (0.75 + 1.5**2 + 2**2)
    np.testing.assert_allclose(score(model, [1.0, 2.0, 3.0]), [expected], rtol=1e-14)
    np.testing.assert_allclose(expected, -6.400656635839908, rtol=1e-14)


def test_least_squares_is_statsmodels(golden):
    x, found = golden["sunspots"], golden["autoreg"]
    model = make("ar", len(x), order=2)
    history = learn(model, batch_of(x), epochs=2)
    phi, mean = model.ar.numpy()[0, 0], model.regression.numpy()[0, 0, 0]
    np.testing.assert_allclose([mean * (1 - phi.sum()), *phi], found["params"], rtol=1e-11)
    np.testing.assert_allclose(model.variance, [[found["sigma2"]]], rtol=1e-11)
    np.testing.assert_allclose(model.log_likelihood, [[found["llf"]]], rtol=1e-12)
    np.testing.assert_allclose(history.history["loss"][-1], -found["llf"] / (len(x) - 2), rtol=1e-6)


def test_yule_walker_is_statsmodels(golden):
    x, found = golden["sunspots"], golden["yule_walker"]
    model = make("ar", len(x), order=3, method="yule_walker")
    learn(model, batch_of(x))
    np.testing.assert_allclose(model.ar.numpy()[0, 0], found["phi"], rtol=1e-12)
    np.testing.assert_allclose(model.variance, [[found["variance"]]], rtol=1e-12)


def test_exact_maximum_is_statsmodels(golden):
    x, found = golden["sunspots"], golden["fit"]["sunspots_200c"]
    model = make("ar", len(x), order=2, method="exact")
    learn(model, batch_of(x), epochs=40)
    assert score(model, x)[0] >= found["llf"] - 1e-6
    np.testing.assert_allclose(model.ar.numpy()[0, 0], found["params"][1:3], atol=1e-4)
    np.testing.assert_allclose(model.regression.numpy()[0, 0], found["params"][:1], rtol=3e-3)


@pytest.mark.slow
def test_the_three_methods_find_one_process():
    """On a long series of a known process they agree."""
    truth = make("ar", 4000, order=2)
    truth.ar.assign([[[1.2, -0.5]]])
    x = truth.sample(1, seed=0)[..., 0]
    for method, epochs in (("least_squares", 1), ("yule_walker", 1), ("exact", 25)):
        model = make("ar", 4000, order=2, method=method)
        learn(model, batch_of(x), epochs=epochs)
        np.testing.assert_allclose(model.ar.numpy()[0, 0], [1.2, -0.5], atol=0.04, err_msg=method)


def test_a_panel_is_many_regressions_at_once():
    """pooled: false is numpy's least squares of each series, however the panel is cut into batches."""
    x = np.random.default_rng(0).normal(size=(12, 61))
    x = 2 + x[:, 1:] + 0.7 * x[:, :-1]
    model = make("ar", 60, series=12, order=3, pooled=False)
    learn(model, batch_of(x), size=4)
    for row, phi, mean in zip(x, model.ar.numpy()[1:, 0], model.regression.numpy()[1:, 0, 0], strict=True):
        design = np.stack([np.ones(57), *(row[3 - lag : 60 - lag] for lag in (1, 2, 3))], 1)
        expected = np.linalg.lstsq(design, row[3:], rcond=None)[0]
        np.testing.assert_allclose([mean * (1 - phi.sum()), *phi], expected, rtol=1e-8, atol=1e-10)


def test_missing_values_and_padding_are_left_out():
    x = np.random.default_rng(1).normal(size=(2, 50)).cumsum(1)
    model, pieces = make("ar", 50, order=1), make("ar", 50, order=1)
    gap = x.copy()
    gap[0, 20] = np.nan
    learn(model, batch_of(gap))
    cut = np.full((3, 50), np.nan)  # the same pairs, as three series of unequal lengths
    cut[0, :20], cut[1, :29], cut[2] = x[0, :20], x[0, 21:], x[1]
    learn(
        pieces,
        batch_of(
            np.nan_to_num(cut, nan=9.0),
            mask=np.ones((3, 50, 1), np.float32),
            length=np.array([20, 29, 50], np.int32),
        ),
    )
    np.testing.assert_allclose(model.ar, pieces.ar, rtol=1e-12)
    np.testing.assert_allclose(model.regression, pieces.regression, rtol=1e-10)


@pytest.mark.parametrize("method", ["least_squares", "yule_walker"])
@pytest.mark.parametrize(
    "x",
    [np.ones((2, 30)), np.full((2, 30), np.nan), np.where(np.arange(30) < 28, np.nan, 1.0)[None]],
    ids=["constant", "all missing", "too short"],
)
def test_series_that_say_nothing_are_refused(x, method):
    with pytest.raises(ValueError, match="each is constant, missing, or too short for its order"):
        learn(make("ar", 30, order=2, method=method), batch_of(x))


def test_a_series_of_a_panel_that_says_nothing_gets_the_typical_process():
    x = np.random.default_rng(0).normal(size=(4, 40))
    x[2] = 7.0
    model = make("ar", 40, series=4, order=1, pooled=False)
    with pytest.warns(UserWarning, match="1 of 4 series are constant, missing or too short"):
        learn(model, batch_of(x))
    np.testing.assert_array_equal(model.ar.numpy()[3], model.ar.numpy()[0])


def test_an_estimate_that_is_not_stationary_is_brought_inside():
    x = 1.1 ** np.arange(60.0)[None] + np.random.default_rng(0).normal(size=(1, 60))
    model = make("ar", 60, order=1, constant=False)
    with pytest.warns(UserWarning, match="look as if they were not stationary"):
        learn(model, batch_of(x))
    assert abs(model.ar.numpy()[0, 0, 0]) < 1
    assert np.isfinite(score(model, x)).all()


def test_wrong_settings_are_told():
    with pytest.raises(ValueError, match="windows of 3 steps are too short for order 3"):
        make("ar", 3, order=3)
    with pytest.raises(ValueError, match="covariates with method: exact only"):
        make("ar", 9, covariates=1)
    with pytest.raises(ValueError, match="these data do not say which series"):
        make("ar", 9, pooled=False)

"""Seasonal ARIMA: the contract, and the airline model as statsmodels finds it."""

import numpy as np
import pytest

from keras_models.spec import Spec
from tests.contract import Contract
from tests.keras_models.autoregressive.conftest import batch_of, learn, make, score


class TestSARIMA(Contract):
    family = "sarima"
    spec = Spec(kind="series", shape=(6, 1))
    settings = {"order": (0, 0, 1), "seasonal_order": (1, 0, 0), "season": 2, "trend": "mean"}
    resume_needs = ("search_point", "sum_gradient", "origin", "begun")
    tiny = Spec(kind="series", shape=(2, 1))


AIRLINE = {"ma": [-0.4], "seasonal_ma": [-0.55], "variance": 0.0014}


@pytest.fixture(scope="module")
def airline():
    """The airline model at given parameters."""
    model = make("sarima", 144)
    model.set_coefficients(**AIRLINE)
    return model


def test_likelihood_is_statsmodels(golden, airline):
    expected = golden["at"]["air_airline"]["llf"]
    np.testing.assert_allclose(score(airline, golden["air"]), [expected], rtol=0, atol=1e-9)


def test_likelihood_with_every_term_is_statsmodels(golden):
    found = golden["at"]["air_211_111"]
    model = make("sarima", 144, order=(2, 1, 1), seasonal_order=(1, 1, 1))
    *coefficients, variance = found["params"]
    model.set_coefficients(
        coefficients[:2], coefficients[2:3], coefficients[3:4], coefficients[4:], variance=variance
    )
    np.testing.assert_allclose(score(model, golden["air"]), [found["llf"]], rtol=0, atol=1e-9)


@pytest.mark.parametrize("gaps", ["air_missing", "air_missing_early"])
def test_likelihood_with_missing_values_is_statsmodels_exact_diffuse_one(golden, airline, gaps):
    """Which counts log 2 pi / 2 for each of the 13 first values, too; here they are given."""
    expected = golden["at"][f"{gaps}_airline"]["llf"] + 13 * np.log(2 * np.pi) / 2
    np.testing.assert_allclose(score(airline, golden[gaps]), [expected], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("history", "oracle"), [("air", "air_forecast"), ("air_missing_early", "air_missing_forecast")]
)
def test_forecast_is_statsmodels(golden, airline, history, oracle):
    mean, deviation = airline.forecast_normal(golden[history][None, :, None], 24)
    np.testing.assert_allclose(mean[0, :, 0], golden[oracle]["mean"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(deviation[0, :, 0], golden[oracle]["se"], rtol=1e-4)


def test_residuals_are_statsmodels(golden, airline):
    found = np.asarray(airline.residuals(golden["air"][None, :, None]))[0, :, 0]
    assert np.isnan(found[:13]).all()
    np.testing.assert_allclose(found[13:], golden["residuals"], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("pooled", [True, False])
def test_airline_passengers_reach_the_known_likelihood(golden, pooled):
    """244.6965, as R and statsmodels find it; statsforecast stops at 244.646."""
    found = golden["fit"]["air"]
    model = make("sarima", 144, series=1, pooled=pooled)
    learn(model, batch_of(golden["air"]), epochs=30 if pooled else 1)
    assert score(model, golden["air"], series=np.array([1]))[0] >= found["llf"] - 1e-6
    ma = model.ma.numpy()[-1, 0, [0, 11, 12]]
    np.testing.assert_allclose(ma, [-0.4018, -0.5569, 0.4018 * 0.5569], atol=1e-4)  # and the cross term


def test_samples_begin_as_the_series_did_and_keep_its_season(golden):
    model = make("sarima", 144)
    learn(model, batch_of(golden["air"]), epochs=12)
    x = model.sample(8, seed=0)[..., 0]
    np.testing.assert_allclose(x[:, :13], np.broadcast_to(golden["air"][:13], (8, 13)), rtol=1e-6)
    seasonal = x[:, 12:] - x[:, :-12]
    assert np.abs(seasonal[:, 1:] - seasonal[:, :-1]).std() < 0.2

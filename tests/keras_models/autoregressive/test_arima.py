"""ARIMA: the contract, statsmodels' numbers, and what it says of bad series."""

import numpy as np
import pytest

from keras_models.autoregressive import series_fit
from keras_models.autoregressive.polynomials import Polynomials
from keras_models.spec import Spec
from tests.contract import Contract
from tests.keras_models.autoregressive.conftest import batch_of, learn, make, score


class TestARIMA(Contract):
    """A process for each series, fitted all at once at the end of an epoch; test_sarima has one for all."""

    family = "arima"
    spec = Spec(kind="series", shape=(9, 1), series=32)
    settings = {"order": (1, 0, 0), "trend": "mean", "pooled": False}
    resume_needs = ("kept_x", "kept_there")
    tiny = Spec(kind="series", shape=(2, 1))

    @classmethod
    def build(cls, spec=None, seed=0):
        if spec == cls.tiny:  # two values cannot have a process of their own
            return make("arima", 2, seed=seed, order=(1, 0, 1), trend="mean")
        return super().build(spec, seed)


@pytest.mark.parametrize(
    ("order", "coefficients", "expected"),
    [
        ((1, 0, 0), {"ar": [0.5]}, -6.400656635839908),
        ((1, 0, 1), {"ar": [0.5], "ma": [0.4]}, -5.335593384631014),
        ((0, 0, 1), {"ma": [0.4]}, -7.371880117148365),
    ],
)
def test_density_of_three_values(order, coefficients, expected):
    model = make("arima", 3, order=order)
    model.set_coefficients(**coefficients)
    np.testing.assert_allclose(score(model, [1.0, 2.0, 3.0]), [expected], rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("sunspots_111", "sunspots"),
        ("temp_202", "temperature"),
        ("temp_missing_201", "temperature_missing"),
    ],
)
def test_likelihood_is_statsmodels(golden, name, series):
    found = golden["at"][name]
    p, d, q = found["order"]
    model = make("arima", len(golden[series]), order=(p, d, q))
    model.set_coefficients(found["params"][:p], found["params"][p : p + q], variance=found["params"][-1])
    np.testing.assert_allclose(score(model, golden[series]), [found["llf"]], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "series", "order", "trend"),
    [
        ("sunspots_111", "sunspots", (1, 1, 1), "none"),
        pytest.param("sunspots_202c", "sunspots", (2, 0, 2), "mean", marks=pytest.mark.slow),
        pytest.param("temp_102c", "temperature", (1, 0, 2), "mean", marks=pytest.mark.slow),
        pytest.param("drift_111t", "drifting", (1, 1, 1), "drift", marks=pytest.mark.slow),
        pytest.param("temp_missing_101c", "temperature_missing", (1, 0, 1), "mean", marks=pytest.mark.slow),
    ],
)
def test_fit_is_no_worse_than_statsmodels(golden, name, series, order, trend):
    found, x = golden["fit"][name], np.array(golden[series])
    model = make("arima", len(x), series=1, order=order, trend=trend, pooled=False)
    learn(model, batch_of(x))
    reached = score(model, x, series=np.array([1]))[0]
    np.testing.assert_allclose(reached, model.log_likelihood[1, 0], rtol=1e-10)
    assert reached >= found["llf"] - 1e-4, f"{reached} below {found['llf']}"
    if found["forecast"] and reached <= found["llf"] + 0.01:
        mean, deviation = model.forecast_normal(x[None, :, None], 12, series=np.array([1]))
        np.testing.assert_allclose(mean[0, :, 0], found["forecast"], atol=0.01 * deviation.max())
        np.testing.assert_allclose(deviation[0, :, 0], found["se"], rtol=2e-3)


@pytest.mark.slow
def test_one_process_for_all_windows_in_batches(golden):
    """Streamed: the same maximum, in whatever batches the windows come."""
    x = golden["sunspots"][:300].reshape(6, 50)
    scores = []
    for size in (6, 2):
        model = make("arima", 50, order=(1, 0, 1), trend="mean")
        learn(model, batch_of(x), size=size, epochs=30)
        scores.append(score(model, x).sum())
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-8)
    np.testing.assert_allclose(model.log_likelihood[0, 0], scores[1], rtol=1e-8)


def test_forecast_of_a_random_walk_is_its_last_value():
    model = make("arima", 10, order=(0, 1, 0))
    model.set_coefficients(variance=4.0)
    mean, deviation = model.forecast_normal([[[1.0], [5.0], [np.nan], [2.5]]], 9)
    np.testing.assert_allclose(mean[0, :, 0], 2.5)
    np.testing.assert_allclose(deviation[0, :, 0], 2 * np.sqrt(np.arange(1, 10)))


def test_drawn_paths_have_the_forecasts_mean_and_deviation():
    model = make("arima", 30, order=(1, 1, 1))
    model.set_coefficients([0.6], [0.3])
    history = np.random.default_rng(0).normal(size=(2, 30, 1)).cumsum(1)
    history[1, 25:] = np.nan
    drawn = model.forecast(history, 6, samples=4000, seed=0)
    mean, deviation = model.forecast_normal(history, 6)
    assert drawn.shape == (4000, 2, 6, 1)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=5 * deviation.max() / np.sqrt(4000))
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.06)


def test_covariates_are_regressors(golden):
    """A known effect of a known covariate is found, and their future moves the forecast."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1, 200, 1))
    x = 3 * z + 0.1 * rng.normal(size=(1, 200, 1))
    model = make("arima", 200, series=1, covariates=1, order=(1, 0, 0), trend="mean", pooled=False)
    learn(model, batch_of(x, covariates=z))
    np.testing.assert_allclose(model.regression.numpy()[1, 0], [0, 3], atol=0.03)
    future = np.concatenate([z, np.full((1, 2, 1), 10.0)], 1)
    mean, _ = model.forecast_normal(x, 2, covariates=future, series=np.array([1]))
    np.testing.assert_allclose(mean[0, :, 0], 30, atol=0.3)
    with pytest.raises(ValueError, match=r"forecasts with covariates \[1, 202, 1\]"):
        model.forecast(x, 2)


@pytest.mark.slow
def test_intervals_cover_a_simulated_panel():
    """80 % and 95 % within 3 points, of 400 series whose processes are estimated."""
    truth = make("arima", 212, order=(1, 1, 1))
    truth.set_coefficients([0.5], [0.3])
    x = np.concatenate([truth.sample(400, seed=seed) for seed in (0,)])
    model = make("arima", 200, series=400, order=(1, 1, 1), pooled=False)
    learn(model, batch_of(x[:, :200]))
    mean, deviation = model.forecast_normal(x[:, :200], 12, series=np.arange(1, 401))
    error = np.abs(x[:, 200:] - mean) / deviation
    for level, width in ((0.8, 1.2816), (0.95, 1.96)):
        assert abs((error < width).mean() - level) < 0.03


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize(
    "x",
    [
        np.ones(40),
        np.arange(40.0),  # constant once differenced
        np.full(40, np.nan),
        np.where(np.arange(40) < 37, np.nan, np.arange(40.0) ** 2),
    ],
    ids=["constant", "straight", "all missing", "too short"],
)
def test_series_that_say_nothing_are_refused(x, pooled):
    with pytest.raises(
        ValueError, match=r"never changes|values to learn from|constant, missing, or too short"
    ):
        learn(make("arima", 40, series=1, order=(1, 1, 1), pooled=pooled), batch_of(x))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ar": [1.2], "ma": [0.0]}, "not stationary"),
        ({"ar": [0.5], "ma": [1.7]}, "not invertible"),
        ({"ar": [0.5, 0.1], "ma": [0.0]}, "ar has 1 coefficients, and 2 were given"),
        ({"ar": [0.5], "ma": [0.0], "variance": 0.0}, "a variance above 0"),
    ],
)
def test_coefficients_that_are_no_process_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        make("arima", 9, order=(1, 0, 1)).set_coefficients(**given)


def test_wrong_settings_and_histories_are_told():
    with pytest.raises(ValueError, match="a mean cannot be told from a series that is differenced 1 times"):
        make("arima", 9, order=(1, 1, 1), trend="mean")
    with pytest.raises(ValueError, match="differencing takes 2 steps and a window has 2"):
        make("arima", 2, order=(0, 2, 0))
    model = make("arima", 9, order=(0, 1, 0))
    with pytest.raises(ValueError, match="a history of 1 steps is too short"):
        model.forecast(np.zeros((1, 1, 1)), 3)
    with pytest.raises(ValueError, match=r"a history is \[n, t, 1\]"):
        model.forecast(np.zeros((1, 5)), 3)
    with pytest.raises(ValueError, match="1 step at least"):
        model.forecast(np.zeros((1, 5, 1)), 0)


def test_a_series_in_two_windows_is_refused_for_a_panel():
    x = np.random.default_rng(0).normal(size=(2, 20))
    model = make("arima", 20, series=2, order=(1, 0, 0), pooled=False)
    with pytest.raises(ValueError, match="series 1 comes in 2 windows"):
        learn(model, batch_of(x, series=np.array([1, 1], np.int32)))


@pytest.mark.slow
def test_chosen_order_is_the_one_of_lowest_aicc(golden):
    """A grid in one program: what is chosen is the best of the orders fitted one by one."""
    x = golden["sunspots"][:120]
    chosen = {}
    for pooled, epochs in ((False, 1), (True, 40)):
        model = make("arima", 120, series=1, order=(1, 0, 1), trend="mean", choose=True, pooled=pooled)
        learn(model, batch_of(x), epochs=epochs)
        chosen[pooled] = tuple(model.chosen_orders()[-1, 0, :2]), float(model.aicc()[-1, 0])
    assert chosen[True][0] == chosen[False][0]
    np.testing.assert_allclose(chosen[True][1], chosen[False][1], rtol=1e-6)
    alone = {}
    for p, q in np.ndindex(2, 2):
        model = make("arima", 120, series=1, order=(p, 0, q), trend="mean", pooled=False)
        learn(model, batch_of(x))
        alone[p, q] = float(model.aicc()[1, 0])
    assert chosen[False][0] == min(alone, key=alone.get)
    np.testing.assert_allclose(chosen[False][1], min(alone.values()), rtol=1e-6)


def test_a_panel_of_random_walks_has_nothing_to_search():
    x = np.random.default_rng(0).normal(size=(2, 30)).cumsum(1)
    model = make("arima", 30, series=2, order=(0, 1, 0), pooled=False)
    learn(model, batch_of(x))
    np.testing.assert_allclose(model.variance.numpy()[1:, 0], np.square(np.diff(x, axis=1)).mean(1))


@pytest.mark.parametrize("missing", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_large_panel_is_searched_in_shares_side_by_side(monkeypatch, missing):
    x = np.cumsum(np.random.default_rng(0).normal(size=(40, 60)), axis=1)
    there = np.ones(x.shape, bool)
    there[:, 30] = not missing
    polynomials = Polynomials(1, 1, 0, 0, 1, (1.0,))
    found = []
    for count in (1, 3):
        monkeypatch.setattr(series_fit, "cores", lambda count=count: count)
        monkeypatch.setattr(series_fit, "WORTH", 30)
        assert series_fit.shares(120) == count
        found.append(series_fit.fitted(polynomials, (x * there)[..., None], there, None))
    whole, cut = found
    np.testing.assert_allclose(cut.log_likelihood, whole.log_likelihood, atol=1e-4)
    assert (whole.log_likelihood < 0).all()


def test_how_many_shares_there_are(monkeypatch):
    monkeypatch.setattr(series_fit, "cores", lambda: 4)
    searches = (1, 1500, 2048, 16_384, 50_000)
    assert [series_fit.shares(count) for count in searches] == [1, 2, 4, 4, 13]

"""The airline model on held-out years of airline passengers, in passengers: better than repeating the year before.

Measured (no randomness: the maximum is exact): last 12 months 2.90 %, last 24 months 8.52 %, as statsmodels has them;
the seasonal naive has 9.99 % and 15.52 %.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tests.keras_models.autoregressive.conftest import batch_of, learn, make

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def passengers(test_data):
    rows = csv.reader((test_data / "timeseries" / "airline-passengers.csv").open(encoding="utf-8"))
    return np.array([float(row[1]) for row in list(rows)[1:]])


def forecast(history, steps, **config):
    """The median forecast of a model that learnt the logarithms of a history."""
    x = np.log(history)
    model = make("sarima", len(x), series=1, pooled=False, **config)
    learn(model, batch_of(x))
    mean, _ = model.forecast_normal(x[None, :, None], steps, series=np.array([1]))
    return np.exp(mean[0, :, 0])


def error(truth, point):
    """Mean absolute percentage error."""
    return float(np.mean(np.abs(point / truth - 1)) * 100)


@pytest.mark.parametrize(("steps", "limit"), [(12, 3.0), (24, 8.6)])
def test_held_out_months(passengers, steps, limit):
    history, truth = passengers[:-steps], passengers[-steps:]
    naive = error(truth, np.resize(history[-12:], steps))
    found = error(truth, forecast(history, steps))
    print(f"\n{steps} months: {found:.2f} %, seasonal naive {naive:.2f} %")
    assert found <= limit < naive


def test_without_its_order_in_time_it_fails(passengers):
    """Negative control: years in any order, months in any order, teach nothing."""
    history, truth = passengers[:-12], passengers[-12:]
    shuffled = np.random.default_rng(0).permutation(history)
    assert error(truth, forecast(shuffled, 12)) > 10

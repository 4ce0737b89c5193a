"""Seasonal ARIMA: the contract."""

from keras_models.spec import Spec
from tests.contract import Contract


class TestSARIMA(Contract):
    family = "sarima"
    spec = Spec(kind="series", shape=(6, 1))
    settings = {"order": (0, 0, 1), "seasonal_order": (1, 0, 0), "season": 2, "trend": "mean"}
    resume_needs = ("search_point", "sum_gradient", "origin", "begun")
    tiny = Spec(kind="series", shape=(2, 1))

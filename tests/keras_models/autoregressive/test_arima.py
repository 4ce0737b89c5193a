"""ARIMA: the contract, of one process for all series and of one for each."""

from keras_models.spec import Spec
from tests.contract import Contract


class TestARIMA(Contract):
    family = "arima"
    spec = Spec(kind="series", shape=(6, 1))
    settings = {"order": (1, 0, 1), "trend": "mean"}
    resume_needs = ("search_point", "sum_gradient", "origin", "begun")
    tiny = Spec(kind="series", shape=(2, 1))


class TestPanel(Contract):
    """A process for each series, fitted all at once at the end of an epoch."""

    family = "arima"
    spec = Spec(kind="series", shape=(9, 1), series=32)
    settings = {"order": (1, 0, 0), "trend": "mean", "pooled": False}
    resume_needs = ("kept_x", "kept_there")
    tiny = Spec(kind="series", shape=(2, 1))

    @classmethod
    def build(cls, spec=None, seed=0):
        if spec == cls.tiny:  # two values cannot have a process of their own
            return TestARIMA.build(spec, seed)
        return super().build(spec, seed)

"""Autoregression: the contract."""

from keras_models.spec import Spec
from tests.contract import Contract


class TestAR(Contract):
    family = "ar"
    spec = Spec(kind="series", shape=(6, 1))
    settings = {"order": 1}
    resume_needs = ("sums",)
    tiny = Spec(kind="series", shape=(2, 1))

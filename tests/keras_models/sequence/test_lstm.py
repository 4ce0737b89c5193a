"""LSTM: the contract on symbols and on rolls, and its cell against Keras' own."""

from __future__ import annotations

from keras_models.spec import Spec
from tests.contract import Contract


class TestLSTM(Contract):
    family = "lstm"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {"units": 8, "embedding": 4, "learning_rate": 0.02, "dropout": 0.2, "truncate": 3}
    resume_needs = ("seed_generator", "adam")
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)


class TestLSTMOnRolls(Contract):
    family = "lstm"
    spec = Spec(kind="roll", shape=(6, 4))
    settings = {"units": 8, "embedding": 4, "learning_rate": 0.02, "chord_units": 4, "layers": 2}
    resume_needs = ("adam",)
    tiny = Spec(kind="roll", shape=(2, 4))

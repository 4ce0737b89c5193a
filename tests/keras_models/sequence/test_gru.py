"""GRU: the contract on symbols. What it shares with rnn and lstm: test_recurrent."""

from __future__ import annotations

from keras_models.spec import Spec
from tests.contract import Contract


class TestGRU(Contract):
    family = "gru"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {"units": 8, "embedding": 4, "learning_rate": 0.02}
    resume_needs = ("adam",)
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)

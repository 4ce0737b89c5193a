"""Elman's network: the contract on rolls of independent pitches. What it shares: test_recurrent."""

from __future__ import annotations

from keras_models.spec import Spec
from tests.contract import Contract


class TestRNN(Contract):
    family = "rnn"
    spec = Spec(kind="roll", shape=(6, 4))
    settings = {"units": 8, "embedding": 4, "learning_rate": 0.02, "chords": "independent"}
    resume_needs = ("adam",)
    tiny = Spec(kind="roll", shape=(2, 4))

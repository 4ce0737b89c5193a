"""GPT: the contract, no view of the future, kept keys and values, prompts, fine-tuning."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_models
from keras_models.sequence.decoding import few_shot
from keras_models.spec import Spec
from tests.contract import Contract

SPEC = Spec(kind="tokens", shape=(6,), vocabulary=3)
TINY = {"layers": 2, "heads": 2, "width": 8, "learning_rate": 0.01, "warm_up": 2}


class TestGPT(Contract):
    family = "gpt"
    spec = SPEC
    settings = {**TINY, "layers": 1, "dropout": 0.1, "decay_steps": 100}
    resume_needs = ("seed_generator", "adam_w", "iteration")
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)


def model(spec: Spec = SPEC, **settings):
    config = keras_models.describe("gpt").config.parse({**TINY, **settings})
    return keras_models.build("gpt", spec, config)

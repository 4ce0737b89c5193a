"""Several starts of Baum–Welch: all are tried for some epochs, the likeliest goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_candidate import Candidate


class Restarts:
    """Log p of the training data of each start, in this epoch and in the last that tried it, as weights of the model.

    Args:
        candidates: the starts; the first is the model's.
        epochs: that try them.
    """

    def __init__(self, model: Any, candidates: list[Candidate], epochs: int) -> None:
        self.candidates, self.epochs = candidates, epochs
        number = {"trainable": False, "dtype": "float64", "initializer": "zeros"}
        each = (len(candidates),)
        self.past = model.add_weight(name="trials", shape=(), **number)
        self.total = model.add_weight(name="trial_total", shape=each, aggregation="sum", **number)
        self.result = model.add_weight(name="trial_result", shape=each, **number)

    def trying(self) -> Any:
        """Whether all starts learn in this epoch: a scalar tensor."""
        return self.past < self.epochs

    def add(self, totals: list[Any]) -> None:
        """Adds the log-likelihoods of a batch."""
        self.total.value.assign_add(tf.stack(totals))

    def compare(self) -> None:
        """At the end of such an epoch: the likeliest start becomes the first."""
        found = np.asarray(tf.convert_to_tensor(self.total))
        self.result.assign(found)
        self.total.assign(np.zeros_like(found))
        self.past.assign(self.past + 1)
        best = int(np.argmax(found))
        if best:
            self.candidates[0].swap(self.candidates[best])

    def log_likelihoods(self) -> np.ndarray:
        """In the last epoch that tried them `[restarts]`, highest first."""
        return np.sort(np.asarray(tf.convert_to_tensor(self.result)))[::-1]

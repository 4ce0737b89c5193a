"""The step size of transformers: up in a line, down in a cosine, and AdamW with it."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf


class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    """`peak` (t + 1) / `warm_up` for the first updates, then peak (s + (1 - s) (1 + cos(pi u)) / 2) with u from
    0 to 1 over the updates up to `decay`, and s = `last` (Loshchilov & Hutter 2017). `decay` 0: it stays."""

    def __init__(self, peak: float, warm_up: int, decay: int, last: float) -> None:
        self.peak, self.warm_up, self.decay, self.last = peak, warm_up, decay, last

    def __call__(self, step: Any) -> Any:
        """The step size of update number `step`, from 0 on."""
        step = tf.cast(step, tf.float32)
        rising = tf.minimum((step + 1.0) / max(self.warm_up, 1), 1.0)
        if not self.decay:
            return self.peak * rising
        done = tf.clip_by_value((step - self.warm_up) / max(self.decay - self.warm_up, 1), 0.0, 1.0)
        falling = self.last + (1 - self.last) * 0.5 * (1.0 + tf.cos(math.pi * done))
        return self.peak * tf.where(step < self.warm_up, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """See LearningRateSchedule.get_config."""
        return {"peak": self.peak, "warm_up": self.warm_up, "decay": self.decay, "last": self.last}


def adamw(config: Any, weights: list[Any]) -> keras.optimizers.AdamW:
    """AdamW (Loshchilov & Hutter 2019) with gradients clipped by their global norm. Weights that are vectors,
    which are scales of norms and biases, do not shrink."""
    rate = WarmUpCosine(config.learning_rate, config.warm_up, config.decay_steps, config.last_rate)
    made = keras.optimizers.AdamW(
        rate, weight_decay=config.weight_decay, beta_2=config.beta_2, global_clipnorm=config.clip
    )
    made.exclude_from_weight_decay(var_list=[weight for weight in weights if len(weight.shape) < 2])
    return made

"""Naive Bayes: pixels independent given the class, the floor for models that draw what they are asked for.

p(x, y) = p(y) prod_d mean_yd^x_d (1 - mean_yd)^(1 - x_d), by counting, with pseudo-counts (Maron 1961).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig


class Config(FamilyConfig):
    pseudo_count: float = Field(
        0.5, gt=0, le=100, description="examples added to each class, and of each value to each of its pixels"
    )


class NaiveBayes(GenerativeModel):
    """label ~ Categorical(proportions), then every pixel on its own: x_d ~ Bernoulli(means[label, d])."""

    kinds = ("image",)
    likelihood = "exact"
    measure = "mass"
    paper = "Maron 1961, Automatic indexing: an experimental inquiry"
    reports = ("nats",)
    condition_on = "label"

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if spec.levels != 2 or len(spec.classes) < 2:
            raise ValueError(
                f"family 'naive_bayes' learns labelled images of 2 levels, and these have {spec.levels} levels "
                f"and {len(spec.classes)} classes: set `data.encode.binarise`, sort files into a folder a class"
            )
        k, d = len(spec.classes), spec.dimensions
        weight = {"trainable": False, "dtype": "float64"}
        self.proportions = self.add_weight(
            shape=(k,), initializer=keras.initializers.Constant(1 / k), name="proportions", **weight
        )
        self.means = self.add_weight(
            shape=(k, d), initializer=keras.initializers.Constant(0.5), name="means", **weight
        )
        total = weight | {"initializer": "zeros", "aggregation": "sum"}
        self.count = self.add_weight(shape=(k,), name="count", **total)
        self.sums = self.add_weight(shape=(k, d), name="sums", **total)
        self.built = True

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Adds the batch to the counts of its classes."""
        x = self._flat(batch["x"])
        own = tf.one_hot(batch["label"], len(self.spec.classes), dtype=tf.float64)
        self.count.assign_add(tf.reduce_sum(own, axis=0))
        self.sums.assign_add(tf.matmul(own, x, transpose_a=True))
        nats = -tf.reduce_logsumexp(self._log_joint(x), axis=-1)
        return self.track({"nats": tf.reduce_mean(nats)}, weight=tf.shape(x)[0])

    def end_epoch(self) -> None:
        """Solves for proportions and means, and forgets the counts."""
        added = self.config.pseudo_count
        count = tf.convert_to_tensor(self.count)
        self.proportions.assign((count + added) / tf.reduce_sum(count + added))
        self.means.assign((self.sums + added) / (count[:, None] + 2 * added))
        for sums in (self.count, self.sums):
            sums.assign(tf.zeros_like(sums))

    def log_prob(self, x: Any) -> tf.Tensor:
        """Log mass of binary images `[B, *shape]` in nats `[B]`, whatever their class, float64."""
        return tf.reduce_logsumexp(self._log_joint(self._flat(x)), axis=-1)

    def encode(self, x: Any) -> tf.Tensor:
        """p(class | x) of images `[B, *shape]`, float64 `[B, classes]`."""
        return tf.nn.softmax(self._log_joint(self._flat(x)))

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        seeds = tf.random.split(seed, 2)
        if condition is None:
            logits = tf.math.log(self.proportions)[None]
            condition = tf.random.stateless_categorical(logits, n, seeds[0])[0]
        uniform = tf.random.stateless_uniform((n, self.spec.dimensions), seeds[1], dtype=tf.float64)
        x = tf.cast(uniform < tf.gather(self.means, condition), tf.float32)
        return tf.reshape(x, (n, *self.spec.shape))

    def as_tfp(self) -> Any:
        """The same mass over flat float64 vectors of 0 and 1, as a `tfd.Distribution`."""
        import tensorflow_probability as tfp

        tfd = tfp.distributions
        return tfd.MixtureSameFamily(
            tfd.Categorical(probs=tf.convert_to_tensor(self.proportions)),
            tfd.Independent(
                tfd.Bernoulli(probs=tf.convert_to_tensor(self.means), dtype=tf.float64),
                reinterpreted_batch_ndims=1,
            ),
        )

    def _log_joint(self, x: tf.Tensor) -> tf.Tensor:
        """log p(x, class) of flat x: `[B, classes]`."""
        off = tf.math.log1p(-self.means)
        weight_of_pixel = tf.math.log(self.means) - off
        constant = tf.math.log(self.proportions) + tf.reduce_sum(off, axis=-1)
        return tf.matmul(x, weight_of_pixel, transpose_b=True) + constant

    def _flat(self, x: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(x, tf.float64), (-1, self.spec.dimensions))

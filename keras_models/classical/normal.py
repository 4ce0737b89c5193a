"""Normal: one multivariate normal, the smallest density and a floor every other family must beat.

Maximum likelihood of p(x) = N(x; mean, covariance) in closed form: batches add up count, mean and
scatter (Chan, Golub & LeVeque 1983), the end of the epoch solves.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig


class Config(FamilyConfig):
    covariance: Literal["diagonal", "full"] = Field("full", description="what the covariance may be")
    ridge: float = Field(1e-4, gt=0, le=1, description="added to every variance, in data units squared")


class Normal(GenerativeModel):
    """x ~ N(mean, scale scale'), on the data's own range; samples are clipped to it."""

    kinds = ("image",)
    likelihood = "exact"
    measure = "density"
    paper = "Fisher 1922, On the mathematical foundations of theoretical statistics"
    reports = ("examples",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        d = spec.dimensions
        weight = {"trainable": False, "dtype": "float64"}
        self.mean = self.add_weight(shape=(d,), initializer="zeros", name="mean", **weight)
        self.scale = self.add_weight(
            shape=(d, d), initializer=keras.initializers.Identity(), name="scale", **weight
        )
        self.count = self.add_weight(shape=(), initializer="zeros", name="count", **weight)
        self.running_mean = self.add_weight(shape=(d,), initializer="zeros", name="running_mean", **weight)
        self.scatter = self.add_weight(shape=(d, d), initializer="zeros", name="scatter", **weight)
        self._trackers = {"examples": keras.metrics.Sum(name="examples")}  # a count, not a mean
        self.built = True

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Merges the batch's count, mean and scatter, over all devices, into the running ones."""
        x = self._flat(batch["x"])
        own = tf.cast(tf.shape(x)[0], tf.float64)
        n, summed = _over_devices([own, tf.reduce_sum(x, axis=0)])
        mean = summed / n
        centred = x - mean
        (scatter,) = _over_devices([tf.matmul(centred, centred, transpose_a=True)])
        shift = mean - self.running_mean
        total = self.count + n
        self.scatter.assign_add(scatter + tf.tensordot(shift, shift, axes=0) * (self.count * n / total))
        self.running_mean.assign_add(shift * (n / total))
        self.count.assign(total)
        return self.track({"examples": own})

    def end_epoch(self) -> None:
        """Solves for mean and scale, and forgets the sums."""
        covariance = self.scatter / self.count
        if self.config.covariance == "diagonal":
            covariance = tf.linalg.diag(tf.linalg.diag_part(covariance))
        ridge = self.config.ridge * tf.eye(self.spec.dimensions, dtype=tf.float64)
        self.mean.assign(self.running_mean)
        self.scale.assign(tf.linalg.cholesky(covariance + ridge))
        for sums in (self.count, self.running_mean, self.scatter):
            sums.assign(tf.zeros_like(sums))

    def log_prob(self, x: Any) -> Any:
        """Log density of `[B, *shape]` in nats `[B]`, float64."""
        return self.as_tfp().log_prob(self._flat(x))

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        noise = tf.random.stateless_normal((n, self.spec.dimensions), seed, dtype=tf.float64)
        x = self.mean + tf.matmul(noise, self.scale, transpose_b=True)
        return tf.reshape(tf.cast(tf.clip_by_value(x, 0.0, 1.0), tf.float32), (n, *self.spec.shape))

    def as_tfp(self) -> Any:
        """The same density over flat float64 vectors, as a `tfd.Distribution`."""
        import tensorflow_probability as tfp

        return tfp.distributions.MultivariateNormalTriL(
            tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.scale)
        )

    def _flat(self, x: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(x, tf.float64), (-1, self.spec.dimensions))


def _over_devices(sums: list[Any]) -> list[Any]:
    """Sums over a device's share of the batch → sums over the whole batch."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, sums)

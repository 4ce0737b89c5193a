"""Mixture: independent Bernoullis in K classes (latent class analysis), the floor for binary images.

p(x) = sum_k proportion_k prod_d mean_kd^x_d (1 - mean_kd)^(1 - x_d), learnt by EM (Dempster, Laird & Rubin
1977): batches add up responsibilities and weighted sums of x, the end of the epoch solves. One
component is the independent Bernoulli.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig


class Config(FamilyConfig):
    components: int = Field(30, ge=1, le=10_000, description="number of classes K")
    pseudo_count: float = Field(
        0.1, gt=0, le=100, description="examples added to each class, and of each value to each of its pixels"
    )


class BernoulliMixture(GenerativeModel):
    """class ~ Categorical(proportions), then every pixel on its own: x_d ~ Bernoulli(means[class, d])."""

    kinds = ("image",)
    likelihood = "exact"
    measure = "mass"
    paper = "Lazarsfeld & Henry 1968, Latent structure analysis"
    reports = ("nats",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if spec.levels != 2:
            raise ValueError(
                f"family 'mixture' learns images of 2 levels, and these have {spec.levels}: "
                "set `data.encode.binarise`"
            )
        k, d = config.components, spec.dimensions
        weight = {"trainable": False, "dtype": "float64"}
        # Before learning every image is equally likely; the first pass breaks the symmetry.
        self.proportions = self.add_weight(
            shape=(k,), initializer=keras.initializers.Constant(1 / k), name="proportions", **weight
        )
        self.means = self.add_weight(
            shape=(k, d), initializer=keras.initializers.Constant(0.5), name="means", **weight
        )
        total = weight | {"initializer": "zeros", "aggregation": "sum"}  # over replicas: EM distributes
        self.count = self.add_weight(shape=(k,), name="count", **total)
        self.sums = self.add_weight(shape=(k, d), name="sums", **total)
        self.passes = self.add_weight(shape=(), initializer="zeros", name="passes", **weight)
        self.built = True

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """E-step: adds the batch's responsibilities and what they weigh to the sums.

        The first pass deals the images to the classes at random. Random means would not do: on mostly
        black images the darkest class takes nearly all, and others stay empty.
        """
        x = self._flat(batch["x"])
        joint = self._log_joint(x)
        k = self.config.components
        dealt = tf.random.stateless_uniform(
            (tf.shape(x)[0],), tf.cast(self.seed_generator.next(), tf.int32), 0, k, tf.int32
        )
        share = tf.where(self.passes == 0, tf.one_hot(dealt, k, dtype=tf.float64), tf.nn.softmax(joint))
        self.count.assign_add(tf.reduce_sum(share, axis=0))
        self.sums.assign_add(tf.matmul(share, x, transpose_a=True))
        nats = -tf.reduce_logsumexp(joint, axis=-1)
        return self.track({"nats": tf.reduce_mean(nats)}, weight=tf.shape(x)[0])

    def end_epoch(self) -> None:
        """M-step: solves for proportions and means, and forgets the sums."""
        added = self.config.pseudo_count
        count = tf.convert_to_tensor(self.count)
        self.proportions.assign((count + added) / tf.reduce_sum(count + added))
        self.means.assign((self.sums + added) / (count[:, None] + 2 * added))
        self.passes.assign_add(1.0)
        for sums in (self.count, self.sums):
            sums.assign(tf.zeros_like(sums))

    def log_prob(self, x: Any) -> tf.Tensor:
        """Log mass of binary images `[B, *shape]` in nats `[B]`, float64."""
        return tf.reduce_logsumexp(self._log_joint(self._flat(x)), axis=-1)

    def encode(self, x: Any) -> tf.Tensor:
        """Responsibilities: p(class | x) of images `[B, *shape]`, float64 `[B, components]`."""
        return tf.nn.softmax(self._log_joint(self._flat(x)))

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        seeds = tf.random.split(seed, 2)
        logits = tf.math.log(self.proportions)[None]
        component = tf.random.stateless_categorical(logits, n, seeds[0])[0]
        uniform = tf.random.stateless_uniform((n, self.spec.dimensions), seeds[1], dtype=tf.float64)
        x = tf.cast(uniform < tf.gather(self.means, component), tf.float32)
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
        """log p(x, class) of flat x: `[B, components]`."""
        off = tf.math.log1p(-self.means)
        weight_of_pixel = tf.math.log(self.means) - off
        constant = tf.math.log(self.proportions) + tf.reduce_sum(off, axis=-1)
        return tf.matmul(x, weight_of_pixel, transpose_b=True) + constant

    def _flat(self, x: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(x, tf.float64), (-1, self.spec.dimensions))

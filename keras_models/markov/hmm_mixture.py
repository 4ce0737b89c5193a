"""Emission of a hidden Markov model: a mixture of diagonal Gaussians in each state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_emissions import TINY, Arrays, Emission, invert, to_rows, weighted_log
from keras_models.markov.hmm_gaussian import SMALLEST_VARIANCE, Gaussian
from keras_models.markov.hmm_recursions import log


@dataclass(frozen=True)
class GaussianMixture(Emission):
    """Of `components` diagonal Gaussians in each state. Parameters: `mean` and `variance` `[K, M, channels]`,
    `weight` `[K, M]`."""

    components: int = 2
    names: ClassVar[tuple[str, ...]] = ("mean", "variance", "weight")
    measure: ClassVar[str] = "density"

    @property
    def _parts(self) -> Gaussian:
        return Gaussian(self.rows * self.components, self.size)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        rows = (self.rows, self.components)
        return (*rows, self.size), (*rows, self.size), rows

    def statistic_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (*self._parts.statistic_shapes(), (self.rows, self.components))

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """See Emission."""
        mean, variance, weight = self.shapes()
        return random.normal(0, 1, mean), np.ones(variance), np.full(weight, 1 / self.components)

    def begin(self, mean: Any, variance: Any, picks: Any) -> tuple[Any, ...]:
        """A step for the mean of each state, its components apart from it by turns."""
        turn = tf.cast(tf.linspace(-1.0, 1.0, self.components), picks.dtype)[:, None] * tf.sqrt(variance) / 2
        mean = picks[:, None, :] + turn
        variance = tf.zeros_like(mean) + variance + SMALLEST_VARIANCE
        return mean, variance, tf.fill((self.rows, self.components), tf.cast(1 / self.components, mean.dtype))

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission."""
        return tf.reduce_logsumexp(self._joint(parameters, x, mask), axis=2)

    def _joint(self, parameters: Any, x: Any, mask: Any) -> Any:
        """log p(x_t, component | state) `[T, K, M, B]`."""
        flat = tuple(tf.reshape(rows, (-1, self.size)) for rows in parameters[:2])
        found = self._parts.evidence(flat, x, mask)
        found = tf.reshape(found, (tf.shape(found)[0], self.rows, self.components, tf.shape(found)[2]))
        return found + log(parameters[2])[None, :, :, None]

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """Those of each component as in Gaussian, and expected steps of each component `[K, M]`."""
        joint = self._joint(parameters, x, mask)
        share = tf.exp(joint - tf.reduce_logsumexp(joint, axis=2, keepdims=True))
        share = tf.where(gamma[:, :, None, :] > 0, gamma[:, :, None, :] * share, tf.zeros_like(share))
        flat = tuple(tf.reshape(rows, (-1, self.size)) for rows in parameters[:2])
        share = tf.reshape(share, (tf.shape(share)[0], self.rows * self.components, tf.shape(share)[3]))
        steps = tf.reshape(tf.reduce_sum(share, axis=(0, 2)), (self.rows, self.components))
        return (*self._parts.statistics(flat, share, x, mask), steps)

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See Emission."""
        flat = tuple(np.reshape(rows, (-1, self.size)) for rows in parameters[:2])
        found = self._parts.maximum(flat, statistics[:3], prior, floor)
        weight = to_rows(statistics[3] + prior, np.asarray(parameters[2]))
        return (*(np.reshape(rows, self.shapes()[0]) for rows in found), weight)

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """See Emission."""
        flat, old = (
            tuple(tf.reshape(rows, (-1, self.size)) for rows in some[:2]) for some in (parameters, before)
        )
        shares = weighted_log(statistics[3], parameters[2])
        return self._parts.expected_log(flat, old, statistics[:3]) + shares

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See Emission."""
        return parameters[0], tf.math.log(parameters[1]), tf.math.log(tf.maximum(parameters[2], TINY))

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See Emission."""
        return free[0], tf.exp(free[1]), tf.nn.softmax(free[2])

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """See Emission: float32."""
        mean, variance, weight = parameters
        uniform = tf.random.stateless_uniform(tf.shape(states), seed + 1, dtype=tf.float64)
        part = invert(tf.gather(tf.cumsum(weight, axis=-1), states), uniform)
        flat = tuple(tf.reshape(rows, (-1, self.size)) for rows in (mean, variance))
        return self._parts.draw(flat, states * self.components + part, seed)

    def distribution(self, parameters: Any) -> Any:
        """See Emission."""
        import tensorflow_probability as tfp

        tfd = tfp.distributions
        mean, variance, weight = parameters
        parts = tfd.MultivariateNormalDiag(mean, tf.sqrt(variance))
        return tfd.MixtureSameFamily(tfd.Categorical(probs=weight), parts)

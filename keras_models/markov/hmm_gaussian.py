"""Gaussian emissions of a hidden Markov model: diagonal, and with full covariance.

Sums of squares are taken about the mean of all states' means, so that data far from 0 lose no digits. In an
M-step the prior is a number of steps that have the mean and the variance of all data; variances stay above
`floor` times the data's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_emissions import (
    TINY,
    Arrays,
    Emission,
    channels_first,
    observed,
    sums,
)

LOG_TWO_PI = math.log(2 * math.pi)
SMALLEST_VARIANCE = 1e-12


class Gaussian(Emission):
    """Each channel on its own. Parameters: `mean` and `variance`, both `[K, channels]`."""

    names = ("mean", "variance")
    measure = "density"

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (self.rows, self.size), (self.rows, self.size)

    def statistic_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (self.rows, self.size), (self.rows, self.size), (self.rows, self.size)

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """See Emission."""
        return random.normal(0, 1, (self.rows, self.size)), np.ones((self.rows, self.size))

    def begin(self, mean: Any, variance: Any, picks: Any) -> tuple[Any, ...]:
        """Means are steps, variances those of all."""
        return picks, tf.zeros_like(picks) + variance + SMALLEST_VARIANCE

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission."""
        mean, variance = parameters
        x, mask = channels_first(x, mask, mean.dtype)
        total = tf.zeros((), mean.dtype)
        for channel in range(self.size):
            centre, spread = (rows[:, channel][None, :, None] for rows in (mean, variance))
            away = x[channel][:, None, :] - centre
            found = away * away * (-0.5 / spread) - 0.5 * (tf.math.log(spread) + LOG_TWO_PI)
            total += found if mask is None else tf.where(mask[channel][:, None, :] > 0, found, 0.0)
        return total

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """Expected steps, and sums of x and of its square about the centre, each `[K, channels]`."""
        away, mask = _away(parameters[0], gamma, x, mask)
        found = sums(gamma, tf.concat([mask, away, away * away], axis=2))
        return tuple(tf.split(found, 3, axis=1))

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See Emission."""
        steps, first, second = statistics
        mean, variance = (np.array(rows) for rows in parameters[:2])
        middle = mean.mean(axis=0)
        seen = np.maximum(steps.sum(axis=0), TINY)
        all_mean = first.sum(axis=0) / seen
        all_variance = np.maximum(second.sum(axis=0) / seen - all_mean**2, SMALLEST_VARIANCE)
        steps, first = steps + prior, first + prior * all_mean
        second = second + prior * (all_variance + all_mean**2)
        visited = steps > 0
        counts = np.where(visited, steps, 1)
        away = first / counts
        found = np.maximum(second / counts - away**2, floor * all_variance + SMALLEST_VARIANCE)
        return np.where(visited, middle + away, mean), np.where(visited, found, variance)

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """See Emission."""
        (mean, variance), (steps, first, second) = parameters, statistics
        away = mean - tf.reduce_mean(before[0], axis=0)
        squares = second - 2 * away * first + steps * away * away
        return -0.5 * tf.reduce_sum(steps * tf.math.log(variance) + squares / variance)

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See Emission."""
        return parameters[0], tf.math.log(parameters[1])

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See Emission."""
        return free[0], tf.exp(free[1])

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """See Emission: float32."""
        mean, variance = (tf.gather(rows, states) for rows in parameters)
        noise = tf.random.stateless_normal(tf.shape(mean), seed, dtype=mean.dtype)
        return tf.cast(mean + tf.sqrt(variance) * noise, tf.float32)

    def distribution(self, parameters: Any) -> Any:
        """See Emission."""
        import tensorflow_probability as tfp

        return tfp.distributions.MultivariateNormalDiag(parameters[0], tf.sqrt(parameters[1]))


class FullGaussian(Emission):
    """All channels together, each step observed whole or not at all. Parameters: `mean` `[K, d]` and `factor`
    `[K, d, d]`, the lower Cholesky factor of the covariance."""

    names = ("mean", "factor")
    measure = "density"

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (self.rows, self.size), (self.rows, self.size, self.size)

    def statistic_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (self.rows, 1), (self.rows, self.size), (self.rows, self.size, self.size)

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """See Emission."""
        unit = np.tile(np.eye(self.size), (self.rows, 1, 1))
        return random.normal(0, 1, (self.rows, self.size)), unit

    def begin(self, mean: Any, variance: Any, picks: Any) -> tuple[Any, ...]:
        """Means are steps, variances those of all."""
        spread = tf.sqrt(variance + SMALLEST_VARIANCE)
        return picks, tf.tile(tf.linalg.diag(spread)[None], (self.rows, 1, 1))

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission. The triangular systems are solved channel by channel, over all steps at once."""
        mean, factor = parameters
        x, mask = channels_first(x, mask, mean.dtype)
        solved: list[Any] = []
        total = tf.constant(-0.5 * self.size * LOG_TWO_PI, mean.dtype)
        for i in range(self.size):
            away = x[i][:, None, :] - mean[:, i][None, :, None]
            for j, known in enumerate(solved):
                away -= factor[:, i, j][None, :, None] * known
            pivot = factor[:, i, i][None, :, None]
            solved.append(away / pivot)
            total = total - 0.5 * solved[-1] * solved[-1] - tf.math.log(pivot)
        return total if mask is None else tf.where(mask[0][:, None, :] > 0, total, 0.0)

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """Expected steps `[K, 1]`, and about the centre the sums of x and of its products `[K, d, d]`."""
        away, mask = _away(parameters[0], gamma, x, mask)
        products = tf.reshape(
            away[..., :, None] * away[..., None, :], (*tf.unstack(tf.shape(away)[:2]), self.size**2)
        )
        found = sums(gamma, tf.concat([mask[..., :1], away, products], axis=2))
        steps, first, second = tf.split(found, [1, self.size, self.size**2], axis=1)
        return steps, first, tf.reshape(second, (self.rows, self.size, self.size))

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See Emission; the floor is added to the covariance's diagonal where an eigenvalue is below it."""
        steps, first, second = statistics
        mean, factor = (np.array(rows) for rows in parameters)
        middle = mean.mean(axis=0)
        seen = max(steps.sum(), TINY)
        all_mean = first.sum(axis=0) / seen
        spread = second.sum(axis=0) / seen - np.outer(all_mean, all_mean)
        least = floor * np.maximum(np.diag(spread), SMALLEST_VARIANCE) + SMALLEST_VARIANCE
        target = np.diag(np.maximum(np.diag(spread), SMALLEST_VARIANCE)) + np.outer(all_mean, all_mean)
        for row in np.flatnonzero(steps[:, 0] + prior > 0):
            count = steps[row, 0] + prior
            away = (first[row] + prior * all_mean) / count
            covariance = (second[row] + prior * target) / count - np.outer(away, away)
            mean[row], factor[row] = middle + away, _factor(covariance, least)
        return mean, factor

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """See Emission."""
        (mean, factor), (steps, first, second) = parameters, statistics
        away = mean - tf.reduce_mean(before[0], axis=0)
        cross = away[:, :, None] * first[:, None, :]
        about = second - cross - tf.transpose(cross, (0, 2, 1))
        about += steps[..., None] * away[:, :, None] * away[:, None, :]
        half = tf.linalg.triangular_solve(factor, about)
        squares = tf.linalg.trace(tf.linalg.triangular_solve(factor, tf.transpose(half, (0, 2, 1))))
        logs = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factor)), axis=1)
        return -tf.reduce_sum(steps[:, 0] * logs + 0.5 * squares)

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See Emission: the factor's diagonal by its logarithm."""
        diagonal = tf.math.log(tf.linalg.diag_part(parameters[1]))
        return parameters[0], tf.linalg.set_diag(parameters[1], diagonal)

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See Emission."""
        below = tf.linalg.band_part(free[1], -1, 0)
        return free[0], tf.linalg.set_diag(below, tf.exp(tf.linalg.diag_part(below)))

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """See Emission: float32."""
        mean, factor = (tf.gather(rows, states) for rows in parameters)
        noise = tf.random.stateless_normal(tf.shape(mean), seed, dtype=mean.dtype)
        return tf.cast(mean + tf.linalg.matvec(factor, noise), tf.float32)

    def distribution(self, parameters: Any) -> Any:
        """See Emission."""
        import tensorflow_probability as tfp

        return tfp.distributions.MultivariateNormalTriL(*parameters)


def _away(mean: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, Any]:
    """`x` less the centre, 0 where it is missing, and the mask; `[B, T, channels]`."""
    x, mask = observed(x, mask, gamma.dtype)
    return (x - tf.reduce_mean(mean, axis=0)) * mask, mask


def _factor(covariance: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The Cholesky factor, with `least` added to the diagonal where the covariance is too flat."""
    scale = np.sqrt(least)
    flattest = np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0]
    if flattest < 1:
        covariance = covariance + np.diag(least * (1 - flattest))
    return np.linalg.cholesky(covariance)

"""Discrete emissions of a hidden Markov model: symbols, notes that sound together, counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_emissions import (
    TINY,
    Arrays,
    Emission,
    channels_first,
    invert,
    observed,
    over,
    sums,
    to_rows,
    weighted,
    weighted_log,
)
from keras_models.markov.hmm_recursions import log


class _LookedUp:
    """Columns of a table `[K, V]` for the symbols of each step, `outside` for those it has not. They are looked
    up when they are needed: all at once they are an array that no cache holds."""

    def __init__(self, table: Any, x: Any, outside: float) -> None:
        x, size = tf.transpose(x), table.shape[1]
        self.columns = tf.where((x < 0) | (x >= size), size, x)
        self.table = tf.pad(table, ((0, 0), (0, 1)), constant_values=tf.constant(outside, table.dtype))

    def __getitem__(self, t: Any) -> Any:
        return tf.gather(self.table, self.columns[t], axis=1)


class Categorical(Emission):
    """One of `size` symbols. Parameters: `emission` `[K, V]`, rows that sum to one."""

    names = ("emission",)
    logarithmic = False
    begins = False

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return ((self.rows, self.size),)

    statistic_shapes = shapes

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """See Emission."""
        return (random.dirichlet(np.full(self.size, concentration), self.rows),)

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission; 0 for symbols outside of the vocabulary."""
        return _LookedUp(parameters[0], x, 0.0)

    def log_evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission: the logarithm of the table, not of what is looked up in it."""
        return _LookedUp(log(parameters[0]), x, -np.inf)

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """Expected number of each symbol `[K, V]`."""
        symbols = self._inside(tf.transpose(x))
        counts = tf.math.unsorted_segment_sum(tf.transpose(gamma, (0, 2, 1)), symbols, self.size)
        return (tf.transpose(counts),)

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See Emission (40c)."""
        return (to_rows(statistics[0] + prior, parameters[0]),)

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """See Emission."""
        return weighted_log(statistics[0], parameters[0])

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See Emission."""
        return (tf.math.log(tf.maximum(parameters[0], TINY)),)

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See Emission."""
        return (tf.nn.softmax(free[0]),)

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """See Emission: int32 `[...]`."""
        uniform = tf.random.stateless_uniform(tf.shape(states), seed, dtype=tf.float64)
        return invert(tf.gather(tf.cumsum(parameters[0], axis=-1), states), uniform)

    def means(self, parameters: Arrays) -> np.ndarray:
        """The mean number of the symbol."""
        return np.asarray(parameters[0]) @ np.arange(self.size)

    def distribution(self, parameters: Any) -> Any:
        """See Emission."""
        import tensorflow_probability as tfp

        return tfp.distributions.Categorical(probs=parameters[0])

    def _inside(self, x: Any) -> Any:
        return tf.clip_by_value(x, 0, self.size - 1)


class Bernoulli(Emission):
    """A set of notes: each pitch sounds or not, on its own. Parameters: `sounding` `[K, pitches]`."""

    names = ("sounding",)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return ((self.rows, self.size),)

    def statistic_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (self.rows, 1), (self.rows, self.size)

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """See Emission."""
        return (random.beta(concentration, concentration, (self.rows, self.size)),)

    def begin(self, mean: Any, variance: Any, picks: Any) -> tuple[Any, ...]:
        """Halfway between a step and the mean of all, and away from 0 and 1."""
        return (0.01 + 0.98 * (picks + mean) / 2,)

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission; −inf where a pitch sounds that cannot, or one is silent that always sounds."""
        sounding = parameters[0]
        x = tf.cast(x, sounding.dtype)
        possible = tf.logical_and(sounding > 0, sounding < 1)
        inner = tf.where(possible, sounding, 0.5)  # where first: the logarithms have a gradient
        on = tf.where(possible, tf.math.log(inner), tf.zeros_like(inner))
        off = tf.where(possible, tf.math.log1p(-inner), tf.zeros_like(inner))
        ever = tf.cast(tf.equal(sounding, 0), x.dtype) - tf.cast(tf.equal(sounding, 1), x.dtype)
        always = tf.reduce_sum(tf.cast(tf.equal(sounding, 1), x.dtype), axis=1)
        wrong = weighted(x, ever) + always[:, None] > 0.5
        found = weighted(x, on - off) + tf.reduce_sum(off, axis=1)[:, None]
        return tf.where(wrong, tf.constant(-np.inf, x.dtype), found)

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """Expected steps `[K, 1]`, and of them those that each pitch sounds in `[K, pitches]`."""
        return tf.reduce_sum(gamma, axis=(0, 2))[:, None], sums(gamma, tf.cast(x, gamma.dtype))

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See Emission; the prior is `prior` steps with each pitch and as many without it."""
        steps, sounding = statistics[0] + 2 * prior, statistics[1] + prior
        return (np.clip(over(sounding, steps, parameters[0]), 0, 1),)

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """See Emission."""
        steps, on = statistics
        return weighted_log(on, parameters[0]) + weighted_log(steps - on, 1 - parameters[0])

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See Emission."""
        p = tf.clip_by_value(parameters[0], 1e-12, 1 - 1e-12)
        return (tf.math.log(p) - tf.math.log1p(-p),)

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See Emission."""
        return (tf.sigmoid(free[0]),)

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """See Emission: float32 of 0 and 1."""
        p = tf.gather(parameters[0], states)
        return tf.cast(tf.random.stateless_uniform(tf.shape(p), seed, dtype=p.dtype) < p, tf.float32)

    def means(self, parameters: Arrays) -> np.ndarray:
        """The mean pitch that sounds."""
        p = np.asarray(parameters[0])
        return p @ np.arange(self.size) / np.maximum(p.sum(axis=1), TINY)

    def distribution(self, parameters: Any) -> Any:
        """See Emission."""
        import tensorflow_probability as tfp

        tfd = tfp.distributions
        return tfd.Independent(tfd.Bernoulli(probs=parameters[0], dtype=tf.float64), 1)


class Poisson(Emission):
    """Counts in each channel. Parameters: `rate` `[K, channels]`."""

    names = ("rate",)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return ((self.rows, self.size),)

    def statistic_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See Emission."""
        return (self.rows, self.size), (self.rows, self.size)

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """See Emission."""
        return (random.gamma(1.0, 1.0, (self.rows, self.size)) + 0.1,)

    def begin(self, mean: Any, variance: Any, picks: Any) -> tuple[Any, ...]:
        """Halfway between a step and the mean of all, and above 0."""
        return ((picks + mean) / 2 + 0.01,)

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission; −inf for what is no count, and for counts above 0 at rate 0."""
        x, mask = channels_first(x, mask, parameters[0].dtype)
        total = tf.zeros((), x.dtype)
        for channel in range(self.size):
            value, rate = x[channel][:, None, :], parameters[0][:, channel][None, :, None]
            count = tf.logical_and(tf.equal(value, tf.floor(value)), value >= 0)
            safe = tf.where(count, value, tf.zeros_like(value))
            mean = tf.where(rate > 0, rate, tf.ones_like(rate))
            found = safe * tf.math.log(mean) - rate - tf.math.lgamma(safe + 1)
            wrong = tf.logical_or(~count, tf.logical_and(tf.equal(rate, 0), safe > 0))
            found = tf.where(wrong, tf.constant(-np.inf, x.dtype), found)
            found = tf.where(tf.math.is_nan(value), value, found)
            total += found if mask is None else tf.where(mask[channel][:, None, :] > 0, found, 0.0)
        return total

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """Expected steps and sums of counts, both `[K, channels]`."""
        x, mask = observed(x, mask, gamma.dtype)
        return sums(gamma, mask), sums(gamma, x)

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See Emission; the prior is `prior` steps with the mean count of all data."""
        steps, total = statistics
        mean = over(total.sum(axis=0), steps.sum(axis=0), parameters[0].mean(axis=0))
        return (over(total + prior * mean, steps + prior, parameters[0]),)

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """See Emission."""
        return weighted_log(statistics[1], parameters[0]) - tf.reduce_sum(statistics[0] * parameters[0])

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See Emission."""
        return (tf.math.log(tf.maximum(parameters[0], TINY)),)

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See Emission."""
        return (tf.exp(free[0]),)

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """See Emission: float32 counts."""
        rate = tf.gather(parameters[0], states)
        return tf.random.stateless_poisson(tf.shape(rate), seed, rate, dtype=tf.float32)

    def distribution(self, parameters: Any) -> Any:
        """See Emission."""
        import tensorflow_probability as tfp

        return tfp.distributions.Independent(tfp.distributions.Poisson(rate=parameters[0]), 1)

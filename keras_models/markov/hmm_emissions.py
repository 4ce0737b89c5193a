"""What the states of a hidden Markov model emit: symbols, notes that sound together, counts.

An emission is a frozen description (so that compiled programs are shared by equal models) whose methods take
the parameters, arrays with one row for each state, as a tuple in the order of `names`:

* `evidence`: p(x_t | state), or its logarithm where `logarithmic`, `[T, K, B]` of `x` `[B, T, ...]`;
* `statistics`: what the M-step needs of x, each step weighted by p(state_t | x) `[T, K, B]`;
* `maximum`: the parameters that maximise `expected_log`, in numpy, with the prior's pseudo-steps;
* `free` and `constrained`: the parameters as unconstrained numbers, for learning by gradient.

Gaussian ones are in hmm_gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_recursions import log

Arrays = tuple[np.ndarray, ...]
TINY = 1e-30  # in logits of probabilities that are 0


@dataclass(frozen=True)
class Emission:
    """Base: `rows` states, each with its own distribution over `size` symbols, pitches or channels."""

    rows: int
    size: int

    names: ClassVar[tuple[str, ...]] = ()
    logarithmic: ClassVar[bool] = True
    measure: ClassVar[str] = "mass"
    begins: ClassVar[bool] = True  # whether the first batch gives the states their first parameters

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the parameters."""
        raise NotImplementedError

    def statistic_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the statistics."""
        raise NotImplementedError

    def drawn(self, random: np.random.Generator, concentration: float) -> Arrays:
        """Parameters at random."""
        raise NotImplementedError

    def begin(self, mean: Any, variance: Any, picks: Any) -> tuple[Any, ...]:
        """First parameters from the mean and the variance of all steps, both `[size]`, and from some steps,
        `picks` `[rows, size]`."""
        raise NotImplementedError

    def evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See the module; entries where `mask` is 0 say nothing."""
        raise NotImplementedError

    def log_evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """The logarithm of the evidence."""
        return self.evidence(parameters, x, mask)

    def statistics(self, parameters: Any, gamma: Any, x: Any, mask: Any) -> tuple[Any, ...]:
        """See the module."""
        raise NotImplementedError

    def maximum(self, parameters: Arrays, statistics: Arrays, prior: float, floor: float) -> Arrays:
        """See the module; a state that was never visited keeps its row. `floor` is of variances."""
        raise NotImplementedError

    def expected_log(self, parameters: Any, before: Any, statistics: Any) -> Any:
        """The sum over steps and states of p(state | x) log p(x | state), but for a constant; `before` are the
        parameters that the statistics were found with."""
        raise NotImplementedError

    def free(self, parameters: Any) -> tuple[Any, ...]:
        """See the module."""
        raise NotImplementedError

    def constrained(self, free: Any) -> tuple[Any, ...]:
        """See the module."""
        raise NotImplementedError

    def draw(self, parameters: Any, states: Any, seed: Any) -> Any:
        """x `[..., size]` of states int32 `[...]`."""
        raise NotImplementedError

    def means(self, parameters: Arrays) -> np.ndarray:
        """The mean of each row, which canonical order sorts by: `[rows]`."""
        return np.reshape(parameters[0], (self.rows, -1)).mean(axis=1)

    def distribution(self, parameters: Any) -> Any:
        """The rows as one `tfd.Distribution` of batch shape `[rows]`."""
        raise NotImplementedError


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
        return self._looked_up(parameters[0], x, 0.0)

    def log_evidence(self, parameters: Any, x: Any, mask: Any) -> Any:
        """See Emission: the logarithm of the table, not of what is looked up in it."""
        return self._looked_up(log(parameters[0]), x, -np.inf)

    def _looked_up(self, table: Any, x: Any, outside: float) -> Any:
        x = tf.transpose(x)
        inside = tf.equal(x, self._inside(x))[:, None, :]
        rows = tf.transpose(tf.gather(tf.transpose(table), self._inside(x)), (0, 2, 1))  # [T, K, B]
        return tf.where(inside, rows, tf.constant(outside, table.dtype))

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
        return (np.clip(_over(sounding, steps, parameters[0]), 0, 1),)

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
        mean = _over(total.sum(axis=0), steps.sum(axis=0), parameters[0].mean(axis=0))
        return (_over(total + prior * mean, steps + prior, parameters[0]),)

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


# -- shared ------------------------------------------------------------------------------------------------


def weighted(x: Any, weight: Any) -> Any:
    """The sum over channels of `weight` `[K, V]` times `x` `[B, T, V]`: `[T, K, B]`."""
    batch, steps = tf.unstack(tf.shape(x)[:2])
    flat = tf.reshape(tf.transpose(x, (1, 0, 2)), (steps * batch, x.shape[2]))
    found = tf.reshape(tf.matmul(weight, flat, transpose_b=True), (weight.shape[0], steps, batch))
    return tf.transpose(found, (1, 0, 2))


def sums(gamma: Any, x: Any) -> Any:
    """The sum over steps and sequences of `gamma` `[T, K, B]` times `x` `[B, T, V]`: `[K, V]`."""
    flat = tf.reshape(tf.transpose(gamma, (1, 0, 2)), (gamma.shape[1], -1))
    return tf.matmul(flat, tf.reshape(tf.transpose(x, (1, 0, 2)), (tf.shape(flat)[1], x.shape[2])))


def observed(x: Any, mask: Any, dtype: Any) -> tuple[Any, Any]:
    """`x` `[B, T, d]` with 0 where it is missing, and the mask, both of `dtype`."""
    x = tf.cast(x, dtype)
    mask = tf.ones_like(x) if mask is None else tf.cast(mask, dtype)
    return tf.where(mask > 0, x, tf.zeros_like(x)), mask


def channels_first(x: Any, mask: Any, dtype: Any) -> tuple[Any, Any]:
    """`[d, T, B]`, with NaN for what is not finite; no mask stays none."""
    if mask is not None:
        x, mask = observed(x, mask, dtype)
        mask = tf.transpose(mask, (2, 1, 0))
    x = tf.transpose(tf.cast(x, dtype), (2, 1, 0))
    return tf.where(tf.math.is_finite(x), x, tf.constant(np.nan, dtype)), mask


def weighted_log(weight: Any, value: Any) -> Any:
    """The sum of weight * log(value), where 0 * log(0) is 0."""
    return tf.reduce_sum(tf.where(weight > 0, weight * log(value), tf.zeros_like(weight)))


def to_rows(counts: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Counts as distributions; a row without any stays as it was."""
    return _over(counts, counts.sum(axis=-1, keepdims=True), before)


def _over(sums: np.ndarray, counts: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    empty = counts == 0
    return np.where(empty, otherwise, sums / np.where(empty, 1, counts))


def invert(cumulative: Any, uniform: Any) -> Any:
    """Draws from rows of cumulative probabilities `[..., K]` by inversion: int32 `[...]`."""
    below = cumulative <= uniform[..., None] * cumulative[..., -1:]
    return tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)

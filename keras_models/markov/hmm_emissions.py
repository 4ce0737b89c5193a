"""What the states of a hidden Markov model emit: the interface of emissions, and what they share.

An emission is a frozen description (so that compiled programs are shared by equal models) whose methods take
the parameters, arrays with one row for each state, as a tuple in the order of `names`:

* `evidence`: p(x_t | state), or its logarithm where `logarithmic`, of `x` `[B, T, ...]`: a tensor `[T, K, B]`,
  or what gives `[K, B]` for `[t]`;
* `statistics`: what the M-step needs of x, each step weighted by p(state_t | x) `[T, K, B]`;
* `maximum`: the parameters that maximise `expected_log`, in numpy, with the prior's pseudo-steps;
* `free` and `constrained`: the parameters as unconstrained numbers, for learning by gradient.

They are in hmm_discrete, hmm_gaussian and hmm_mixture.
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


class Repeated:
    """Evidence of states of which each `tie` in a row share one row."""

    def __init__(self, rows: Any, tie: int) -> None:
        self.rows, self.tie = rows, tie

    def __getitem__(self, t: Any) -> Any:
        return tf.repeat(self.rows[t], self.tie, axis=0)


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
    return over(counts, counts.sum(axis=-1, keepdims=True), before)


def over(sums: np.ndarray, counts: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """sums / counts, and `otherwise` where the count is 0."""
    empty = counts == 0
    return np.where(empty, otherwise, sums / np.where(empty, 1, counts))


def invert(cumulative: Any, uniform: Any) -> Any:
    """Draws from rows of cumulative probabilities `[..., K]` by inversion: int32 `[...]`."""
    below = cumulative <= uniform[..., None] * cumulative[..., -1:]
    return tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)

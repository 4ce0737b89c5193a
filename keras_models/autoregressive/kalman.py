"""Kalman filter of integrated linear processes: values may be missing, and forecasts carry their variance.

The state holds the forecasts E[w_{t+i} | past] of the differenced process w, i < r (Akaike 1974), and the last
values of y that differencing needs: y_t = w_t + sum_j delta_j y_{t-j}, (1 - B)^d (1 - B^s)^D = 1 - sum delta_j B^j.
The first of these values are given, so the likelihood is that of the differences, as long as nothing is missing;
one that is missing is unknown: its variance is DIFFUSE, and a step that is still as uncertain is not counted.

Arrays are `[..., U]`, processes last; variances are in units of the noise's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.stationarity import autocovariances, responses

DIFFUSE = 1e7
COUNTED = 1e5  # variances below this are counted


class Process(NamedTuple):
    """A linear process: `ar` `[p, U]`, `ma` `[q, U]`, and the coefficients `delta` of its differencing."""

    ar: Any
    ma: Any
    delta: tuple[float, ...]

    @property
    def size(self) -> int:
        """r, the forecasts in the state."""
        return max(self.ar.shape[0], self.ma.shape[0] + 1)


class Filtered(NamedTuple):
    """Innovations `[T, k, U]`, their variances `[T, U]`, whether each counts `[T, U]`, and the state after
    the last step: mean `[n, k, U]` and covariance `[n, n, U]`."""

    innovations: Any
    variances: Any
    counted: Any
    mean: Any
    covariance: Any


def differencing(order: int, seasonal: int, season: int) -> tuple[float, ...]:
    """delta, order + seasonal * season numbers, of (1 - B)^order (1 - B^season)^seasonal = 1 - sum delta_j B^j."""
    polynomial = np.ones(1)
    for lag in [1] * order + [season] * seasonal:
        factor = np.zeros(lag + 1)
        factor[0], factor[-1] = 1, -1
        polynomial = np.convolve(polynomial, factor)
    return tuple((-polynomial[1:]).tolist())


def differenced(y: Any, delta: tuple[float, ...]) -> Any:
    """`y` `[T, ...]` without what the last values say of the next: `[T - len(delta), ...]`."""
    k = len(delta)
    steps = tf.shape(y)[0] - k
    found = y[k:]
    for j in np.flatnonzero(delta):
        found -= delta[j] * y[k - 1 - j : k - 1 - j + steps]
    return found


def stationary_start(process: Process, columns: int) -> tuple[Any, Any]:
    """Mean 0 `[r, columns, U]` and covariance `[r, r, U]` of the state before anything is seen."""
    r = process.size
    gamma = autocovariances(process.ar, process.ma, r)
    psi = responses(process.ar, process.ma, r)
    rows = [gamma[:r]]
    for i in range(1, r):  # what a forecast one step further on does not know yet is one shock more
        rows.append(tf.concat([gamma[i : i + 1], rows[-1][:-1] - psi[i - 1] * psi[:-1]], 0))
    covariance = tf.stack(rows)
    return tf.zeros(
        (r, columns, covariance.shape[-1] or tf.shape(covariance)[-1]), covariance.dtype
    ), covariance


def started(process: Process, first: Any, observed: Any) -> tuple[Any, Any]:
    """The state after the values that differencing needs.

    Args:
        first: `[len(delta), k, U]`, the oldest first; anything finite where not `observed` `[len(delta), U]`.
    """
    mean, covariance = stationary_start(process, first.shape[1])
    k = len(process.delta)
    if not k:
        return mean, covariance
    unknown = DIFFUSE * tf.cast(~observed[::-1], covariance.dtype)  # [k, U]
    lags = tf.transpose(tf.linalg.diag(tf.transpose(unknown)), (1, 2, 0))
    side = tf.zeros_like(covariance[:, :1]) + tf.zeros((1, k, 1), covariance.dtype)
    upper = tf.concat([covariance, side], 1)
    lower = tf.concat([tf.transpose(side, (1, 0, 2)), lags], 1)
    return tf.concat([mean, first[::-1]], 0), tf.concat([upper, lower], 0)


class _Steps:
    """The state's moves, as functions of `[n, ..., U]`: n rows, and the last axis a process each."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.r, self.k = process.size, len(process.delta)
        psi = responses(process.ar, process.ma, self.r)
        # the noise of the next step reaches the forecasts and not yet the lags
        self.shocks = tf.pad(psi[:, None] * psi[None], [[0, self.k], [0, self.k], [0, 0]])

    def seen(self, state: Any) -> Any:
        """Z x: what the state says of y."""
        found = state[0]
        for j in np.flatnonzero(self.process.delta):
            found += self.process.delta[j] * state[self.r + j]
        return found

    def moved(self, state: Any) -> Any:
        """T x: one step on. The lag of y that comes in is y_t itself."""
        p = self.process.ar.shape[0]
        weights = tf.reshape(self.process.ar[::-1], (p, *([1] * (state.shape.rank - 2)), -1))
        closing = tf.reduce_sum(weights * state[self.r - p : self.r], 0, keepdims=True)
        parts = [state[1 : self.r], closing]
        if self.k:
            parts += [self.seen(state)[None], state[self.r : self.r + self.k - 1]]
        return tf.concat(parts, 0)

    def predicted(self, covariance: Any) -> Any:
        """T P T' + R R'."""
        half = self.moved(covariance)
        both = self.moved(tf.transpose(half, (1, 0, 2)))
        return both + self.shocks


def filtered(process: Process, columns: Any, observed: Any, start: tuple[Any, Any]) -> Filtered:
    """Passes `columns` `[T, k, U]` through the filter; only the first needs to be the series.

    Args:
        observed: bool `[T, U]`; where false the columns are not read.
        start: the state before the first step.
    """
    steps, moves = tf.shape(columns)[0], _Steps(process)

    def step(t: Any, mean: Any, covariance: Any, found: Any, variances: Any) -> tuple[Any, ...]:
        there = observed[t]
        v = tf.where(there, columns[t] - moves.seen(mean), 0.0)
        cross = moves.seen(covariance)  # P Z' [n, U]
        f = moves.seen(cross)
        gain = tf.where(there, cross / f, 0.0)
        found, variances = found.write(t, v), variances.write(t, f)
        mean = mean + gain[:, None] * v
        covariance = covariance - gain[:, None] * cross[None]
        return t + 1, moves.moved(mean), moves.predicted(covariance), found, variances

    mean, covariance = start
    shapes = columns.shape[1:], covariance.shape[2:]
    arrays = [tf.TensorArray(columns.dtype, steps, element_shape=shape) for shape in shapes]
    loop = (tf.constant(0), mean, covariance, *arrays)
    _, mean, covariance, found, variances = tf.while_loop(
        lambda t, *_: t < steps, step, loop, maximum_iterations=steps
    )
    variances = variances.stack()
    return Filtered(found.stack(), variances, observed & (variances < COUNTED), mean, covariance)


def onwards(process: Process, start: tuple[Any, Any], noise: Any) -> Any:
    """Paths `[T, m, U]` that follow a state (mean `[n, m, U]`).

    Each value is drawn given those before it, by the innovations: no square root of the covariance.

    Args:
        noise: standard normal `[T, m, U]`, times the noise's deviation.
    """
    steps, moves = tf.shape(noise)[0], _Steps(process)

    def step(t: Any, mean: Any, covariance: Any, paths: Any) -> tuple[Any, ...]:
        cross = moves.seen(covariance)
        f = moves.seen(cross)
        v = tf.sqrt(f) * noise[t]
        paths = paths.write(t, moves.seen(mean) + v)
        mean = mean + (cross / f)[:, None] * v
        covariance = covariance - cross[:, None] * cross[None] / f
        return t + 1, moves.moved(mean), moves.predicted(covariance), paths

    mean, covariance = start
    paths = tf.TensorArray(noise.dtype, steps, element_shape=noise.shape[1:])
    loop = (tf.constant(0), mean, covariance, paths)
    *_, paths = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)
    return paths.stack()

"""Chandrasekhar recursions: innovations of complete series in O(r) a step, where a Kalman filter needs O(r^2).

State i of r is the forecast E[y_{t+i} | past]; the transition shifts it and closes with the autoregression
(Akaike 1974). For a stationary start the covariances of successive forecasts differ by a matrix of rank one
(Morf, Sidhu & Kailath 1974), and what is left of them is three vectors, begun by the autocovariances alone:

    k = Y_0 / F;   F' = F (1 - k^2);   G' = G - k T Y;   Y' = T Y - k G;   F = gamma_0, G = Y = gamma_1 ... gamma_r

with F the variance of the innovation and G / F the gain. Processes are the last axis, which is contiguous:
each step is a few wide vector operations. A value that is missing needs `keras_models.autoregressive.kalman`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def innovations(columns: Any, ar: Any, gamma: Any) -> tuple[Any, Any]:
    """Innovations `[T, k, U]` of every column and their variances `[T, U]`, in units of the noise's.

    Args:
        columns: `[T, k, U]`: the series and, beside it, regressors, which pass through the same filter.
        ar: coefficients `[p, U]`.
        gamma: autocovariances `[r + 1, U]`, r = max(p, q + 1).
    """
    steps, p = tf.shape(columns)[0], ar.shape[0]
    backwards = ar[::-1]

    def shifted(state: Any) -> Any:  # T x
        rows = state[state.shape[0] - p :]
        weights = tf.reshape(backwards, (p, *([1] * (state.shape.rank - 2)), -1))
        return tf.concat([state[1:], tf.reduce_sum(weights * rows, 0, keepdims=True)], 0)

    def step(t: Any, a: Any, f: Any, g: Any, y: Any, found: Any, variances: Any) -> tuple[Any, ...]:
        v = columns[t] - a[0]  # [k, U]
        found, variances = found.write(t, v), variances.write(t, f)
        a = shifted(a) + (g / f)[:, None] * v
        k, u = y[0] / f, shifted(y)
        return t + 1, a, f * (1 - k * k), g - k * u, u - k * g, found, variances

    first = columns[0]
    a = tf.zeros((gamma.shape[0] - 1, *([1] * first.shape.rank)), columns.dtype) + tf.zeros_like(first)
    arrays = [
        tf.TensorArray(columns.dtype, steps, element_shape=shape) for shape in (first.shape, gamma[0].shape)
    ]
    loop = (tf.constant(0), a, gamma[0], gamma[1:], gamma[1:], *arrays)
    *_, found, variances = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)
    return found.stack(), variances.stack()

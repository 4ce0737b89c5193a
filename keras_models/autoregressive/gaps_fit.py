"""The maximum of the exact likelihood of series with missing values, each with its own process: by BFGS.

The likelihood is the Kalman filter's; value and gradient are one XLA program. Where the regression is best it does
not change the gradient, so it is held.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.compaction import padded_sizes
from keras_models.autoregressive.kalman import Process
from keras_models.autoregressive.panel_optimizer import UNKNOWN, minimised
from keras_models.autoregressive.polynomials import Panel, Polynomials, aicc
from keras_models.autoregressive.whitening import whitened

AT_ONCE = 128  # searches in one call: what a call keeps for its gradient stays in cache


def searched_with_gaps(
    polynomials: Polynomials,
    columns: np.ndarray,
    there: np.ndarray,
    start: np.ndarray,
    free: np.ndarray,
    kinds: np.ndarray,
) -> Panel:
    """Of series with missing values: by BFGS on the Kalman filter's likelihood."""
    searches, count, size = start.shape
    known, flat = there.astype(np.float64), free.reshape(searches * count, size)

    def evaluate(trial: np.ndarray, problem: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = problem % count
        value, gradient = value_and_gradient(polynomials, trial.T, columns[rows], known[rows])
        return np.asarray(value), np.asarray(gradient).T * flat[problem]

    sizes = padded_sizes(searches * count, AT_ONCE)
    point = start[0]
    if size:
        search = minimised(evaluate, start.reshape(-1, size), sizes, count, kinds)
        value = search.state["value"].reshape(searches, count)
        values = there.sum(1) - len(polynomials.delta)
        numbers = free.sum(-1) + columns.shape[2]
        nats = np.where(value < UNKNOWN, values * (value + 0.5 * (np.log(2 * np.pi) + 1)), UNKNOWN)
        best = aicc(nats, numbers, values).argmin(0) * count + np.arange(count)
        point = search.state["point"][best]
    parts = []
    for first in range(0, count, sizes[0]):
        rows = np.arange(first, min(first + sizes[0], count))
        asked = np.resize(rows, sizes[0])
        own = estimates(polynomials, point[asked].T, columns[asked], known[asked])
        parts.append([np.asarray(one)[: len(rows)] for one in own])
    return Panel(point, *(np.concatenate(part) for part in zip(*parts, strict=True)))


@tf.function(jit_compile=True)
def value_and_gradient(polynomials: Polynomials, free: Any, columns: Any, known: Any) -> tuple[Any, Any]:
    """Mean negative log likelihood `[U]` but for a constant, and its gradient `[size, U]`, at `free` `[size, U]`."""
    with tf.GradientTape() as tape:
        tape.watch(free)
        value, *_ = _concentrated(polynomials, free, columns, known)
        total = tf.reduce_sum(tf.where(tf.math.is_finite(value), value, tf.zeros_like(value)))
    return value, tape.gradient(total, free)


@tf.function(jit_compile=True)
def estimates(polynomials: Polynomials, free: Any, columns: Any, known: Any) -> tuple[Any, ...]:
    """Regression `[U, k]`, variance, log likelihood in nats and how many values it is of, `[U]`."""
    value, beta, variance, count = _concentrated(polynomials, free, columns, known)
    nats = -count * (value + 0.5 * (np.log(2 * np.pi) + 1))
    regression = tf.stack(beta, -1) if beta else tf.zeros((tf.shape(columns)[0], 0), columns.dtype)
    return regression, variance, nats, count


def _concentrated(polynomials: Polynomials, free: Any, columns: Any, known: Any) -> tuple[Any, ...]:
    process = polynomials.process(free)
    if not polynomials.size:  # nothing is free: the shape comes from the data
        process = _white(process, columns)
    columns = tf.transpose(columns, (1, 2, 0))  # [T, 1 + k, U]
    there = tf.transpose(known) > 0
    v, f, counted = whitened(process, columns, there, True)
    weight = tf.cast(counted, v.dtype)
    beta = [tf.stop_gradient(one) for one in _least_squares(v, weight / f)]
    error = v[:, 0] - sum((b * v[:, j + 1] for j, b in enumerate(beta)), tf.zeros_like(v[:, 0]))
    count = tf.reduce_sum(weight, 0)
    most = tf.maximum(count, 1)
    variance = tf.reduce_sum(weight * tf.square(error) / f, 0) / most
    value = 0.5 * (tf.math.log(variance) + tf.reduce_sum(weight * tf.math.log(f), 0) / most)
    return value, beta, variance, count


def _white(process: Process, columns: Any) -> Process:
    empty = tf.zeros((0, columns.shape[0]), columns.dtype)
    return Process(empty, empty, process.delta)


def _least_squares(v: Any, weight: Any) -> list[Any]:
    """Coefficients of column 0 of `v` `[T, 1 + k, U]` on the others, a list of k `[U]`: Gaussian elimination written
    out, for XLA takes seconds to compile a factorisation. The matrix is positive definite: no pivots."""
    k = v.shape[1] - 1
    rows = [
        [tf.reduce_sum(weight * v[:, i + 1] * v[:, (j + 1) % (k + 1)], 0) for j in range(k + 1)]
        for i in range(k)
    ]
    for i in range(k):
        for below in range(i + 1, k):
            factor = rows[below][i] / rows[i][i]
            rows[below] = [low - factor * high for low, high in zip(rows[below], rows[i], strict=True)]
    beta: list[Any] = []
    for i in range(k - 1, -1, -1):
        rest = rows[i][k] - sum((rows[i][i + 1 + j] * b for j, b in enumerate(beta)), 0.0)
        beta.insert(0, rest / rows[i][i])
    return beta

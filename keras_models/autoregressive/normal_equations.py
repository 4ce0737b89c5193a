"""Sums of products of a series with its own past, and the autoregressions that they determine.

Sums are of each row `[B]` and channel `[C]`, and add up over rows, so that batches stream.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.estimator import assign, tell_failures
from keras_models.autoregressive.linear_process import LinearProcess
from keras_models.autoregressive.stationarity import brought_inside, wanders
from keras_models.autoregressive.whitening import observed
from keras_models.base import Batch

IN_CACHE = 64  # rows at a time
SINGULAR = 1e-12  # smallest pivot of normal equations scaled to a diagonal of ones that are solved


class Estimates(NamedTuple):
    """Autoregressions of groups and channels: `phi` `[G, C, p]`, the rest `[G, C]`. `observations` is 0 where
    nothing could be estimated: too few values, or a series that never changes; phi and mean are 0 there."""

    phi: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    log_likelihood: np.ndarray
    observations: np.ndarray


class LagSums:
    """Least squares, or Yule–Walker: sums over an epoch's batches, solved at its end."""

    kept: tuple[Any, ...] = ()

    def __init__(self, model: LinearProcess, least_squares: bool) -> None:
        self.model, self.least_squares = model, least_squares
        self.constant, p = model.orders.trend == "mean", model.orders.ar
        self.sums = model.add_weight(
            name="sums",
            shape=(model.groups, model.spec.shape[1], *((p + 2, p + 2) if least_squares else (p + 1, 3))),
            initializer="zeros",
            aggregation="sum",
            trainable=False,
            dtype="float64",
        )

    def add(self, batch: Batch) -> dict[str, Any]:
        """Adds the batch's sums; `loss` is nats a value, given the p before it."""
        model = self.model
        x, there = observed(batch["x"], batch.get("length"), batch.get("mask"))
        products = lagged(x, there, model.orders.ar)
        rows = products if self.least_squares else toeplitz_sums(x, there, model.orders.ar)
        group = model.group_of(x, batch.get("series"))
        self.sums.value.assign_add(self._grouped(rows, group))
        phi, variance = tf.gather(model.ar, group), tf.gather(model.variance, group)
        mean = tf.gather(model.regression, group)[..., 0] if self.constant else tf.zeros_like(variance)
        intercept = mean * (1 - tf.reduce_sum(phi, -1))
        error = tf.concat([-intercept[..., None], -phi, tf.ones_like(phi[..., :1])], -1)
        squares = tf.einsum("bci,bcij,bcj->bc", error, products, error)
        count = products[..., 0, 0]
        nats = 0.5 * (count * tf.math.log(2 * np.pi * variance) + squares / variance)
        total = tf.reduce_sum(count)
        return model.track({"loss": tf.math.divide_no_nan(tf.reduce_sum(nats), total)}, weight=total)

    def _grouped(self, rows: Any, group: Any) -> Any:
        """Sums `[groups, ...]` of what each row has; row 0 of a panel is all of them."""
        everything = tf.reduce_sum(rows, 0, keepdims=True)
        if self.model.groups == 1:
            return everything
        apart = tf.math.unsorted_segment_sum(rows, group, self.model.groups)
        return tf.concat([everything, apart[1:]], 0)

    def solve(self) -> None:
        """See LinearProcess.end_epoch."""
        model = self.model
        found = (solved if self.least_squares else yule_walker)(self.sums.numpy(), self.constant)
        estimated = found.observations > 0
        phi, outside = found.phi, wanders(np.moveaxis(found.phi, -1, 0))
        phi[outside] = brought_inside(phi[outside][..., None, None])[0][..., 0, 0]
        tell_failures(model.family, estimated, outside & estimated)
        typical = ~estimated & estimated[:1]

        def put(weight: Any, value: np.ndarray) -> None:
            missing = typical.reshape(typical.shape + (1,) * (value.ndim - 2))
            assign(weight, np.where(missing, value[:1], value))

        put(model.ar, phi)
        put(model.variance, found.variance)
        if self.constant:
            put(model.regression, found.mean[..., None])
        model.log_likelihood.assign(found.log_likelihood)
        model.observations.assign(found.observations)
        self.sums.assign(np.zeros(self.sums.shape))


@tf.function(jit_compile=True)
def lagged(x: Any, there: Any, order: int) -> Any:
    """Sums of products `[B, C, p + 2, p + 2]` of 1, y_{t-1} ... y_{t-p} and y_t, over the steps `t` of `x`
    `[B, L, C]` where all of them are observed."""
    return tf.cond(tf.reduce_all(there), lambda: _in_cache(x, order), lambda: _with_gaps(x, there, order))


def _in_cache(x: Any, order: int) -> Any:
    """`_complete`, a few rows at a time: every lag passes over them, and memory is read once."""
    rows = max(n for n in range(1, IN_CACHE + 1) if (x.shape[0] or 1) % n == 0)
    if rows == 1:
        return _complete(x, order)
    blocks = tf.reshape(x, (-1, rows, *x.shape[1:]))
    found = tf.map_fn(lambda block: _complete(block, order), blocks, fn_output_signature=x.dtype)
    return tf.reshape(found, (-1, *found.shape[2:]))


def _complete(x: Any, order: int) -> Any:
    """One pass over the series a lag: sums over other stretches of it differ at its ends alone."""
    steps, lags = x.shape[1], (*range(1, order + 1), 0)
    found = {(0, k): tf.reduce_sum(x[:, order:] * x[:, order - k : steps - k], 1) for k in range(order + 1)}
    level = [tf.reduce_sum(x[:, order:], 1)]
    for i in range(order):
        first, last = x[:, order - 1 - i], x[:, steps - 1 - i]
        level.append(level[i] + first - last)
        for j in range(i, order):
            rest = first * x[:, order - 1 - j] - last * x[:, steps - 1 - j]
            found[i + 1, j + 1] = found[i, j] + rest
    count = tf.ones_like(level[0]) * (steps - order)
    rows = [tf.stack([count, *(level[i] for i in lags)], -1)]
    for i in lags:
        rows.append(tf.stack([level[i], *(found[min(i, j), max(i, j)] for j in lags)], -1))
    return tf.stack(rows, -2)


def _with_gaps(x: Any, there: Any, order: int) -> Any:
    steps = x.shape[1] - order
    shifts = [order - lag for lag in (*range(1, order + 1), 0)]  # where y_{t-lag} begins
    all_there = tf.reduce_all(tf.stack([there[:, s : s + steps] for s in shifts]), 0)
    weight = tf.cast(all_there, tf.float64)
    values = [weight, *(tf.where(all_there, x[:, s : s + steps], 0) for s in shifts)]
    return _products(values)


def _products(values: list[Any]) -> Any:
    """Sums over time of the products of all pairs: `[B, C, n, n]`."""
    size = len(values)
    upper = {(i, j): tf.reduce_sum(values[i] * values[j], 1) for i in range(size) for j in range(i, size)}
    rows = [tf.stack([upper[min(i, j), max(i, j)] for j in range(size)], -1) for i in range(size)]
    return tf.stack(rows, -2)


def toeplitz_sums(x: Any, there: Any, order: int) -> Any:
    """`[B, C, p + 1, 3]`: for each lag how many pairs y_t, y_{t+lag} are observed, and the sums of their
    products and of y_t + y_{t+lag}."""
    x = tf.where(there, x, 0)
    known = tf.cast(there, tf.float64)
    found = []
    for lag in range(order + 1):
        steps = x.shape[1] - lag
        pair = known[:, :steps] * known[:, lag:]
        early, late = x[:, :steps], x[:, lag:]
        sums = [pair, early * late, (early + late) * pair]
        found.append(tf.stack([tf.reduce_sum(one, 1) for one in sums], -1))
    return tf.stack(found, -2)


def solved(sums: np.ndarray, constant: bool) -> Estimates:
    """Least squares from `lagged`'s sums `[G, C, p + 2, p + 2]`; the likelihood is that of y_t given the p values
    before, and the variance its maximum: the sum of squares over their number."""
    count, p = sums[..., 0, 0], sums.shape[-1] - 2
    sums = sums if constant else sums[..., 1:, 1:]
    gram, right = sums[..., :-1, :-1], sums[..., :-1, -1]
    size = np.sqrt(np.einsum("...ii->...i", gram))
    size = np.where(size > 0, size, 1.0)
    scaled = gram / (size[..., :, None] * size[..., None, :])
    solution, pivot = eliminated(scaled, right / size)
    solution /= size
    whole = (pivot > SINGULAR) & (count > p + constant)
    error = np.concatenate([-solution, np.ones((*solution.shape[:-1], 1))], -1)
    squares = np.einsum("...i,...ij,...j->...", error, sums, error)
    whole &= squares > SINGULAR * sums[..., -1, -1]
    phi = np.where(whole[..., None], solution[..., int(constant) :], 0.0)
    level = 1 - phi.sum(-1)
    intercept = solution[..., 0] if constant else np.zeros(count.shape)
    mean = np.where(whole & (level != 0), intercept / np.where(level == 0, 1.0, level), 0.0)
    return _estimates(phi, mean, squares, count, whole)


def eliminated(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solutions `[..., n]` of positive definite systems, and the smallest pivot of each: Gauss' elimination of all at
    once, for a LAPACK call each takes several times as long. Where a pivot is not above SINGULAR the solution is
    of another system."""
    n = right.shape[-1]
    rows = np.moveaxis(np.concatenate([matrix, right[..., None]], -1), (-2, -1), (0, 1)).copy()
    smallest = np.full(right.shape[:-1], np.inf)
    for i in range(n):
        smallest = np.minimum(smallest, rows[i, i])
        rows[i] /= np.where(rows[i, i] > SINGULAR, rows[i, i], 1.0)
        for below in range(i + 1, n):
            rows[below, i + 1 :] -= rows[below, i] * rows[i, i + 1 :]
    for i in range(n - 2, -1, -1):
        rows[i, n] -= (rows[i, i + 1 : n] * rows[i + 1 :, n]).sum(0)
    return np.moveaxis(rows[:, n], 0, -1), smallest


def yule_walker(sums: np.ndarray, constant: bool) -> Estimates:
    """From `toeplitz_sums` `[G, C, p + 1, 3]`: autocovariances about the mean, each over the number of values, and
    Levinson's recursion; complete series give a stationary process always."""
    pairs, products, both = sums[..., 0], sums[..., 1], sums[..., 2]
    count = pairs[..., 0]
    mean = both[..., 0] / (2 * np.maximum(count, 1)) * constant
    gamma = (products - mean[..., None] * both + mean[..., None] ** 2 * pairs) / np.maximum(count, 1)[
        ..., None
    ]
    whole = (count > gamma.shape[-1]) & (gamma[..., 0] > SINGULAR * products[..., 0] / np.maximum(count, 1))
    gamma = np.where(whole[..., None], gamma, np.eye(1, gamma.shape[-1])[0])
    phi = np.zeros((*count.shape, 0))
    variance = gamma[..., 0]
    for k in range(1, gamma.shape[-1]):
        kappa = (gamma[..., k] - (phi * gamma[..., k - 1 : 0 : -1]).sum(-1)) / variance
        kappa = np.clip(
            kappa, -1 + 1e-9, 1 - 1e-9
        )  # missing values: the autocovariances may not be any process's
        phi = np.concatenate([phi - kappa[..., None] * phi[..., ::-1], kappa[..., None]], -1)
        variance = variance * (1 - kappa**2)
    mean = np.where(whole, mean, 0.0)
    return _estimates(np.where(whole[..., None], phi, 0.0), mean, variance * count, count, whole)


def _estimates(
    phi: np.ndarray, mean: np.ndarray, squares: np.ndarray, count: np.ndarray, whole: np.ndarray
) -> Estimates:
    variance = np.where(whole, squares / np.maximum(count, 1), 1.0)
    nats = -0.5 * count * (np.log(2 * np.pi * variance) + 1)
    return Estimates(phi, mean, variance, np.where(whole, nats, 0.0), np.where(whole, count, 0.0))

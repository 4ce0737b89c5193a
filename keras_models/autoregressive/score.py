"""Likelihoods of many complete series with their slopes and Fisher information, in one pass over time.

The Chandrasekhar recursions of keras_models.autoregressive.chandrasekhar are carried with their derivatives along
each parameter. Nothing is kept of a step but sums, so there is no pass backwards and no memory of all steps; and the
slopes of the innovations v and of their variances F give the information of the parameters, too (Durbin & Koopman
2012, 7.3): sum of dv dv' / (F variance) + dF dF' / (2 F^2).

Processes are the last axis of all arrays: each operation is wide and contiguous.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.angles import Slopes

IN_CACHE = 2**19  # bytes of states that a call moves on
WIDEST = 512  # processes of a call
TINY = 1e-13  # of a regressor's own square, added to it: a regressor of nothing has the coefficient 0


class Score(NamedTuple):
    """Of U processes: negative log likelihood in nats `[U]`, its `gradient` `[size, U]`, their `information`
    `[size, size, U]`; the `regression` `[k, U]` and `variance` `[U]` that are best with them."""

    value: np.ndarray
    gradient: np.ndarray
    information: np.ndarray
    regression: np.ndarray
    variance: np.ndarray


class _State(NamedTuple):
    """Forecasts a `[r, k, U]`, and G, Y `[r, U]` and F `[U]` of chandrasekhar.py, each with its slopes."""

    a: Any
    a_slopes: Any
    g: Any
    g_slopes: Any
    y: Any
    y_slopes: Any
    f: Any
    f_slopes: Any


class _Shock(NamedTuple):
    """What a step brings: k `[U]` of chandrasekhar.py, e = v / F `[columns, U]`, their slopes, and 1 / F."""

    k: Any
    k_slopes: Any
    e: Any
    e_slopes: Any
    inverse: Any


class Sums(NamedTuple):
    """Over time: v v' / F `[k, k, U]` and its slopes, log F `[U]` and its slopes, and what the information is of:
    the products of the slopes of v / sqrt F, of the first column, and those of the slopes of log F."""

    squares: Any
    square_slopes: Any
    logs: Any
    log_slopes: Any
    bends: Any
    log_bends: Any


def widest(r: int, size: int, columns: int) -> int:
    """Processes whose states stay in cache."""
    return max(32, min(WIDEST, IN_CACHE // (8 * r * (size + 1) * (columns + 2))))


def scored(process: Slopes, columns: np.ndarray, count: np.ndarray) -> Score:
    """The score of series whose first `count` `[U]` values are observed.

    Args:
        columns: `[U, T, 1 + k]`: the differenced series, and its regressors.
    """
    flat = [one.reshape(-1, len(count)) for one in (*process[1:], count.astype(np.float64))]
    packed = tf.constant(
        np.concatenate(flat)
    )  # one array, for a call costs half a millisecond by its arguments
    shape = len(process.gamma), process.gamma_slopes.shape[1]
    sums = Sums(*(one.numpy() for one in summed(process.lags, shape, packed, tf.constant(columns))))
    k = columns.shape[2] - 1
    square, right = np.moveaxis(sums.squares[1:, 1:], -1, 0), np.moveaxis(sums.squares[1:, 0], -1, 0)
    size = np.einsum("ujj->uj", square)
    square = square + (TINY * size + np.finfo(float).tiny)[:, None] * np.eye(k)
    beta = np.linalg.solve(square, right[..., None])[..., 0].T if k else right.T
    mix = np.concatenate([np.ones((1, len(count))), -beta])  # of the columns, that leaves the least squares
    with np.errstate(all="ignore"):  # a process that is not one has a value of NaN, which the search shortens
        rest = np.einsum("iu,iju,ju->u", mix, sums.squares, mix)
        rest_slopes = np.einsum("iu,ijsu,ju->su", mix, sums.square_slopes, mix)
        variance = rest / count
        value = 0.5 * (count * (np.log(2 * np.pi * variance) + 1) + sums.logs)
        gradient = 0.5 * (rest_slopes / variance + sums.log_slopes)
        information = sums.bends / variance + 0.5 * (
            sums.log_bends - sums.log_slopes[:, None] * sums.log_slopes[None] / count
        )
    return Score(value, gradient, information, beta, variance)


@tf.function(jit_compile=True)
def summed(lags: tuple[int, ...], shape: tuple[int, int], packed: Any, columns: Any) -> Sums:
    """The sums of `scored`. Where something is needed twice it is carried to the next step, for XLA would compute it
    anew for each row that it goes to.

    Args:
        shape: r + 1 autocovariances, and angles.
        packed: `[rows, U]`: ar, ar_slopes, gamma and gamma_slopes of angles.Slopes, and how many values count.
    """
    n, size, r, processes = len(lags), shape[1], shape[0] - 1, packed.shape[1]
    parts = tf.split(packed, [n, n * size, r + 1, (r + 1) * size, 1])
    ar, ar_slopes = parts[0], tf.reshape(parts[1], (n, size, processes))
    gamma, gamma_slopes, count = parts[2], tf.reshape(parts[3], (r + 1, size, processes)), parts[4][0]
    columns = tf.transpose(columns, (1, 2, 0))  # [T, columns, U]
    steps, width = columns.shape[0], columns.shape[1]

    def closing(x: Any, weights: Any) -> Any:  # x [r, U] or [r, columns, U], with weights [lags, U] to match
        zero = tf.zeros_like(x[0])
        return sum((weights[i] * x[r - lag] for i, lag in enumerate(lags)), zero)

    def shifted(x: Any) -> Any:  # T x
        return tf.concat([x[1:], closing(x, ar)[None]], 0)

    def shifted_slopes(x: Any, rates: Any) -> Any:  # of T x, `[r, (columns,) size, U]`
        own = ar_slopes if x.shape.rank == 2 else ar_slopes[:, None]
        last = closing(rates, ar) + sum(
            (own[i] * x[r - lag][..., None, :] for i, lag in enumerate(lags)), tf.zeros_like(rates[0])
        )
        return tf.concat([rates[1:], last[None]], 0)

    def shock(state: _State, t: Any) -> _Shock:
        inverse = 1 / state.f
        k, e = state.y[0] * inverse, (columns[t] - state.a[0]) * inverse
        k_slopes = (state.y_slopes[0] - k * state.f_slopes) * inverse
        e_slopes = -(state.a_slopes[0] + e[:, None] * state.f_slopes) * inverse
        return _Shock(k, k_slopes, e, e_slopes, inverse)

    def moved(state: _State, new: _Shock) -> _State:
        a, a_slopes, g, g_slopes, y, y_slopes, f, f_slopes = state
        k, k_slopes, e, e_slopes, _ = new
        u, u_slopes = shifted(y), shifted_slopes(y, y_slopes)
        return _State(
            shifted(a) + g[:, None] * e,
            shifted_slopes(a, a_slopes) + g_slopes[:, None] * e[:, None] + g[:, None, None] * e_slopes,
            g - k * u,
            g_slopes - k * u_slopes - k_slopes * u[:, None],
            u - k * g,
            u_slopes - k * g_slopes - k_slopes * g[:, None],
            f - f * k * k,
            f_slopes - f_slopes * k * k - 2 * k * k_slopes * f,
        )

    def added(sums: Sums, state: _State, new: _Shock, t: Any) -> Sums:
        there = tf.cast(tf.cast(t, tf.float64) < count, tf.float64)
        weight, logs = state.f * there, state.f_slopes * new.inverse
        v = new.e_slopes + new.e[:, None] * logs  # slopes of v, over F
        left, right = new.e[:, None, None], new.e[None, :, None]
        cross = v[:, None] * right + left * v[None] - left * right * logs
        return Sums(
            sums.squares + weight * new.e[:, None] * new.e[None],
            sums.square_slopes + weight * cross,
            sums.logs + there * tf.math.log(state.f),
            sums.log_slopes + there * logs,
            sums.bends + (weight * v[0])[:, None] * v[0][None],
            sums.log_bends + (there * logs)[:, None] * logs[None],
        )

    def step(t: Any, state: _State, new: _Shock, sums: Sums) -> tuple[Any, ...]:
        after = moved(state, new)
        return t + 1, after, shock(after, tf.minimum(t + 1, steps - 1)), added(sums, state, new, t)

    flat, rates = tf.zeros_like(gamma[0]), tf.zeros_like(gamma_slopes[0])
    wide = tf.zeros((r, width, 1), tf.float64) + flat
    wide_slopes = tf.zeros((r, width, 1, 1), tf.float64) + rates
    start = _State(
        wide, wide_slopes, gamma[1:], gamma_slopes[1:], gamma[1:], gamma_slopes[1:], gamma[0], gamma_slopes[0]
    )
    zero = tf.zeros((width, width, 1), tf.float64) + flat
    square = tf.zeros((size, 1, 1), tf.float64) + rates
    sums = Sums(zero, zero[:, :, None] + rates, flat, rates, square, square)
    loop = (tf.constant(0), start, shock(start, 0), sums)
    return tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)[3]

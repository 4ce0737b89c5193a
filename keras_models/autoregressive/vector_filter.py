"""Kalman filter of vector autoregressions: the state is the last p values of all channels, observed without noise.

    y_t = A_1 y_{t-1} + ... + A_p y_{t-p} + e_t,    e_t ~ N(0, noise)

Channels enter one by one, each given those before it (Durbin & Koopman 2012, 6.4), so a missing value is a channel
left out and no matrix is inverted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def companion(matrices: Any) -> Any:
    """T `[p c, p c]`, which moves the state one step on, of lag matrices `[p, c, c]`."""
    p, c = matrices.shape[:2]
    first = tf.reshape(tf.transpose(matrices, (1, 0, 2)), (c, p * c))
    return tf.concat([first, tf.eye((p - 1) * c, p * c, dtype=matrices.dtype)], 0)


def stationary_covariance(matrices: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """P `[p c, p c]` of P = T P T' + Q: the sum of T^k Q T^k', by doubling its number of terms."""
    transition = np.asarray(companion(tf.constant(matrices)))
    covariance = np.zeros(transition.shape)
    covariance[: len(noise), : len(noise)] = noise
    while np.abs(transition).max() > 1e-20:
        covariance = covariance + transition @ covariance @ transition.T
        transition = transition @ transition
    return (covariance + covariance.T) / 2


def passed(
    transition: Any, noise: Any, state: tuple[Any, Any], values: Any, there: Any
) -> tuple[Any, Any, tuple[Any, Any]]:
    """Passes `values` through the filter.

    Args:
        transition: `[m, m]`. noise: covariance `[c, c]`.
        state: of the first step, given what is before: mean `[B, m]` and covariance `[B, m, m]`.
        values: `[B, T, c]`. there: bool `[B, T, c]`; elsewhere values are not read.

    Returns:
        Innovations and their variances `[B, T, c]`, each given the channels before it, and the state of the step
        after the last.
    """
    steps, channels = tf.shape(values)[1], values.shape[2]
    values, there = tf.transpose(values, (1, 0, 2)), tf.transpose(there, (1, 0, 2))

    def step(t: Any, mean: Any, covariance: Any, found: Any, variances: Any) -> tuple[Any, ...]:
        v, f = [], []
        for c in range(channels):
            cross = covariance[:, :, c]  # [B, m]
            f.append(cross[:, c])
            v.append(tf.where(there[t, :, c], values[t, :, c] - mean[:, c], 0.0))
            gain = tf.where(there[t, :, c, None], cross / f[-1][:, None], 0.0)
            mean = mean + gain * v[-1][:, None]
            covariance = covariance - gain[:, :, None] * cross[:, None]
        found, variances = found.write(t, tf.stack(v, -1)), variances.write(t, tf.stack(f, -1))
        return t + 1, *moved(transition, noise, mean, covariance), found, variances

    arrays = [tf.TensorArray(values.dtype, steps, element_shape=values.shape[1:]) for _ in range(2)]
    _, mean, covariance, found, variances = tf.while_loop(
        lambda t, *_: t < steps, step, (tf.constant(0), *state, *arrays), maximum_iterations=steps
    )
    found, variances = (tf.transpose(one.stack(), (1, 0, 2)) for one in (found, variances))
    return found, variances, (mean, covariance)


def moved(transition: Any, noise: Any, mean: Any, covariance: Any) -> tuple[Any, Any]:
    """The state one step on: T a and T P T' + Q; means `[..., m]`."""
    rest = transition.shape[0] - noise.shape[0]
    covariance = transition @ covariance @ tf.transpose(transition)
    return mean @ tf.transpose(transition), covariance + tf.pad(noise, [[0, rest], [0, rest]])


def paths(transition: Any, noise: Any, state: tuple[Any, Any], shocks: Any) -> tuple[Any, Any]:
    """Paths `[S, B, T, c]` from a state on, drawn with standard normal `shocks` `[S, B, T, c]`: each value given all
    before it, by the filter. And the standard deviations `[B, T, c]` of what is to come, given the state alone."""
    channels, samples = shocks.shape[3], tf.shape(shocks)[0]
    shocks = tf.transpose(shocks, (2, 0, 1, 3))
    steps = tf.shape(shocks)[0]

    def step(t: Any, mean: Any, known: Any, blind: Any, drawn: Any, spread: Any) -> tuple[Any, ...]:
        row = []
        for c in range(channels):
            cross = known[:, :, c]
            root = tf.sqrt(tf.maximum(cross[:, c], 1e-300))
            row.append(mean[:, :, c] + root * shocks[t, :, :, c])
            gain = (cross / root[:, None])[None]  # [1, B, m]
            mean = mean + gain * shocks[t, :, :, c, None]
            known = known - cross[:, :, None] * cross[:, None] / tf.square(root)[:, None, None]
        drawn = drawn.write(t, tf.stack(row, -1))
        spread = spread.write(t, tf.linalg.diag_part(blind)[:, :channels])
        _, blind = moved(transition, noise, mean[0], blind)
        mean, known = moved(transition, noise, mean, known)
        return t + 1, mean, known, blind, drawn, spread

    mean, covariance = state
    mean = tf.tile(mean[None], (samples, 1, 1))
    shapes = shocks.shape[1:], shocks.shape[2:]
    arrays = [tf.TensorArray(shocks.dtype, steps, element_shape=shape) for shape in shapes]
    loop = (tf.constant(0), mean, covariance, covariance, *arrays)
    *_, drawn, spread = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)
    return tf.transpose(drawn.stack(), (1, 2, 0, 3)), tf.sqrt(tf.transpose(spread.stack(), (1, 0, 2)))

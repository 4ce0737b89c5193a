"""How linear processes go on: the state after a history, drawn onwards; and which histories there can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.kalman import COUNTED, Process, filtered, onwards, started
from keras_models.autoregressive.whitening import filled, processes_last, rows_first


def continued(process: Process, variance: Any, history: Any, noise: Any) -> tuple[Any, Any]:
    """Paths `[samples, n, steps, C]` that follow histories, and deviations `[n, steps, C]`; NaN where the history
    does not say where a path begins.

    Args:
        process: of `n C` processes. variance: of their noise `[n C]`.
        history: less its regression `[n, t, C]`, NaN where missing.
        noise: standard normal `[steps, samples, n C]`.
    """
    n, _, channels = tf.unstack(tf.shape(history))
    given, samples = len(process.delta), tf.shape(noise)[1]
    there = processes_last(~tf.math.is_nan(history))
    eta = processes_last(tf.where(tf.math.is_nan(history), tf.zeros_like(history), history))[:, None]
    eta = filled(eta, there)
    state = started(process, eta[:given], there[:given])
    seen = filtered(process, eta[given:], there[given:], state)
    paths = onwards(
        process, (tf.repeat(seen.mean, samples, axis=1), seen.covariance), noise * tf.sqrt(variance)
    )
    nothing = tf.zeros_like(paths[:, 0], tf.bool)
    blind = filtered(process, paths[:, 0][:, None], nothing, (seen.mean, seen.covariance))
    known = tf.where(blind.variances < COUNTED, tf.ones_like(blind.variances), np.nan)
    deviation = rows_first(tf.sqrt(blind.variances * variance) * known, channels)
    paths = tf.transpose(paths * known[:, None], (1, 0, 2))  # [samples, steps, n C]
    paths = tf.reshape(paths, (samples, -1, n, channels))
    return tf.transpose(paths, (0, 2, 1, 3)), deviation


def checked(history: Any, steps: int, covariates: Any, spec: Any, given: int) -> tuple[Any, Any]:
    """History `[n, t, C]` and covariates `[n, t + steps, k]` as float64, if there can be a forecast.

    Raises:
        ValueError: see LinearProcess.forecast.
    """
    history, k = np.asarray(history, np.float64), spec.covariates
    if history.ndim != 3 or history.shape[2] != spec.shape[1]:
        raise ValueError(f"a history is [n, t, {spec.shape[1]}], and this one is {list(history.shape)}")
    if history.shape[1] <= given:
        raise ValueError(
            f"a history of {history.shape[1]} steps is too short: this model needs {given + 1} at least"
        )
    if steps < 1:
        raise ValueError(f"a forecast is of 1 step at least, and {steps} were asked for")
    asked = (len(history), history.shape[1] + steps, k)
    if k and (covariates is None or np.shape(covariates) != asked):
        raise ValueError(
            f"this model forecasts with covariates {list(asked)}, those of the future among them"
        )
    covariates = np.asarray(covariates, np.float64) if k else np.zeros(asked)
    return tf.constant(np.where(np.isinf(history), np.nan, history)), tf.constant(covariates)

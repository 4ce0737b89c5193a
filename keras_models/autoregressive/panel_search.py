"""Exact maximum likelihood of a process for each series: the panel is gathered in an epoch and fitted at its end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models.autoregressive.estimator import assign, tell_failures
from keras_models.autoregressive.linear_process import LinearProcess
from keras_models.autoregressive.polynomials import Panel, Polynomials
from keras_models.autoregressive.series_fit import fitted
from keras_models.autoregressive.stationarity import LARGEST_FREE
from keras_models.autoregressive.whitening import observed
from keras_models.base import Batch


class PanelSearch:
    """Keeps the series of an epoch's batches, each one window, and searches for all processes at once.

    A series that an epoch does not bring (the last, unfinished batch is left out) keeps its process. What is kept
    is in snapshots and not in the model.
    """

    def __init__(self, model: LinearProcess, polynomials: Polynomials, choose: bool = False) -> None:
        self.model, self.polynomials, self.choose = model, polynomials, choose
        series, (steps, channels) = model.spec.series, model.spec.shape
        self.free = model.add_parameter("free", (channels, polynomials.size))
        shapes = {
            "x": (series, steps, channels),
            "there": (series, steps, channels),
            "covariates": (series, steps, model.spec.covariates),
            "windows": (series,),
        }
        if not model.spec.covariates:
            del shapes["covariates"]
        made = {
            name: keras.Variable(
                np.zeros(shape), trainable=False, dtype="float64", name=f"kept_{name}", aggregation="sum"
            )
            for name, shape in shapes.items()
        }
        self.rows, self.kept = made, list(made.values())

    def add(self, batch: Batch) -> dict[str, Any]:
        """Keeps the batch's series; `loss` is nats a value of the processes so far."""
        model, series = self.model, batch.get("series")
        if series is None:
            raise ValueError(
                "batches say which series each window is of, in `series`: set pooled: true otherwise"
            )
        x, there = observed(batch["x"], batch.get("length"), batch.get("mask"))
        covariates = model.design(x, batch.get("covariates"))
        rows = tf.cast(series, tf.int32)[:, None] - 1
        known = tf.cast(there, tf.float64)
        values = {
            "x": tf.where(there, x, 0),
            "there": known,
            "covariates": covariates,
            "windows": tf.ones_like(known[:, 0, 0]),
        }
        for name, variable in self.rows.items():
            variable.value.assign_add(tf.scatter_nd(rows, values[name], variable.shape))
        nats = -model.log_prob(x, mask=there, covariates=covariates, series=series)
        count = tf.reduce_sum(known)
        return model.track({"loss": tf.math.divide_no_nan(tf.reduce_sum(nats), count)}, weight=count)

    def solve(self) -> None:
        """See LinearProcess.end_epoch."""
        kept = {name: variable.numpy() for name, variable in self.rows.items()}
        x, windows = kept["x"], kept["windows"]
        covariates = kept.get("covariates", np.zeros((*x.shape[:2], 0)))
        several = np.flatnonzero(windows > 1)
        if len(several):
            raise ValueError(
                f"series {several[0] + 1} comes in {windows[several[0]]:.0f} windows, and the exact likelihood needs it "
                "whole: set data.encode.length to the longest series, or model.config.pooled: true"
            )
        rows = np.flatnonzero(windows)
        if len(rows):
            self._fit(rows, x[rows], kept["there"][rows] > 0, covariates[rows])
        for variable in self.kept:
            variable.assign(np.zeros(variable.shape))

    def _fit(self, rows: np.ndarray, x: np.ndarray, there: np.ndarray, covariates: np.ndarray) -> None:
        model = self.model
        count, steps, channels = x.shape
        regressors = np.asarray(model.columns(tf.constant(covariates)))[:, None]
        columns = np.concatenate(
            [x.transpose(0, 2, 1)[..., None], np.repeat(regressors, channels, axis=1)], axis=-1
        ).reshape(count * channels, steps, -1)
        known = there.transpose(0, 2, 1).reshape(-1, steps)
        before = self.free.numpy()[rows + 1].reshape(len(columns), self.polynomials.size)
        again = model.observations.numpy()[rows + 1].ravel() > 0
        start = None
        if again.all():
            start = np.clip(before, -LARGEST_FREE, LARGEST_FREE)
        found = fitted(self.polynomials, columns, known, start, self.choose)
        self._keep(rows + 1, found)
        given = len(model.orders.delta)
        assign(model.start, _replaced(model.start, rows + 1, x[:, :given].transpose(0, 2, 1)))
        assign(model.start, _with_typical(model.start.numpy()))

    def _keep(self, rows: np.ndarray, found: Panel) -> None:
        """Assigns the rows; row 0 and what could not be estimated get the typical process."""
        model, channels = self.model, self.model.spec.shape[1]
        shaped = [array.reshape(len(rows), channels, *array.shape[1:]) for array in found]
        weights = self.free, model.regression, model.variance, model.log_likelihood, model.observations
        whole = [_replaced(weight, rows, value) for weight, value in zip(weights, shaped, strict=True)]
        estimated = whole[-1] > 0
        estimated[0] = estimated[1:].any(axis=0)
        for number in (0, 1, 2):
            value = whole[number]
            for channel in range(channels):
                good = estimated[1:, channel]
                typical = np.median(value[1:, channel][good], axis=0) if good.any() else value[0, channel]
                value[0, channel] = typical
                value[1:, channel][~good] = typical
        for weight, value in zip(weights, whole, strict=True):
            assign(weight, value)
        size = self.polynomials.size
        if size:
            process = self.polynomials.process(tf.constant(whole[0].reshape(-1, size).T))
            assign(model.ar, tf.reshape(tf.transpose(process.ar), model.ar.shape))
            assign(model.ma, tf.reshape(tf.transpose(process.ma), model.ma.shape))
        tell_failures(model.family, estimated, np.zeros_like(estimated))


def _replaced(weight: Any, rows: np.ndarray, value: np.ndarray) -> np.ndarray:
    whole = weight.numpy().copy()
    whole[rows] = value
    return whole


def _with_typical(start: np.ndarray) -> np.ndarray:
    start[0] = np.median(start[1:], axis=0)
    return start

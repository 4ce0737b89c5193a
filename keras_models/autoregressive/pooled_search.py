"""Exact maximum likelihood of one process for all windows, over streamed batches: an epoch is one evaluation.

The first epoch gathers what sets the scale: the regression and variance of white noise. Every later one adds up the
value and the gradient at the search's trial, of several starts at once, and its end takes one step of BFGS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.estimator import assign
from keras_models.autoregressive.kalman import differenced
from keras_models.autoregressive.linear_process import LinearProcess
from keras_models.autoregressive.panel_optimizer import UNKNOWN, QuasiNewton
from keras_models.autoregressive.polynomials import Polynomials, aicc
from keras_models.autoregressive.whitening import observed, processes_last, whitened, whole
from keras_models.base import Batch

FLAT = (
    1e-14  # squares left, of the series' own, at which a series never changes: they are differences of sums
)


class PooledSearch:
    """A search for each start and channel; its numbers are those of the polynomials, the regression and the log of
    the variance, the last two from an origin and in units of a scale."""

    kept: tuple[Any, ...] = ()

    def __init__(self, model: LinearProcess, polynomials: Polynomials, choose: bool = False) -> None:
        self.model, self.polynomials = model, polynomials
        channels, width, given = model.spec.shape[1], model.regressors + 1, len(polynomials.delta)
        self.candidates = polynomials.candidates(choose)
        self.starts = len(self.candidates.start)
        self.free = model.add_parameter("free", (channels, polynomials.size))
        numbers, problems = polynomials.size + width, self.starts * channels
        plain = {"initializer": "zeros", "trainable": False, "dtype": "float64"}
        self.search = {
            name: model.add_weight(name=f"search_{name}", shape=shape, **plain)
            for name, shape in QuasiNewton.shapes(problems, numbers).items()
        }
        shapes = {
            "value": (problems,),
            "gradient": (problems, numbers),
            "count": (channels,),
            "columns": (channels, width, width),
            "level": (channels, 2),
        }
        if given:
            shapes |= {
                "rows": (channels,),
                "start": (channels, given),
                "start_square": (channels, given, given),
            }
        self.sums = {
            name: model.add_weight(name=f"sum_{name}", shape=shape, aggregation="sum", **plain)
            for name, shape in shapes.items()
        }
        self.origin = model.add_weight(name="origin", shape=(channels, width), **plain)
        self.scale = model.add_weight(name="scale", shape=(channels, width, width), **plain)
        self.begun = model.add_weight(name="begun", shape=(), **plain)
        self._set(QuasiNewton(np.zeros((problems, numbers))))

    # -- a batch -------------------------------------------------------------------------------------------

    def add(self, batch: Batch) -> dict[str, Any]:
        """Adds the batch's value and gradient; `loss` is nats a value at the trial of the best start."""
        model = self.model
        x, there = observed(batch["x"], batch.get("length"), batch.get("mask"))
        x = tf.where(there, x, 0)
        regressors = model.columns(model.design(x, batch.get("covariates")))
        trial = self.search["point"] + self.search["step"]
        given = (
            trial,
            tf.convert_to_tensor(self.origin),
            tf.convert_to_tensor(self.scale),
            x,
            regressors,
            there,
        )
        value, gradient, count = tf.cond(
            whole(processes_last(there)),
            lambda: value_and_gradient(self.polynomials, False, *given),
            lambda: value_and_gradient(self.polynomials, True, *given),
        )
        self._gather_scales(x, regressors, there)
        for name, part in (("value", value), ("gradient", gradient), ("count", count)):
            self.sums[name].value.assign_add(part)
        total = tf.reduce_sum(count)
        best = tf.argmin(tf.reshape(self.search["value"], (self.starts, -1)), 0)
        nats = tf.reduce_sum(
            tf.gather(tf.transpose(tf.reshape(value, (self.starts, -1))), best, batch_dims=1)
        )
        return model.track({"loss": tf.math.divide_no_nan(nats, total)}, weight=total)

    def _gather_scales(self, x: Any, regressors: Any, there: Any) -> None:
        """Products of the differenced columns, and the values that differencing needs."""
        delta = self.polynomials.delta
        given, channels = len(delta), x.shape[2]
        wide = tf.tile(regressors[:, :, None], (1, 1, channels, 1))
        columns = tf.transpose(tf.concat([wide, x[..., None]], -1), (1, 0, 2, 3))
        known = tf.transpose(there, (1, 0, 2))
        present = known[given:]
        for j in np.flatnonzero(delta):
            present &= known[given - 1 - j : given - 1 - j + present.shape[0]]
        columns = differenced(columns, delta) * tf.cast(present, tf.float64)[..., None]
        self.sums["columns"].value.assign_add(tf.einsum("tbci,tbcj->cij", columns, columns))
        level = tf.stack([tf.cast(present, tf.float64), columns[..., -1]], -1)
        self.sums["level"].value.assign_add(tf.reduce_sum(level, (0, 1)))
        if not given:
            return
        first = tf.cast(tf.reduce_all(there[:, :given], 1), tf.float64)  # [B, C]
        start = tf.transpose(x[:, :given], (0, 2, 1)) * first[..., None]
        self.sums["rows"].value.assign_add(tf.reduce_sum(first, 0))
        self.sums["start"].value.assign_add(tf.reduce_sum(start, 0))
        self.sums["start_square"].value.assign_add(tf.einsum("bci,bcj->cij", start, start))

    # -- the end of an epoch -------------------------------------------------------------------------------

    def solve(self) -> None:
        """See LinearProcess.end_epoch."""
        sums = {name: weight.numpy() for name, weight in self.sums.items()}
        search = QuasiNewton(self.search["point"].numpy())
        search.state = {name: weight.numpy() for name, weight in self.search.items()}
        if self.begun.numpy():
            count = np.tile(sums["count"], self.starts)
            going = np.flatnonzero(~search.done)
            value, gradient = sums["value"] / count, sums["gradient"] / count[:, None]
            free = np.repeat(self.candidates.free, len(sums["count"]), axis=0)
            gradient[:, : self.polynomials.size] *= free  # a number that is not free stays 0
            search.update(value[going], gradient[going], going)
            search.state["step"][search.done] = 0
        else:
            search = self._begin(sums)
        self._set(search)
        self._keep(search, sums["count"])
        for weight in self.sums.values():
            weight.assign(np.zeros(weight.shape))

    def _begin(self, sums: dict[str, np.ndarray]) -> QuasiNewton:
        """Origin and scale, from white noise; the values that differencing needs; the starts."""
        model, k, size = self.model, self.model.regressors, self.polynomials.size
        few = sums["count"] <= size + k + 1
        gram, square = sums["columns"], sums["columns"][:, -1, -1]
        beta = np.einsum("cij,cj->ci", np.linalg.pinv(gram[:, :k, :k], hermitian=True), gram[:, :k, -1])
        rest = square - np.einsum("ci,ci->c", beta, gram[:, :k, -1])
        steps, total = sums["level"].T
        around = square - total**2 / np.maximum(steps, 1)  # squares about a level
        flat = np.minimum(rest, around) <= FLAT * np.maximum(square, 1e-300)
        for channel in np.flatnonzero(few | flat):
            what = (
                f"has {sums['count'][channel]:.0f} values to learn from" if few[channel] else "never changes"
            )
            raise ValueError(
                f"channel {channel + 1} of the training series {what}, once differenced: a process of "
                f"{size + k + 1} numbers cannot be estimated; leave it out or take a lower order"
            )
        variance = rest / sums["count"]
        root = np.zeros(gram.shape)
        own = gram[:, :k, :k] / sums["count"][:, None, None] + 1e-300 * np.eye(k)
        values, vectors = np.linalg.eigh(own)
        usable = values > 1e-12 * values.max(-1, keepdims=True, initial=0)
        root[:, :k, :k] = (
            vectors * np.where(usable, np.sqrt(variance[:, None] / np.where(usable, values, 1)), 0)[:, None]
        )
        root[:, -1, -1] = 1
        self.origin.assign(np.concatenate([beta, np.log(variance)[:, None]], 1))
        self.scale.assign(root)
        if "rows" in sums:
            rows = np.maximum(sums["rows"], 1)
            mean = sums["start"] / rows[:, None]
            spread = sums["start_square"] / rows[:, None, None] - mean[:, :, None] * mean[:, None]
            values, vectors = np.linalg.eigh(spread)
            model.start.assign(mean[None])
            model.start_spread.assign((vectors * np.sqrt(np.maximum(values, 0))[:, None])[None])
        self.begun.assign(1.0)
        start = np.repeat(self.candidates.start, len(few), axis=0)
        return QuasiNewton(np.concatenate([start, np.zeros((len(start), k + 1))], 1))

    def _set(self, search: QuasiNewton) -> None:
        for name, array in search.state.items():
            self.search[name].assign(array)

    def _keep(self, search: QuasiNewton, count: np.ndarray) -> None:
        """The best point so far, of all orders the one of lowest AICc, becomes the model's process."""
        model, size, channels = self.model, self.polynomials.size, len(count)
        value = search.state["value"].reshape(self.starts, channels)
        numbers = self.candidates.free.sum(1)[:, None] + model.regressors + 1
        chosen = aicc(np.where(value < UNKNOWN, value * count, UNKNOWN), numbers, count).argmin(0)
        best = chosen * channels + np.arange(channels)
        point = search.state["point"][best]
        assign(self.free, point[None, :, :size])
        if size:
            process = self.polynomials.process(tf.constant(point[:, :size].T))
            assign(model.ar, tf.transpose(process.ar)[None])
            assign(model.ma, tf.transpose(process.ma)[None])
        own = self.origin + np.einsum("cij,cj->ci", self.scale.numpy(), point[:, size:])
        assign(model.regression, own[None, :, :-1])
        model.variance.assign(np.exp(own[None, :, -1]))
        lowest = search.state["value"][best]
        model.log_likelihood.assign(np.where(lowest < UNKNOWN, -lowest * count, 0.0)[None])
        model.observations.assign(count[None])


@tf.function(jit_compile=True)
def value_and_gradient(
    polynomials: Polynomials,
    careful: bool,
    trial: Any,
    origin: Any,
    scale: Any,
    x: Any,
    regressors: Any,
    there: Any,
) -> tuple[Any, Any, Any]:
    """Sums over rows of the negative log likelihood `[problems]`, its gradient, and how many values `[channels]`.

    Args:
        trial: `[starts * channels, numbers]`. origin, scale: of the regression and the log variance.
        x: `[B, T, C]`. regressors: `[B, T, k]`. there: bool `[B, T, C]`.
    """
    with tf.GradientTape() as tape:
        tape.watch(trial)
        value, count = _value(polynomials, careful, trial, origin, scale, x, regressors, there)
        total = tf.reduce_sum(value)
    return value, tape.gradient(total, trial), count


def _value(
    polynomials: Polynomials,
    careful: bool,
    trial: Any,
    origin: Any,
    scale: Any,
    x: Any,
    regressors: Any,
    there: Any,
) -> tuple[Any, Any]:
    rows = x.shape[0] or tf.shape(x)[0]
    (steps, channels), size = x.shape[1:], polynomials.size
    own = tf.reshape(trial[:, size:], (-1, channels, trial.shape[1] - size))
    own = tf.reduce_sum(scale[None] * own[:, :, None], -1) + origin[None]
    beta, log_variance = own[..., :-1], own[..., -1]  # [S, C, k], [S, C]
    starts = own.shape[0]
    eta = x - tf.einsum("btk,sck->sbtc", regressors, beta)  # [S, B, T, C]
    process = polynomials.process(tf.transpose(trial[:, :size]))  # of [S C]

    def spread(coefficients: Any) -> Any:
        apart = tf.reshape(coefficients, (coefficients.shape[0], starts, 1, channels))
        wide = tf.tile(apart, (1, 1, rows, 1))
        return tf.reshape(wide, (coefficients.shape[0], starts * rows * channels))

    process = process._replace(ar=spread(process.ar), ma=spread(process.ma))
    eta = tf.reshape(eta, (-1, steps, channels))
    every = tf.tile(there, (starts, 1, 1))
    v, f, counted = whitened(process, processes_last(eta)[:, None], processes_last(every), careful)
    shape = (steps - len(polynomials.delta), starts, rows, channels)
    v, f, counted = (tf.reshape(one, shape) for one in (v, f, counted))
    log_variance = log_variance[None, :, None]
    nats = 0.5 * (tf.math.log(2 * np.pi * f) + log_variance + tf.square(v) / (f * tf.exp(log_variance)))
    nats = tf.reduce_sum(tf.where(counted, nats, 0.0), (0, 2))
    return tf.reshape(nats, (-1,)), tf.reduce_sum(tf.cast(counted[:, 0], tf.float64), (0, 1))

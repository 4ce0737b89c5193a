"""Vector autoregression: every channel is a weighted sum of the p values before it of all channels, and noise.

    y_t - mean = A_1 (y_{t-1} - mean) + ... + A_p (y_{t-p} - mean) + e_t,    e_t ~ N(0, noise)

Least squares of y_t on a constant and the values before it: batches add up normal equations, which the end of the
epoch solves (Lütkepohl 2005, chapter 3; statsmodels' VAR). `noise` is the maximum of the likelihood, the sum of
squares over their number. `log_prob` is the density of the whole series, the first p values included, which follow
the stationary distribution; values may be missing.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.autoregressive.stationarity import brought_inside
from keras_models.autoregressive.vector_filter import companion, passed, paths, stationary_covariance
from keras_models.autoregressive.whitening import observed
from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig

SINGULAR = 1e-12  # smallest eigenvalue of scaled normal equations, of the largest, that are solved


class Config(FamilyConfig):
    order: int = Field(1, ge=1, le=32, description="p, steps before that each value depends on")
    constant: bool = Field(True, description="whether the series have means; else these are 0")


class VectorAutoregression(GenerativeModel):
    """p(x) of one stationary Gaussian vector autoregression of all channels."""

    kinds = ("series",)
    likelihood = "exact"
    measure = "density"
    paper = "Sims 1980, Macroeconomics and reality"
    reports = ("loss",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if spec.covariates:
            raise ValueError("family 'var' takes no covariates: leave out data.read.covariates, or use arima")
        (steps, c), p = spec.shape, config.order
        if steps <= p:
            raise ValueError(
                f"windows of {steps} steps are too short for order {p}: set data.encode.length to {p + 1} at least"
            )
        plain = {"initializer": "zeros", "trainable": False, "dtype": "float64"}
        self.matrices = self.add_weight(name="matrices", shape=(p, c, c), **plain)
        self.mean = self.add_weight(name="mean", shape=(c,), **plain)
        plain["initializer"] = "identity"
        self.noise = self.add_weight(name="noise", shape=(c, c), **plain)
        self.spread = self.add_weight(name="spread", shape=(p * c, p * c), **plain)  # of p values in a row
        size = 1 + (p + 1) * c
        plain |= {"initializer": "zeros", "aggregation": "sum"}
        self.sums = self.add_weight(name="sums", shape=(size, size), **plain)
        self.built = True

    # -- learning ------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Adds the batch's products; `loss` is nats a value, given the p steps before it."""
        x, there = observed(batch["x"], batch.get("length"), batch.get("mask"))
        c = self.spec.shape[1]
        sums = lagged(x, there, self.config.order)
        self.sums.value.assign_add(sums)
        weights = tf.reshape(tf.transpose(self.matrices, (1, 0, 2)), (c, -1))
        level = self.mean - tf.linalg.matvec(tf.reduce_sum(self.matrices, 0), self.mean)
        error = tf.concat([-level[:, None], -weights, tf.eye(c, dtype=tf.float64)], 1)
        root = tf.linalg.cholesky(tf.convert_to_tensor(self.noise))
        white = tf.linalg.triangular_solve(root, error)
        squares = tf.einsum("ci,ij,cj->", white, sums, white)
        steps = sums[0, 0]
        log_determinant = 2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(root)))
        nats = 0.5 * (steps * (c * np.log(2 * np.pi) + log_determinant) + squares)
        return self.track({"loss": tf.math.divide_no_nan(nats, steps * c)}, weight=steps * c)

    def end_epoch(self) -> None:
        """Solves the normal equations.

        Raises:
            ValueError: too few steps with all values there, or channels that are constant or sums of others.
        """
        p, c = self.config.order, self.spec.shape[1]
        intercept, matrices, noise = solved(self.sums.numpy(), p, c, self.config.constant)
        matrices, outside = brought_inside(matrices)
        if outside:
            warnings.warn(
                "the series look as if they were not stationary: their roots are brought inside the unit circle; "
                "difference them before",
                stacklevel=2,
            )
        self.matrices.assign(matrices)
        self.noise.assign(noise)
        self.mean.assign(np.linalg.solve(np.eye(c) - matrices.sum(0), intercept))
        self.spread.assign(stationary_covariance(matrices, noise))
        self.sums.assign(np.zeros(self.sums.shape))

    # -- using ---------------------------------------------------------------------------------------------

    def log_prob(self, x: Any, length: Any = None, mask: Any = None) -> Any:
        """Exact log density of the observed values of `x` `[B, L, C]` in nats, float64 `[B]`.

        Args:
            length: steps that are not padding `[B]`. mask: 0 where missing `[B, L, C]`.
        """
        x, there = observed(x, length, mask)
        v, f = self._innovations(x, there)
        nats = tf.math.log(2 * np.pi * f) + tf.square(v) / f
        return -0.5 * tf.reduce_sum(tf.where(there, nats, 0.0), (1, 2))

    def residuals(self, x: Any, length: Any = None, mask: Any = None) -> Any:
        """Standardised innovations `[B, L, C]`, independent standard normal if the model is right: each channel's
        given the past and the channels before it. NaN where a value is missing."""
        x, there = observed(x, length, mask)
        v, f = self._innovations(x, there)
        return tf.where(there, v / tf.sqrt(f), np.nan)

    def forecast(self, history: Any, steps: int, *, samples: int = 100, seed: int = 0) -> np.ndarray:
        """Paths float32 `[samples, n, steps, C]` that go on from `history` `[n, t, C]`, NaN where it is missing.

        Raises:
            ValueError: a history of another shape, or no steps.
        """
        history = self._history(history, steps)
        shocks = tf.random.stateless_normal(
            (samples, len(history), steps, self.spec.shape[1]), [seed, steps], dtype=tf.float64
        )
        return np.asarray(self._forecast(tf.constant(history), shocks)[0], np.float32)

    def forecast_normal(self, history: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation `[n, steps, C]`, float64, of the same forecast: they are exact."""
        history = self._history(history, steps)
        shocks = tf.zeros((1, len(history), steps, self.spec.shape[1]), tf.float64)
        drawn, deviation = self._forecast(tf.constant(history), shocks)
        return np.asarray(drawn)[0], np.asarray(deviation)

    def impulse_responses(self, steps: int) -> np.ndarray:
        """How channel i answers, 0 to `steps` steps later, to one deviation of the shock that is channel j's own
        once the channels before it are known: `[steps + 1, i, j]`."""
        c = self.spec.shape[1]
        state = np.zeros((self.config.order * c, c))
        state[:c] = np.linalg.cholesky(self.noise.numpy())
        transition, found = np.asarray(companion(tf.convert_to_tensor(self.matrices))), []
        for _ in range(steps + 1):
            found.append(state[:c])
            state = transition @ state
        return np.stack(found)

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        steps, c = self.spec.shape
        shocks: Any = tf.random.stateless_normal((1, n, steps, c), seed, dtype=tf.float64)
        state = self._start(n)
        drawn, _ = paths(self._transition(), tf.convert_to_tensor(self.noise), state, shocks)
        return tf.cast(drawn[0] + self.mean, tf.float32)

    # -- inside --------------------------------------------------------------------------------------------

    def _transition(self) -> Any:
        return companion(tf.convert_to_tensor(self.matrices))

    def _start(self, n: Any) -> tuple[Any, Any]:
        """The state before anything is seen, of `n` rows."""
        spread = tf.convert_to_tensor(self.spread)
        return tf.zeros((n, spread.shape[0]), tf.float64), tf.tile(spread[None], (n, 1, 1))

    @tf.function(reduce_retracing=True)
    def _innovations(self, x: Any, there: Any) -> tuple[Any, Any]:
        noise = tf.convert_to_tensor(self.noise)
        v, f, _ = passed(self._transition(), noise, self._start(tf.shape(x)[0]), x - self.mean, there)
        return v, f

    @tf.function(reduce_retracing=True)
    def _forecast(self, history: Any, shocks: Any) -> tuple[Any, Any]:
        transition, noise = self._transition(), tf.convert_to_tensor(self.noise)
        there = ~tf.math.is_nan(history)
        start = self._start(tf.shape(history)[0])
        *_, state = passed(transition, noise, start, history - self.mean, there)
        drawn, deviation = paths(transition, noise, state, shocks)
        return drawn + self.mean, deviation

    def _history(self, history: Any, steps: int) -> np.ndarray:
        history = np.asarray(history, np.float64)
        if history.ndim != 3 or history.shape[2] != self.spec.shape[1] or not history.shape[1]:
            raise ValueError(
                f"a history is [n, t, {self.spec.shape[1]}], and this one is {list(history.shape)}"
            )
        if steps < 1:
            raise ValueError(f"a forecast is of 1 step at least, and {steps} were asked for")
        return np.where(np.isinf(history), np.nan, history)


@tf.function(jit_compile=True)
def lagged(x: Any, there: Any, order: int) -> Any:
    """Sums of products `[m, m]` of 1, y_{t-1} ... y_{t-p} and y_t, over the steps of all rows of `x` `[B, L, C]`
    where all of them are observed; m = 1 + (p + 1) C."""
    steps = x.shape[1] - order
    shifts = [order - lag for lag in (*range(1, order + 1), 0)]  # where y_{t-lag} begins
    whole = tf.reduce_all(tf.concat([there[:, s : s + steps] for s in shifts], -1), -1, keepdims=True)
    rows = [tf.cast(whole, x.dtype), *(tf.where(whole, x[:, s : s + steps], 0.0) for s in shifts)]
    wide = tf.concat(rows, -1)
    return tf.einsum("bti,btj->ij", wide, wide)


def solved(
    sums: np.ndarray, order: int, channels: int, constant: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intercept `[c]`, matrices `[p, c, c]` and noise `[c, c]` of `lagged`'s sums.

    Raises:
        ValueError: see VectorAutoregression.end_epoch.
    """
    steps, numbers = sums[0, 0], order * channels + constant
    if steps <= numbers + channels:
        raise ValueError(
            f"the training series have {steps:.0f} steps with all channels and the {order} steps before there, and a "
            f"vector autoregression of {numbers} numbers a channel needs {numbers + channels + 1}: lower "
            "model.config.order, or leave channels out"
        )
    sums = sums if constant else sums[1:, 1:]
    gram, right = sums[:numbers, :numbers], sums[:numbers, numbers:]
    size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scaled = gram / np.outer(size, size)
    values = np.linalg.eigvalsh(scaled)
    if values[0] <= SINGULAR * values[-1]:
        raise ValueError(
            "a channel of the training series is constant, or a sum of the others: leave it out (data.read.channels)"
        )
    solution = np.linalg.solve(scaled, right / size[:, None]) / size[:, None]  # [numbers, c]
    error = np.concatenate([-solution, np.eye(channels)])
    noise = error.T @ sums @ error / steps
    if np.linalg.eigvalsh(noise)[0] <= SINGULAR * np.diag(sums)[numbers:].min() / steps:
        raise ValueError(
            "a channel of the training series is told exactly by the steps before, so it has no noise to learn: "
            "leave it out (data.read.channels)"
        )
    intercept = solution[0] if constant else np.zeros(channels)
    return intercept, solution[int(constant) :].T.reshape(channels, order, channels).swapaxes(0, 1), noise

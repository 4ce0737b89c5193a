"""LinearProcess: what AR, ARIMA and SARIMA are once they are estimated: densities, forecasts, simulation.

    y_t = regression' z_t + eta_t,    phi(B) (1 - B)^d (1 - B^s)^D eta_t = theta(B) e_t,    e_t ~ N(0, variance)

Each channel is a process of its own. z holds a mean or a drift and the covariates, so a constant is the mean of
the series (of its differences), as in statsmodels' ARIMA and in R, and not an intercept. Parameters are either
pooled, one process for all series, or a process for each series of the training split; row 0 of them is then the
typical one, which series that training does not have are taken to follow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.estimator import Estimator, Orders
from keras_models.autoregressive.forecasting import checked, continued
from keras_models.autoregressive.kalman import Process, onwards, started
from keras_models.autoregressive.whitening import (
    observed,
    processes_last,
    rows_first,
    whitened,
    whole,
)
from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig


class LinearProcess(GenerativeModel):
    """A family whose parameters are those of linear processes with Gaussian noise. It sets `estimator`."""

    estimator: Estimator

    def __init__(self, spec: Any, config: FamilyConfig, orders: Orders, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if len(spec.shape) != 2:
            raise ValueError(
                f"family '{self.family}' learns series [length, channels], not {list(spec.shape)}"
            )
        if spec.shape[0] <= len(orders.delta):
            raise ValueError(
                f"differencing takes {len(orders.delta)} steps and a window has {spec.shape[0]}: set "
                "data.encode.length larger, or difference less"
            )
        if not self.config.pooled and not spec.series:
            raise ValueError(
                f"family '{self.family}' with pooled: false keeps a process for each series, and these data do not "
                "say which series a window is of: set model.config.pooled: true"
            )
        self.orders = orders
        self.groups = 1 if self.config.pooled else spec.series + 1
        self.regressors = (orders.trend != "none") + spec.covariates
        channels, given = spec.shape[1], len(orders.delta)
        self.ar = self.add_parameter("ar", (channels, orders.ar))
        self.ma = self.add_parameter("ma", (channels, orders.ma))
        self.regression = self.add_parameter("regression", (channels, self.regressors))
        self.variance = self.add_parameter("variance", (channels,), "ones")
        self.log_likelihood = self.add_parameter(
            "log_likelihood", (channels,)
        )  # of the series it was fitted to
        self.observations = self.add_parameter("observations", (channels,))  # 0: could not be estimated
        self.start = self.add_parameter("start", (channels, given))  # the values that differencing needs
        self.start_spread = self.add_parameter(
            "start_spread", (channels, given, given)
        )  # a root of their covariance
        self.built = True

    def add_parameter(self, name: str, shape: tuple[int, ...], initializer: str = "zeros") -> Any:
        """A float64 weight `[groups, *shape]`, or a constant where it would be empty."""
        if 0 in shape:
            return tf.zeros((self.groups, *shape), tf.float64)
        return self.add_weight(
            name=name,
            shape=(self.groups, *shape),
            initializer=initializer,
            trainable=False,
            dtype="float64",
        )

    # -- learning ------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Adds what the estimator needs of the batch; `loss` is in nats a value."""
        return self.estimator.add(batch)

    def end_epoch(self) -> None:
        """Lets the estimator solve, or search one step on.

        Raises:
            ValueError: no series can be estimated: all are missing, constant or too short.
        """
        self.estimator.solve()

    def training_state(self) -> list[Any]:
        """See GenerativeModel.training_state."""
        return [*super().training_state(), *self.estimator.kept]

    # -- using ---------------------------------------------------------------------------------------------

    def log_prob(
        self, x: Any, length: Any = None, mask: Any = None, covariates: Any = None, series: Any = None
    ) -> Any:
        """Exact log density of `x` `[B, L, C]` in nats, float64 `[B]`: of the observed values, summed over channels.

        The values that differencing needs, the first d + D s, are given. NaN where an observed value is not finite.

        Args:
            length: steps that are not padding `[B]`. mask: 0 where missing `[B, L, C]`.
            covariates: `[B, L, k]`. series: which series of the training split `[B]`, from 1; 0 is unknown.
        """
        x, there = observed(x, length, mask)
        v, f, counted, variance = self._innovations(
            x, there, self.design(x, covariates), self.group_of(x, series)
        )
        nats = tf.math.log(2 * np.pi * variance * f) + tf.square(v) / (variance * f)
        nats = tf.where(counted, nats, tf.zeros_like(nats))
        return -0.5 * tf.reduce_sum(nats, (1, 2))

    def residuals(
        self, x: Any, length: Any = None, mask: Any = None, covariates: Any = None, series: Any = None
    ) -> Any:
        """Standardised innovations `[B, L, C]`, which are independent standard normal if the model is right; NaN
        where there is none: missing values, padding, and the first steps that differencing needs."""
        x, there = observed(x, length, mask)
        v, f, counted, variance = self._innovations(
            x, there, self.design(x, covariates), self.group_of(x, series)
        )
        found = tf.where(counted, v / tf.sqrt(variance * f), np.nan)
        return tf.pad(found, [[0, 0], [len(self.orders.delta), 0], [0, 0]], constant_values=np.nan)

    def forecast(
        self,
        history: Any,
        steps: int,
        *,
        samples: int = 100,
        seed: int = 0,
        covariates: Any = None,
        series: Any = None,
    ) -> np.ndarray:
        """Paths float32 `[samples, n, steps, C]` that go on from `history` `[n, t, C]`, NaN where it is missing.

        Parameters are taken as known, as statsmodels and R do.

        Args:
            covariates: `[n, t + steps, k]`. series: which series each row is of `[n]`, from 1; 0 is unknown.

        Raises:
            ValueError: a history too short for the differencing, covariates that are not there, no steps.
        """
        history, covariates = checked(history, steps, covariates, self.spec, len(self.orders.delta))
        shape = (steps, samples, history.shape[0] * self.spec.shape[1])
        noise = tf.random.stateless_normal(shape, [seed, steps], dtype=tf.float64)
        paths, _ = self._forecast(history, covariates, self.group_of(history, series), noise)
        return np.asarray(paths, np.float32)

    def forecast_normal(
        self, history: Any, steps: int, *, covariates: Any = None, series: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation `[n, steps, C]`, float64, of the same forecast: they are exact."""
        history, covariates = checked(history, steps, covariates, self.spec, len(self.orders.delta))
        noise = tf.zeros((steps, 1, history.shape[0] * self.spec.shape[1]), tf.float64)
        paths, deviation = self._forecast(history, covariates, self.group_of(history, series), noise)
        return np.asarray(paths)[0], np.asarray(deviation)

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw. Of a panel each sample follows the process of one series, by chance; what
        differencing needs is drawn as the series began; covariates are at their mean."""
        steps, channels = self.spec.shape
        given = len(self.orders.delta)
        seeds = tf.random.split(seed, 3)
        group = tf.zeros((n,), tf.int32)
        if self.groups > 1:
            group = tf.random.stateless_uniform((n,), seeds[0], 1, self.groups, tf.int32)
        process, variance = self._process(group)
        start = tf.gather(self.start, group)
        wide: Any = tf.random.stateless_normal((n, channels, given), seeds[1], dtype=tf.float64)
        start += tf.einsum("ncij,ncj->nci", tf.gather(self.start_spread, group), wide)
        regression = self._regression(
            tf.zeros((n, steps, self.spec.covariates), tf.float64), group
        )  # [n, L, C]
        start = processes_last(tf.transpose(start, (0, 2, 1)) - regression[:, :given])
        state = started(process, start[:, None], tf.ones_like(start, tf.bool))
        noise = tf.random.stateless_normal((steps - given, 1, n * channels), seeds[2], dtype=tf.float64)
        paths = onwards(process, state, noise * tf.sqrt(variance))[:, 0]
        x = rows_first(tf.concat([start, paths], 0), channels) + regression
        return tf.cast(tf.reshape(x, (n, steps, channels)), tf.float32)

    # -- inside --------------------------------------------------------------------------------------------

    def group_of(self, x: Any, series: Any) -> tf.Tensor:
        """Row of the parameters of each row of `x`, int32 `[B]`."""
        if self.config.pooled or series is None:
            return tf.zeros(tf.shape(x)[:1], tf.int32)
        series = tf.cast(series, tf.int32)
        return tf.where((series > 0) & (series < self.groups), series, 0)

    def _process(self, group: Any) -> tuple[Process, Any]:
        """The processes `[..., B * C]` of rows of parameters, and their variances `[B * C]`."""
        rows = group.shape[0] or tf.shape(group)[0]  # -1 says nothing of an empty array
        ar, ma = (
            tf.transpose(tf.reshape(tf.gather(weight, group), (rows * weight.shape[1], weight.shape[2])))
            for weight in (self.ar, self.ma)
        )
        return Process(ar, ma, self.orders.delta), tf.reshape(tf.gather(self.variance, group), (-1,))

    def design(self, x: Any, covariates: Any) -> Any:
        """Covariates float64 `[B, L, k]` of `x`.

        Raises:
            ValueError: the model has covariates and none are given.
        """
        if not self.spec.covariates:
            return tf.zeros((tf.shape(x)[0], tf.shape(x)[1], 0), tf.float64)
        if covariates is None:
            raise ValueError(f"this model has {self.spec.covariates} covariates: give them, [n, steps, k]")
        return tf.cast(covariates, tf.float64)

    def columns(self, covariates: Any) -> Any:
        """The regressors z `[B, L, regressors]`: 1 of a mean, the step of a drift, then the covariates."""
        if self.orders.trend == "none":
            return covariates
        rows, steps = tf.unstack(tf.shape(covariates)[:2])
        own = tf.cast(tf.range(steps), tf.float64)
        own = tf.ones_like(own) if self.orders.trend == "mean" else own
        return tf.concat([tf.tile(own[None, :, None], (rows, 1, 1)), covariates], 2)

    def _regression(self, covariates: Any, group: Any) -> Any:
        """regression' z `[B, L, C]`."""
        return tf.einsum(
            "blk,bck->blc", self.columns(covariates), tf.gather(tf.convert_to_tensor(self.regression), group)
        )

    @tf.function(reduce_retracing=True)
    def _innovations(self, x: Any, there: Any, covariates: Any, group: Any) -> tuple[Any, Any, Any, Any]:
        """Innovations, their variances in units of the noise's, whether they count `[B, L - given, C]`, and the
        noise's variance `[B, 1, C]`."""
        process, variance = self._process(group)
        channels = self.spec.shape[1]
        eta = processes_last(tf.where(there, x, 0) - self._regression(covariates, group))
        columns, there = eta[:, None], processes_last(there)
        v, f, counted = tf.cond(
            whole(there),
            lambda: whitened(process, columns, there, False),
            lambda: whitened(process, columns, there, True),
        )
        v, f, counted = (rows_first(one, channels) for one in (v[:, 0], f, counted))
        return v, f, counted, tf.reshape(variance, (-1, 1, channels))

    @tf.function(reduce_retracing=True)
    def _forecast(self, history: Any, covariates: Any, group: Any, noise: Any) -> tuple[Any, Any]:
        """Paths `[samples, n, steps, C]` and deviations `[n, steps, C]`."""
        past = tf.shape(history)[1]
        regression = self._regression(covariates, group)
        paths, deviation = continued(*self._process(group), history - regression[:, :past], noise)
        return paths + regression[None, :, past:], deviation

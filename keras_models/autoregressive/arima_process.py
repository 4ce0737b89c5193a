"""ArimaProcess: the part that ARIMA and seasonal ARIMA share: orders, estimation, coefficients by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.estimator import Orders, assign
from keras_models.autoregressive.kalman import differencing
from keras_models.autoregressive.linear_process import LinearProcess
from keras_models.autoregressive.panel_search import PanelSearch
from keras_models.autoregressive.polynomials import Polynomials, aicc
from keras_models.autoregressive.pooled_search import PooledSearch
from keras_models.autoregressive.stationarity import product, spectral_radius
from keras_models.config import FamilyConfig

Order = tuple[int, int, int]


class ArimaProcess(LinearProcess):
    """Linear processes of products of polynomials, estimated by exact maximum likelihood."""

    estimator: PanelSearch | PooledSearch

    def __init__(
        self, spec: Any, config: FamilyConfig, order: Order, seasonal: Order, season: int, *, seed: int = 0
    ) -> None:
        trend = getattr(config, "trend", "none")
        (p, d, q), (seasonal_p, seasonal_d, seasonal_q) = order, seasonal
        wanted = {"mean": 0, "drift": 1}.get(trend)
        if wanted is not None and d + seasonal_d != wanted:
            cure = {0: "none or mean", 1: "none or drift"}.get(d + seasonal_d, "none")
            raise ValueError(
                f"a {trend} cannot be told from a series that is differenced {d + seasonal_d} times: set "
                f"model.config.trend: {cure}"
            )
        delta = differencing(d, seasonal_d, season)
        polynomials = Polynomials(p, q, seasonal_p, seasonal_q, season, delta)
        super().__init__(spec, config, Orders(*polynomials.degrees, delta, trend), seed=seed)
        self.polynomials = polynomials
        search = PooledSearch if self.config.pooled else PanelSearch
        self.estimator = search(self, polynomials, self.config.choose)

    def chosen_orders(self) -> np.ndarray:
        """p, q, P, Q of each process, `[groups, C, 4]`; with `choose` those of lowest AICc."""
        free, ends = np.asarray(self.estimator.free) != 0, np.cumsum((0, *self.polynomials[:4]))
        blocks = [free[..., start:stop] for start, stop in itertools.pairwise(ends)]
        return np.stack(
            [(block * (1 + np.arange(block.shape[-1]))).max(-1, initial=0) for block in blocks], -1
        )

    def aicc(self) -> np.ndarray:
        """Akaike's criterion, corrected, of each process `[groups, C]`; not comparable between differencings."""
        numbers = self.chosen_orders().sum(-1) + self.regressors + 1
        return aicc(-np.asarray(self.log_likelihood), numbers, np.asarray(self.observations))

    def set_coefficients(
        self,
        ar: Any = (),
        ma: Any = (),
        seasonal_ar: Any = (),
        seasonal_ma: Any = (),
        *,
        regression: Any = (),
        variance: float = 1.0,
    ) -> None:
        """Gives all series and channels this process, in place of one that is learnt.

        Args:
            regression: the mean or drift, then the covariates' coefficients.

        Raises:
            ValueError: a number of coefficients that is not the order, or a process that is not stationary or not
                invertible.
        """
        polynomials = self.polynomials
        given = {"ar": ar, "ma": ma, "seasonal_ar": seasonal_ar, "seasonal_ma": seasonal_ma}
        for name, values in given.items():
            if len(values) != getattr(polynomials, name):
                raise ValueError(
                    f"{name} has {getattr(polynomials, name)} coefficients, and {len(values)} were given"
                )
            sign = 1 if name.endswith("ar") else -1
            radius = float(spectral_radius(sign * np.asarray(values, np.float64)[:, None, None]))
            if radius >= 1 and sign == 1:
                raise ValueError(
                    f"{name} {list(values)} is not stationary: a root of its process is {radius:.4g}, and all are below "
                    "1; difference the series instead"
                )
            if radius > 1 + 1e-9:
                raise ValueError(f"{name} {list(values)} is not invertible: a root is {radius:.4g}, above 1")
        if len(regression) != self.regressors or variance <= 0:
            raise ValueError(f"give {self.regressors} regression coefficients and a variance above 0")
        wide = {name: tf.constant(np.asarray(values, np.float64)) for name, values in given.items()}
        whole_ar = product(wide["ar"], wide["seasonal_ar"], polynomials.season, -1)
        whole_ma = product(wide["ma"], wide["seasonal_ma"], polynomials.season, 1)
        pairs = (
            (self.ar, whole_ar),
            (self.ma, whole_ma),
            (self.regression, np.asarray(regression, np.float64)),
        )
        for weight, value in (*pairs, (self.variance, np.float64(variance))):
            assign(weight, np.broadcast_to(np.asarray(value), weight.shape))

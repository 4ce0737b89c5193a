"""Autoregression: each value is a weighted sum of the p before it, and noise.

    y_t - mean = phi_1 (y_{t-1} - mean) + ... + phi_p (y_{t-p} - mean) + e_t,    e_t ~ N(0, variance)

`least_squares` regresses y_t on a constant and the values before (statsmodels' AutoReg): batches add up normal
equations and the end of the epoch solves. `yule_walker` does the same from autocovariances. `exact` maximises the
density of all values, the first p included (keras_models.autoregressive.panel_search). Whatever the method,
`log_prob` is the density of the whole series, and `mean` is its mean: the regression's constant is
mean (1 - phi_1 - ... - phi_p).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from keras_models.autoregressive.estimator import Orders
from keras_models.autoregressive.linear_process import LinearProcess
from keras_models.autoregressive.normal_equations import LagSums
from keras_models.autoregressive.panel_search import PanelSearch
from keras_models.autoregressive.polynomials import Polynomials
from keras_models.autoregressive.pooled_search import PooledSearch
from keras_models.config import FamilyConfig


class Config(FamilyConfig):
    order: int = Field(1, ge=1, le=64, description="p, values before that each one depends on")
    method: Literal["least_squares", "yule_walker", "exact"] = Field(
        "least_squares", description="how coefficients are found; exact: maximum of the exact likelihood"
    )
    constant: bool = Field(True, description="whether the series has a mean; else it is 0")
    pooled: bool = Field(True, description="one process for all series; false: one for each series")


class Autoregression(LinearProcess):
    """p(x) of stationary Gaussian autoregressions, one for each channel."""

    kinds = ("series",)
    likelihood = "exact"
    measure = "density"
    paper = "Yule 1927, On a method of investigating periodicities in disturbed series"
    reports = ("loss",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        if spec.kind == "series" and spec.covariates and config.method != "exact":
            raise ValueError(
                "family 'ar' takes covariates with method: exact only: set it, or leave out data.read.covariates"
            )
        if spec.kind == "series" and spec.shape[0] <= config.order:
            raise ValueError(
                f"windows of {spec.shape[0]} steps are too short for order {config.order}: set data.encode.length "
                f"to {config.order + 1} at least"
            )
        super().__init__(
            spec, config, Orders(config.order, 0, (), "mean" if config.constant else "none"), seed=seed
        )
        if config.method == "exact":
            search = PooledSearch if config.pooled else PanelSearch
            self.estimator = search(self, Polynomials(config.order, 0, 0, 0, 1, ()))
        else:
            self.estimator = LagSums(self, config.method == "least_squares")

    def log_prob(
        self, x: Any, length: Any = None, mask: Any = None, covariates: Any = None, series: Any = None
    ) -> Any:
        """See LinearProcess.log_prob."""
        return super().log_prob(x, length, mask, covariates, series)

    def forecast(self, history: Any, steps: int, **options: Any) -> np.ndarray:
        """See LinearProcess.forecast."""
        return super().forecast(history, steps, **options)

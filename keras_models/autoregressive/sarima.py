"""Seasonal ARIMA: differences and seasonal differences of a series are an autoregression of moving averages.

    phi(B) Phi(B^s) (1 - B)^d (1 - B^s)^D (y_t - regression' z_t) = theta(B) Theta(B^s) e_t,    e_t ~ N(0, variance)

Box, Jenkins & Reinsel, SARIMA (p, d, q)(P, D, Q)_s, by exact maximum likelihood of the differences (the first
d + D s values are given), as statsmodels' SARIMAX with simple_differencing and R's arima find it. Moving averages
have a plus: theta(B) = 1 + theta_1 B + ... The constant is a mean (of a series that is not differenced) or a drift.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from keras_models.autoregressive.arima_process import ArimaProcess
from keras_models.config import FamilyConfig


class Config(FamilyConfig):
    order: tuple[
        Annotated[int, Field(ge=0, le=12)],
        Annotated[int, Field(ge=0, le=2)],
        Annotated[int, Field(ge=0, le=12)],
    ] = Field((0, 1, 1), description="p, d, q: autoregression, differences, moving average")
    seasonal_order: tuple[
        Annotated[int, Field(ge=0, le=4)],
        Annotated[int, Field(ge=0, le=1)],
        Annotated[int, Field(ge=0, le=4)],
    ] = Field((0, 1, 1), description="P, D, Q: the same of values a season apart")
    season: int = Field(12, ge=2, le=366, description="s, steps of a season")
    trend: Literal["none", "mean", "drift"] = Field(
        "none", description="mean: of a series that is not differenced; drift: of one that is, once"
    )
    choose: bool = Field(
        False, description="p, q, P and Q are the largest: of all up to them those of lowest AICc are taken"
    )
    pooled: bool = Field(
        True, description="one process for all windows; false: one for each series, a window each"
    )


class SeasonalARIMA(ArimaProcess):
    """p(x) of seasonal ARIMA processes, one for each channel."""

    kinds = ("series",)
    likelihood = "exact"
    measure = "density"
    paper = "Box, Jenkins & Reinsel 2008, Time Series Analysis, 4th edition, chapter 9"
    reports = ("loss",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, config.order, config.seasonal_order, config.season, seed=seed)

    def log_prob(
        self, x: Any, length: Any = None, mask: Any = None, covariates: Any = None, series: Any = None
    ) -> Any:
        """See LinearProcess.log_prob."""
        return super().log_prob(x, length, mask, covariates, series)

    def forecast(self, history: Any, steps: int, **options: Any) -> np.ndarray:
        """See LinearProcess.forecast."""
        return super().forecast(history, steps, **options)

"""ARIMA: the differences of a series are an autoregression of moving averages.

    phi(B) (1 - B)^d (y_t - regression' z_t) = theta(B) e_t,    e_t ~ N(0, variance)

Exact maximum likelihood; see keras_models.autoregressive.sarima, of which it is the part without seasons.
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
    ] = Field((1, 1, 1), description="p, d, q: autoregression, differences, moving average")
    trend: Literal["none", "mean", "drift"] = Field(
        "none", description="mean: of a series that is not differenced; drift: of one that is, once"
    )
    choose: bool = Field(
        False, description="p and q are the largest: of all up to them those of lowest AICc are taken"
    )
    pooled: bool = Field(
        True, description="one process for all windows; false: one for each series, a window each"
    )


class ARIMA(ArimaProcess):
    """p(x) of ARIMA processes, one for each channel."""

    kinds = ("series",)
    likelihood = "exact"
    measure = "density"
    paper = "Box, Jenkins & Reinsel 2008, Time Series Analysis, 4th edition, chapter 4"
    reports = ("loss",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, config.order, (0, 0, 0), 1, seed=seed)

    def log_prob(
        self, x: Any, length: Any = None, mask: Any = None, covariates: Any = None, series: Any = None
    ) -> Any:
        """See LinearProcess.log_prob."""
        return super().log_prob(x, length, mask, covariates, series)

    def forecast(self, history: Any, steps: int, **options: Any) -> np.ndarray:
        """See LinearProcess.forecast."""
        return super().forecast(history, steps, **options)

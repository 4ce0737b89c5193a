"""Whether a forecaster's residuals still say something: their autocorrelation, and Ljung and Box's test of it."""

from __future__ import annotations

import numpy as np


def autocorrelation(residuals: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelations of lags 1 to `lags` `[lags]`, and how many pairs each is of.

    Args:
        residuals: `[n, steps]`, NaN where there is none; all rows together have one mean and one variance.
    """
    there = np.isfinite(residuals)
    error = np.where(there, residuals - residuals[there].mean() if there.any() else 0.0, 0.0)
    squares = np.square(error).sum()
    reached = range(1, min(lags, residuals.shape[1] - 1) + 1)
    products = [(error[:, lag:] * error[:, :-lag]).sum() for lag in reached]
    pairs = [(there[:, lag:] & there[:, :-lag]).sum() for lag in reached]
    return np.array(products) / (squares or 1.0), np.array(pairs)


def ljung_box(residuals: np.ndarray, lags: int, numbers: int = 0) -> tuple[float, float]:
    """Ljung & Box's (1978) statistic of the first `lags` autocorrelations and its p value: small where residuals
    are not independent. NaN where there are fewer lags than `numbers`, those that were estimated, or too few values.
    """
    from scipy.stats import chi2

    count = np.isfinite(residuals).sum()
    found, _ = autocorrelation(residuals, lags)
    free = len(found) - numbers
    if count <= len(found) + 1 or free < 1:
        return float("nan"), float("nan")
    statistic = count * (count + 2) * (found**2 / (count - np.arange(1, len(found) + 1))).sum()
    return float(statistic), float(chi2.sf(statistic, free))

"""Processes by angles: each partial autocorrelation is a sine, and everything comes with its slopes along the angles.

A sine reaches -1 and 1 at a finite angle and turns there, so the likelihood of a moving average on the unit circle
is a smooth peak of its angle (Barndorff-Nielsen & Schou 1973 for the partial autocorrelations). The free numbers
of keras_models.autoregressive.stationarity are the angles' tangents.

Arrays are `[..., U]`, processes last; slopes have the angles as their second but last axis. This is numpy: each call
is a few vector operations for many processes, and there is nothing to compile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LARGEST = 1e6  # of a free number: partial autocorrelations are as near to 1 as is of use


class Slopes(NamedTuple):
    """A process of noise of variance 1, and its slopes along `size` angles.

    `lags` are those of the autoregression that are not 0, from 1 on: `ar` `[lags, U]` and `ar_slopes`
    `[lags, size, U]`. `gamma` `[r + 1, U]` and `gamma_slopes` `[r + 1, size, U]`: autocovariances, r = max(p, q + 1).
    """

    lags: tuple[int, ...]
    ar: np.ndarray
    ar_slopes: np.ndarray
    gamma: np.ndarray
    gamma_slopes: np.ndarray


class _Product(NamedTuple):
    """A polynomial in B `[degree + 1, U]`, its slopes along the angles `[degree + 1, n, U]`, the powers it has."""

    polynomial: np.ndarray
    slopes: np.ndarray
    powers: list[int]


def free_of(angles: np.ndarray) -> np.ndarray:
    """The free numbers of angles, any angle meaning the one within a quarter turn that has its sine."""
    return np.clip(np.tan(np.arcsin(np.sin(angles))), -LARGEST, LARGEST)


def slopes(degrees: tuple[int, int, int, int], season: int, angles: np.ndarray) -> Slopes:
    """The processes of `angles` `[size, U]`.

    Args:
        degrees: of the near autoregression, moving average, seasonal autoregression and seasonal moving average.
    """
    ar, ma, seasonal_ar, seasonal_ma = np.split(angles, np.cumsum(degrees[:3]))
    left = _product(_polynomial(ar, 1), _polynomial(seasonal_ar, 1), season)
    right = _product(_polynomial(ma, -1), _polynomial(seasonal_ma, -1), season)
    place = np.split(np.arange(len(angles)), np.cumsum(degrees[:3]))
    own, other = np.concatenate(place[::2]), np.concatenate(place[1::2])
    p, q = len(left.polynomial) - 1, len(right.polynomial) - 1
    lags, count = max(p, q + 1), angles.shape[1]
    weights, weight_slopes, reach = _correlation(right)
    past, past_slopes = _autoregressive(left, lags + q)
    gamma, gamma_slopes = np.zeros((lags + 1, count)), np.zeros((lags + 1, len(angles), count))
    around, around_slopes = (np.concatenate([one[q:0:-1], one]) for one in (past, past_slopes))
    for lag in reach:
        for shift in {lag, -lag}:
            window = slice(q - shift, q - shift + lags + 1)
            gamma += weights[lag] * around[window]
            gamma_slopes[:, own] += weights[lag] * around_slopes[window]
            gamma_slopes[:, other] += around[window, None] * weight_slopes[lag]
    powers = left.powers[1:]
    ar_slopes = np.zeros((len(powers), len(angles), count))
    ar_slopes[:, own] = -left.slopes[powers]
    return Slopes(tuple(powers), -left.polynomial[powers], ar_slopes, gamma, gamma_slopes)


def _polynomial(angles: np.ndarray, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """1 - phi_1 B - ... `[n + 1, U]` and its slopes, by Levinson's recursion; of sign -1, 1 + theta_1 B + ..."""
    size, count = angles.shape
    partial, turn = np.sin(sign * angles), sign * np.cos(angles)
    found, rates = np.ones((1, count)), np.zeros((1, size, count))
    nothing, still = np.zeros((1, count)), np.zeros((1, size, count))
    for k in range(size):
        behind = np.concatenate([nothing, found[::-1]])
        rates = np.concatenate([rates, still]) - partial[k] * np.concatenate([still, rates[::-1]])
        rates[:, k] -= turn[k] * behind
        found = np.concatenate([found, nothing]) - partial[k] * behind
    return found, rates


def _product(
    near: tuple[np.ndarray, np.ndarray], seasonal: tuple[np.ndarray, np.ndarray], season: int
) -> _Product:
    (a, a_slopes), (b, b_slopes) = near, seasonal
    size, own = len(a) + (len(b) - 1) * season, a_slopes.shape[1]
    found = np.zeros((size, a.shape[1]))
    rates = np.zeros((size, own + b_slopes.shape[1], a.shape[1]))
    powers: set[int] = set()
    for j in range(len(b)):
        window = slice(j * season, j * season + len(a))
        found[window] += a * b[j]
        rates[window, :own] += a_slopes * b[j]
        rates[window, own:] += a[:, None] * b_slopes[j]
        powers |= set(range(window.start, window.stop))
    return _Product(found, rates, sorted(powers))


def _correlation(right: _Product) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Autocovariances of a moving average, from lag 0 on, their slopes, and the lags at which they are not 0."""
    theta, rates = right.polynomial, right.slopes
    found, slopes_found, reach = np.zeros(theta.shape), np.zeros(rates.shape), set()
    for i in right.powers:
        for j in right.powers:
            if j >= i:
                found[j - i] += theta[i] * theta[j]
                slopes_found[j - i] += rates[i] * theta[j] + theta[i] * rates[j]
                reach.add(j - i)
    return found, slopes_found, sorted(reach)


def _autoregressive(left: _Product, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Autocovariances `[lags + 1, U]` of an autoregression, and their slopes: from its partial autocorrelations."""
    phi, rates = -left.polynomial[1:], -left.slopes[1:]
    p, n, count = rates.shape
    orders = [(phi, rates)]  # of the best predictors from p values, p - 1 ...
    variance, slope = [np.ones(count)], [np.zeros((n, count))]  # of what they leave, p first
    for k in range(p - 1, -1, -1):
        c, d = orders[-1]
        kappa, turn = c[k], d[k]
        rest, rest_slopes = c[:k], d[:k]
        scale = 1 / (1 - kappa * kappa)
        growth = 2 * kappa * turn * scale
        lower = (rest + kappa * rest[::-1]) * scale
        lower_slopes = (rest_slopes + kappa * rest_slopes[::-1] + rest[::-1, None] * turn) * scale
        orders.append((lower, lower_slopes + lower[:, None] * growth))
        variance.append(variance[-1] * scale)
        slope.append(slope[-1] * scale + variance[-1] * growth)
    gamma, gamma_slopes = np.zeros((lags + 1, count)), np.zeros((lags + 1, n, count))
    gamma[0], gamma_slopes[0] = variance[p], slope[p]
    for h in range(1, lags + 1):
        if h <= p:  # of the next value, what the h - 1 between say of it, and the partial autocorrelation
            c, d = (one[h - 1] for one in orders[p - h])
            gamma[h] = c * variance[p - h + 1]
            gamma_slopes[h] = d * variance[p - h + 1] + c * slope[p - h + 1]
            weights, weight_slopes = orders[p - h + 1]
            used = list(range(1, h))
        else:
            weights, weight_slopes, used = phi, rates, left.powers[1:]
        for lag in used:
            gamma[h] += weights[lag - 1] * gamma[h - lag]
            gamma_slopes[h] += weight_slopes[lag - 1] * gamma[h - lag]
            gamma_slopes[h] += weights[lag - 1] * gamma_slopes[h - lag]
    return gamma, gamma_slopes

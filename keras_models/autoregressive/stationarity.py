"""Polynomials of linear processes: stationary by construction, multiplied, and turned into autocovariances.

A process is phi(B) y = theta(B) e with phi(B) = 1 - phi_1 B - ..., theta(B) = 1 + theta_1 B + ... and e of
variance 1. Coefficients are the first axis of every array, `[p, ...]`; the others are processes.

Any real numbers are mapped to partial autocorrelations in (-1, 1) and these, by Levinson's recursion, to the
coefficients of a stationary process (Barndorff-Nielsen & Schou 1973; Monahan 1984; Jones 1980, with x over
the root of 1 + x^2 in place of his tangent, as statsmodels does).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

LARGEST_FREE = 50.0  # free numbers beyond are on the unit circle, for a search that begins there
LARGEST = 0.9999  # spectral radius to which an estimate that is not stationary is brought


def stationary(free: Any) -> Any:
    """Coefficients `[p, ...]` of a stationary autoregression, from any real numbers `[p, ...]`."""
    return from_partial(free / tf.sqrt(1 + tf.square(free)))


def invertible(free: Any) -> Any:
    """Coefficients theta `[q, ...]` of an invertible moving average; a single one has the sign of `free`."""
    return -stationary(-free)


def unconstrained(coefficients: Any) -> Any:
    """The numbers of which `stationary` makes these coefficients (Monahan's recursion run backwards)."""
    partial = (
        tf.stack([kappa for kappa, _ in _orders(coefficients)[1:]]) if coefficients.shape[0] else coefficients
    )
    return partial / tf.sqrt(1 - tf.square(partial))


def from_partial(partial: Any) -> Any:
    """Coefficients `[p, ...]` from partial autocorrelations in (-1, 1): Levinson's recursion."""
    coefficients = partial[:1]
    for k in range(1, partial.shape[0]):
        kappa = partial[k]
        coefficients = tf.concat([coefficients - kappa * coefficients[::-1], kappa[None]], 0)
    return coefficients


def product(near: Any, seasonal: Any, season: int, sign: int) -> Any:
    """Coefficients `[p + P season, ...]` of the product of a polynomial and a seasonal one.

    Args:
        sign: -1 of autoregressions (1 - phi_1 B - ...), +1 of moving averages (1 + theta_1 B + ...).
    """
    if not seasonal.shape[0]:
        return near
    one = tf.ones_like(seasonal[:1])
    polynomial = tf.concat([one, sign * near], 0)
    size = near.shape[0] + seasonal.shape[0] * season + 1
    found = _padded(polynomial, 0, size)
    for j in range(seasonal.shape[0]):
        found += sign * seasonal[j] * _padded(polynomial, (j + 1) * season, size)
    return sign * found[1:]


def _padded(polynomial: Any, before: int, size: int) -> Any:
    sides = [[before, size - before - polynomial.shape[0]], *([[0, 0]] * (polynomial.shape.rank - 1))]
    return tf.pad(polynomial, sides)


def autocovariances(ar: Any, ma: Any, lags: int) -> Any:
    """Autocovariances `[lags + 1, ...]` of a stationary process with `ar` `[p, ...]` and `ma` `[q, ...]`.

    Those of the autoregression come from its partial autocorrelations, without a linear system; the moving
    average is then a convolution with the correlation of its own coefficients.
    """
    q = ma.shape[0]
    theta = tf.concat([tf.ones_like(_like(ar, ma))[None], ma], 0)  # [q + 1, ...]
    weights = [tf.reduce_sum(theta[m:] * theta[: q + 1 - m], 0) for m in range(q + 1)]
    gamma = _autoregressive(ar, lags + q)
    if gamma is None:  # a moving average alone
        zero = tf.zeros_like(weights[0])
        return tf.stack([weights[h] if h <= q else zero for h in range(lags + 1)])
    around = tf.stack([*gamma[q:0:-1], *gamma])  # lags -q ... lags + q
    both = tf.stack([*weights[:0:-1], *weights])  # [2q + 1, ...]
    return tf.stack([tf.reduce_sum(both * around[h : h + 2 * q + 1], 0) for h in range(lags + 1)])


def _autoregressive(ar: Any, lags: int) -> list[Any] | None:
    if not ar.shape[0]:
        return None
    orders = _orders(ar)
    variance = tf.ones_like(ar[0])
    variances = [variance]
    for kappa, _ in orders[:0:-1]:
        variances.insert(0, variances[0] / (1 - tf.square(kappa)))
    gamma = [variances[0]]
    for h in range(1, lags + 1):
        if h <= ar.shape[0]:
            kappa, _ = orders[h]
            before = orders[h - 1][1]  # of order h - 1
            gamma.append(kappa * variances[h - 1] + _dot(before, gamma))
        else:
            gamma.append(_dot(ar, gamma))
    return gamma


def _orders(coefficients: Any) -> list[tuple[Any, Any]]:
    """(last partial autocorrelation, coefficients) of the best predictors of order 0, 1, ... p."""
    found: list[tuple[Any, Any]] = []
    for k in range(coefficients.shape[0], 0, -1):
        kappa = coefficients[k - 1]
        found.insert(0, (kappa, coefficients))
        rest = coefficients[: k - 1]
        coefficients = (rest + kappa * rest[::-1]) / (1 - tf.square(kappa))
    return [(None, coefficients), *found]


def _dot(coefficients: Any, gamma: list[Any]) -> Any:
    """sum over j of coefficients_j gamma_{h - j}, where gamma holds lags 0 ... h - 1."""
    p = coefficients.shape[0]
    return tf.reduce_sum(coefficients * tf.stack(gamma[: -p - 1 : -1]), 0) if p else 0.0


def _like(ar: Any, ma: Any) -> Any:
    return tf.reduce_sum(ma if ma.shape[0] else ar, 0)


def responses(ar: Any, ma: Any, steps: int) -> Any:
    """psi_0 ... psi_{steps - 1} `[steps, ...]`: how y answers to one unit of e."""
    one = tf.ones_like(_like(ar, ma))
    psi = [one]
    for i in range(1, steps):
        theta = ma[i - 1] if i <= ma.shape[0] else tf.zeros_like(one)
        reach = min(i, ar.shape[0])
        psi.append(theta + _dot(ar[:reach], psi))
    return tf.stack(psi)


def spectral_radius(matrices: np.ndarray) -> np.ndarray:
    """Largest modulus `[...]` of the companion's eigenvalues, of lag matrices `[..., p, c, c]`."""
    *lead, p, c, _ = matrices.shape
    if p == 0:
        return np.zeros(lead)
    companion = np.zeros((*lead, p * c, p * c))
    companion[..., :c, :] = np.moveaxis(matrices, -3, -2).reshape(*lead, c, p * c)
    companion[..., c:, :-c] = np.eye((p - 1) * c)
    return np.abs(np.linalg.eigvals(companion)).max(axis=-1)


def wanders(coefficients: np.ndarray) -> np.ndarray:
    """Which autoregressions `[p, ...]` are not stationary: Levinson's recursion run backwards meets a partial
    autocorrelation that is not below 1."""
    outside = np.zeros(coefficients.shape[1:], bool)
    for k in range(len(coefficients), 0, -1):
        kappa = coefficients[k - 1]
        outside |= ~(np.abs(kappa) < 1)
        rest = coefficients[: k - 1]
        coefficients = (rest + kappa * rest[::-1]) / np.where(outside, 1.0, 1 - np.square(kappa))
    return outside


def brought_inside(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lag matrices `[..., p, c, c]` whose spectral radius is below 1, and which ones `[...]` had to change.

    Lag j is multiplied by rho^j, which multiplies every root of the process by rho.
    """
    radius = spectral_radius(matrices)
    outside = radius >= 1
    rho = np.where(outside, LARGEST / np.where(outside, radius, 1), 1.0)
    powers = rho[..., None] ** np.arange(1, matrices.shape[-3] + 1)
    return matrices * powers[..., None, None], outside

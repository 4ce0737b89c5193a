"""What one window of a series shows: autocorrelation, spectrum, correlation of channels, shape.

All take windows `[n, l, c]` and where they were observed, bool of the same shape, and give NaN where a
window says nothing: it does not change, or too little of it was seen.
"""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-12  # of a window's own sum of squares, below which it does not change
QUANTILES = (0.1, 0.5, 0.9)


def autocorrelation(x: np.ndarray, seen: np.ndarray, lags: int) -> np.ndarray:
    """`[n, lags, c]`, at lags 1 to `lags`, about each window's own mean: the mean product of the pairs of
    observed steps so far apart over the mean square. By FFT, in O(l log l).

    NaN where fewer than an eighth of the steps, or than two, have a partner.
    """
    length = x.shape[1]
    z, square = _centred(x, seen)
    size = 1 << (2 * length - 1).bit_length()  # no product wraps around

    def products(values: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(values, size, axis=1)
        return np.fft.irfft(np.square(np.abs(spectrum)), size, axis=1)[:, : lags + 1]

    pairs = np.rint(products(seen.astype(np.float64)))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = products(z) / pairs
        found = mean[:, 1:] / (square / seen.sum(axis=1))[:, None]
    return np.where((pairs[:, 1:] >= max(2, length / 8)) & (square > 0)[:, None], found, np.nan)


def spectrum(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The share of each frequency 1/l .. 1/2 in a window's power (periodogram), `[n, l // 2, c]`. NaN for
    windows with gaps, which would smear it."""
    z, square = _centred(x, seen)
    power = np.square(np.abs(np.fft.rfft(z, axis=1)))[:, 1:]
    whole = seen.all(axis=1) & (square > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole[:, None], power / power.sum(axis=1, keepdims=True), np.nan)


def channel_correlation(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Correlation of each pair of channels `[n, c (c - 1) / 2]` over the steps at which both were seen."""
    first, second = np.triu_indices(x.shape[2], 1)
    both = seen[..., first] & seen[..., second]
    (a, one), (b, other) = _centred(x[..., first], both), _centred(x[..., second], both)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (a * b).sum(axis=1) / np.sqrt(one * other)
    return np.where((both.sum(axis=1) >= 3) & (one > 0) & (other > 0), found, np.nan)


def below(x: np.ndarray, seen: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The share of a window's values at or below each point of `grid` `[k, c]`: `[n, k, c]`."""
    n, _, channels = x.shape
    k = len(grid)
    found = np.empty((n, k, channels))
    row = np.arange(n)[:, None] * (k + 1)
    for channel in range(channels):
        place = np.searchsorted(grid[:, channel], x[..., channel], "left")
        counts = np.bincount((row + place)[seen[..., channel]], minlength=n * (k + 1)).reshape(n, k + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[..., channel] = counts.cumsum(axis=1)[:, :k] / counts.sum(axis=1, keepdims=True)
    return found


def features(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A row of plain features for each window `[n, f]`, finite: level, spread, skewness, quantiles, extremes,
    steps, their asymmetry in time, autocorrelation at lags 1, 2, 4, ..., power in octaves, correlation of
    channels. What a window does not show is 0."""
    x = np.where(seen, x, np.nan)
    count = np.maximum(seen.sum(axis=1), 1)
    z, square = _centred(np.nan_to_num(x), seen)
    std = np.sqrt(square / count)
    steps = np.diff(x, axis=1)
    there = np.isfinite(steps)
    step = np.where(there, steps, 0.0)
    pairs = np.maximum(there.sum(axis=1), 1)
    step_square = np.square(step).sum(axis=1) / pairs
    with np.errstate(invalid="ignore", divide="ignore"):
        skew = (z**3).sum(axis=1) / count / std**3
        # Steps up and steps down: 0 for a series that looks alike when it runs backwards.
        turn = (step**3).sum(axis=1) / pairs / step_square**1.5
    filled = np.where(seen.any(axis=1, keepdims=True), x, 0.0)
    parts = [np.nanmean(filled, axis=1), std, skew, np.abs(step).sum(axis=1) / pairs, turn]
    parts += list(np.nanquantile(filled, QUANTILES, axis=1))
    parts += [np.nanmin(filled, axis=1), np.nanmax(filled, axis=1)]
    most = x.shape[1] // 2
    if most:
        memory = autocorrelation(np.nan_to_num(x), seen, most)
        parts += [memory[:, lag - 1] for lag in _doubling(most)]
        power = _octaves(np.nan_to_num(x), seen, most)
        parts += power
    if x.shape[2] > 1:
        parts.append(channel_correlation(np.nan_to_num(x), seen))
    return np.nan_to_num(np.concatenate(parts, axis=1), nan=0.0, posinf=0.0, neginf=0.0)


def _octaves(x: np.ndarray, seen: np.ndarray, most: int) -> list[np.ndarray]:
    """Share of power in frequencies 1, 2-3, 4-7, ... over l; gaps count as the window's mean."""
    mean = x.sum(axis=1, where=seen, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    power = spectrum(np.where(seen, x, mean), np.ones_like(seen))
    return [power[:, lag - 1 : 2 * lag - 1].sum(axis=1) for lag in _doubling(most)]


def _doubling(most: int) -> list[int]:
    return [2**k for k in range(most.bit_length()) if 2**k <= most]


def _centred(x: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values about the mean of what was seen, 0 elsewhere, and their sum of squares `[n, c]`, which is 0
    where only rounding is left."""
    x = np.where(seen, x, 0.0)
    mean = x.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    z = np.where(seen, x - mean, 0.0)
    square = np.square(z).sum(axis=1)
    return z, np.where(square > ROUNDING * np.square(x).sum(axis=1), square, 0.0)

"""Shares of the classes that a classifier sees: mode collapse shows here first."""

from __future__ import annotations

import numpy as np


def class_shares(predicted: np.ndarray, classes: int) -> np.ndarray:
    """The share `[classes]` of each class among `predicted` (int `[n]`, each in [0, classes)).

    Raises:
        ValueError: nothing predicted, or a class out of range.
    """
    predicted = np.asarray(predicted)
    if not predicted.size or predicted.min() < 0 or predicted.max() >= classes:
        raise ValueError(f"predictions are one or more classes from 0 to {classes - 1}")
    return np.bincount(predicted, minlength=classes) / predicted.size


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """½ Σ |p - q| of two distributions `[C]`: 0 where equal, 1 where they share no class."""
    return float(np.abs(np.asarray(p, np.float64) - np.asarray(q, np.float64)).sum() / 2)


def classes_covered(shares: np.ndarray, real_shares: np.ndarray, fraction: float = 0.25) -> int:
    """How many classes get at least `fraction` of their real share; absent classes do not count."""
    shares, real_shares = np.asarray(shares), np.asarray(real_shares)
    return int(((shares >= fraction * real_shares) & (real_shares > 0)).sum())

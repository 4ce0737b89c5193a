"""Fréchet distance between two normals fitted to features, from moments that add up.

    |m1 - m2|² + tr C1 + tr C2 - 2 tr (C1 C2)^½            (Dowson & Landau 1982; Heusel et al. 2017)

The last trace is the nuclear norm of R1ᵀ R2 with C = R Rᵀ: a symmetric form that stays exact where a
covariance is singular (fewer examples than features) and never meets a complex number.
"""

from __future__ import annotations

from typing import Self

import numpy as np


class Moments:
    """Count, mean `[d]` and scatter `[d, d]` (sum of outer products about the mean), in float64.

    Batches and shards merge exactly (Chan, Golub & LeVeque 1983): raw sums of squares would lose
    the covariance of features whose mean is large beside their spread.
    """

    def __init__(self, dimensions: int) -> None:
        self.n = 0
        self.mean = np.zeros(dimensions)
        self.scatter = np.zeros((dimensions, dimensions))

    @classmethod
    def of(cls, features: np.ndarray) -> Self:
        """The moments of `features` `[n, d]`."""
        return cls(np.shape(features)[-1]).add(features)

    def add(self, features: np.ndarray) -> Self:
        """Takes in a batch `[n, d]`, which may be empty, and returns itself.

        Raises:
            ValueError: another shape than `[n, d]`.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features are [n, {len(self.mean)}], and these are {list(features.shape)}")
        batch = Moments(len(self.mean))
        if len(features):
            batch.n = len(features)
            batch.mean = features.mean(axis=0)
            centred = features - batch.mean
            batch.scatter = centred.T @ centred
        return self.merge(batch)

    def merge(self, other: Moments) -> Self:
        """Takes in the moments of other examples, which stay as they are, and returns itself.

        Raises:
            ValueError: another number of features.
        """
        if other.mean.shape != self.mean.shape:
            raise ValueError(f"{len(other.mean)} features cannot be merged with {len(self.mean)}")
        total = self.n + other.n
        if other.n:
            shift = other.mean - self.mean
            self.scatter += other.scatter + np.outer(shift, shift) * (self.n * other.n / total)
            self.mean += shift * (other.n / total)
            self.n = total
        return self

    def covariance(self) -> np.ndarray:
        """The unbiased covariance `[d, d]` (divides by n - 1, as the reference implementations do).

        Raises:
            ValueError: fewer than two examples.
        """
        if self.n < 2:
            raise ValueError(f"a covariance needs two examples, and there are {self.n}")
        return self.scatter / (self.n - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance of the normals with these moments; NaN where a feature was not finite.

    It is biased upwards by about c (1/n_a + 1/n_b): only distances at equal counts compare.

    Raises:
        ValueError: fewer than two examples, or another number of features.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"{len(a.mean)} features cannot be compared with {len(b.mean)}")
    first, second = a.covariance(), b.covariance()
    if not all(np.isfinite(part).all() for part in (a.mean, b.mean, first, second)):
        return float("nan")
    shift = a.mean - b.mean
    shared = np.linalg.svd(_root(first).T @ _root(second), compute_uv=False).sum()
    distance = shift @ shift + np.trace(first) + np.trace(second) - 2 * shared
    return float(max(distance, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    """R `[d, d]` with R Rᵀ = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))  # rounding makes a zero slightly negative

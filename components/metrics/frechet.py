"""Fréchet distance between two normals fitted to features, from moments that add up, with its interval.

    |m1 - m2|² + tr C1 + tr C2 - 2 tr (C1 C2)^½            (Dowson & Landau 1982; Heusel et al. 2017)

With C = R Rᵀ the last trace is the nuclear norm of R1ᵀ R2, or the sum of the roots of the eigenvalues of
R2ᵀ C1 R2: symmetric forms that never meet a complex number and need no multiple of the identity added.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from components.errors import DataError
from components.metrics.intervals import Estimate, jackknife
from components.metrics.moments import Moments, ShardedMoments, check_shape

ROUNDING = 1e-10  # of the traces: an error of the root's trace above this asks for the slower, exact way
PER_FEATURE = 2.3  # examples for each feature, below which the jackknife's intervals are too narrow
PANEL = 256  # columns
EPSILON = np.finfo(np.float64).eps


class Reference:
    """A normal that several others are compared with: its covariance is factored once, when first needed."""

    def __init__(self, moments: Moments) -> None:
        self.n, self.mean, self.covariance = moments.n, moments.mean, moments.covariance()
        self.trace = float(np.trace(self.covariance))
        # A feature that is not finite shows in its mean, one that overflows in its variance.
        self.finite = bool(np.isfinite(self.mean).all() and np.isfinite(self.trace))

    @cached_property
    def cholesky(self) -> np.ndarray | None:
        """L `[d, d]` with L Lᵀ the covariance; None where it is not positive definite."""
        if self.n <= len(self.mean):
            return None
        try:
            return np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError:
            return None

    @cached_property
    def factor(self) -> np.ndarray:
        """R `[d, r]` with R Rᵀ the covariance of rank r."""
        if self.cholesky is not None:
            return self.cholesky
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > len(values) * EPSILON * values[-1]  # what is smaller is rounding, of either sign
        return vectors[:, kept] * np.sqrt(values[kept])


class _Rows:
    """Fewer examples than features, kept as they are: R = `rowsᵀ` `[d, n]` is the factor of its covariance."""

    def __init__(self, features: np.ndarray) -> None:
        self.n = len(features)
        with np.errstate(invalid="ignore", over="ignore"):
            self.mean = features.mean(axis=0)
            self.rows = (features - self.mean) / np.sqrt(self.n - 1)
            self.trace = float(np.square(self.rows).sum())
        self.finite = bool(np.isfinite(self.mean).all() and np.isfinite(self.trace))


def frechet_distance(a: Moments | Reference, b: Moments | Reference) -> float:
    """Squared Fréchet distance of the normals with these moments; NaN where a feature was not finite.

    It is biased upwards by about c (1/n_a + 1/n_b): only distances at equal counts compare. Where `b` is
    given as a `Reference` that many are compared with, its factor is found once.

    Raises:
        DataError: fewer than two examples, or another number of features.
    """
    return _distance(_fitted(a), _fitted(b))


def frechet_of(samples: np.ndarray | Moments | Reference, real: np.ndarray | Moments | Reference) -> float:
    """Squared Fréchet distance of two sets of features `[m, d]` and `[n, d]`, as `frechet_distance`.

    A set of at most d rows is never made into a `[d, d]` covariance: with both so small the cost is
    O(m n d), with one so small O(m d²), instead of O(d³), and the result is more exact. A side that is
    known by its moments only may be given as these.

    Raises:
        DataError: fewer than two examples, or another number of features.
    """
    return _distance(_side(samples), _side(real))


def _side(given: np.ndarray | Moments | Reference) -> Reference | _Rows:
    if isinstance(given, Moments | Reference):
        return _fitted(given)
    features = np.asarray(given, np.float64)
    check_shape(features)
    if 2 <= len(features) <= features.shape[1]:
        return _Rows(features)
    return Reference(Moments.of(features))


def _fitted(given: Moments | Reference) -> Reference:
    return given if isinstance(given, Reference) else Reference(given)


def _distance(a: Reference | _Rows, b: Reference | _Rows) -> float:
    if a.mean.shape != b.mean.shape:
        raise DataError(
            f"{len(a.mean)} features cannot be compared with {len(b.mean)}: take both from the same network"
        )
    if not (a.finite and b.finite):
        return float("nan")
    shift = a.mean - b.mean
    return float(max(shift @ shift + a.trace + b.trace - 2 * _shared(a, b), 0.0))


def _shared(a: Reference | _Rows, b: Reference | _Rows) -> float:
    """tr (C1 C2)^½: by the fastest symmetric form that rounding allows."""
    few, other = (a, b) if isinstance(a, _Rows) else (b, a)
    if isinstance(few, _Rows):
        if isinstance(other, _Rows):
            return _nuclear_norm(few.rows @ other.rows.T)
        values = np.linalg.eigvalsh(few.rows @ other.covariance @ few.rows.T)[1:]  # n rows are of rank n - 1
        root = _sum_of_roots(values, a.trace + b.trace)
        return _nuclear_norm(few.rows @ other.factor) if root is None else root
    assert isinstance(a, Reference)
    assert isinstance(b, Reference)
    known, other = (b, a) if b.cholesky is not None else (a, b)
    if known.cholesky is not None:
        values = np.linalg.eigvalsh(_congruent(other.covariance, known.cholesky))
        root = _sum_of_roots(values, a.trace + b.trace)
        if root is not None:
            return root
    return _nuclear_norm(a.factor.T @ b.factor)


def _congruent(covariance: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The lower triangle, all that `eigvalsh` reads, of Lᵀ C L: in panels of columns, which leave out what
    is 0 in L and what is not read; a third of the arithmetic of two products."""
    made = np.zeros_like(covariance)
    for start in range(0, len(lower), PANEL):
        left = lower[start:, start:]
        made[start:, start : start + PANEL] = left.T @ (covariance[start:, start:] @ left[:, :PANEL])
    return made


def _sum_of_roots(values: np.ndarray, scale: float) -> float | None:
    """Σ √values, ascending eigenvalues; None where their rounding would show at `scale` once rooted."""
    error = EPSILON * max(values[-1], 0.0)
    if not error:
        return 0.0
    roots = np.sqrt(np.maximum(values, error))
    return float(roots.sum()) if error * (0.5 / roots).sum() < ROUNDING * scale else None


def _nuclear_norm(product: np.ndarray) -> float:
    return float(np.linalg.svd(product, compute_uv=False).sum())


def frechet_interval(samples: ShardedMoments, real: ShardedMoments) -> Estimate:
    """The Fréchet distance without its bias, and its 95 % interval: shard k is deleted on both sides.

    `extra["plain"]` is the distance as papers print it. The corrected value and the bounds may be negative.
    Below 2.3 examples a feature there is no interval and the value is the plain one.

    Raises:
        DataError: fewer than two examples, other features or shards.
    """
    return frechet_intervals([samples], real)[0]


def frechet_intervals(models: Sequence[ShardedMoments], real: ShardedMoments) -> list[Estimate]:
    """`frechet_interval` of each of several models: the factors of the real side are found once for all."""
    if any(model.shards != real.shards for model in models):
        raise DataError("samples and real examples are cut into different numbers of shards")
    reference = Reference(real.whole())
    plain = [frechet_distance(model.whole(), reference) for model in models]
    why = [_why_not(model, real, value) for model, value in zip(models, plain, strict=True)]
    carried = [model for model, reason in zip(models, why, strict=True) if not reason]
    rows = []
    if carried:
        for left, *rest in zip(real.without_each(), *(one.without_each() for one in carried), strict=True):
            reference = Reference(left)
            rows.append([frechet_distance(one, reference) for one in rest])
    without = iter(zip(*rows, strict=True))
    return [
        Estimate(value, why=reason, extra={"plain": value, "corrected": False})
        if reason
        else jackknife(value, next(without))
        for value, reason in zip(plain, why, strict=True)
    ]


def frechet_difference(
    challenger: ShardedMoments, champion: ShardedMoments, real: ShardedMoments
) -> Estimate:
    """Challenger's less champion's Fréchet distance, paired: the same shard is deleted on all three sides,
    so that what they share (the noise of the real examples, and of latents used for both) cancels.

    Raises:
        DataError: fewer than two examples, other features or shards.
    """
    own, other = frechet_intervals([challenger, champion], real)
    plain = own.plain - other.plain
    if why := own.why or other.why:
        return Estimate(plain, why=why, extra={"plain": plain, "corrected": False})
    return jackknife(plain, np.subtract(own.without, other.without))


def _why_not(samples: ShardedMoments, real: ShardedMoments, value: float) -> str:
    """Why these rows carry no interval; empty where they do."""
    if not np.isfinite(value):
        return "a feature is not finite"
    for side, whose in ((samples, "samples"), (real, "real examples")):
        if side.n < PER_FEATURE * side.dimensions:
            return f"{side.n} {whose} for {side.dimensions} features: fewer than {PER_FEATURE} a feature"
        if side.n < 2 * side.shards:
            return f"{side.n} {whose} are fewer than two a shard"
    return ""

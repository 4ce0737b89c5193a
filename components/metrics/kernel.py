"""Kernel distance (KID, MMD²) with the kernel (x·y/d + 1)³ (Bińkowski et al. 2018): unbiased at any n.

    Σ_{i≠j} k(x_i, x_j)/(n(n-1)) + Σ_{i≠j} k(y_i, y_j)/(m(m-1)) - 2 Σ k(x_i, y_j)/(nm)

of all rows, from the same blocks of pairs as the metrics of neighbours. It may be negative: then nothing
tells the two sets apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.comparison import REAL, SAMPLES, Comparison, compare
from components.metrics.intervals import SHARDS, Estimate
from components.metrics.pairs import Run, here
from components.metrics.rows import Rows


def kid(real: np.ndarray | Rows, samples: np.ndarray | Rows, *, run: Run = here) -> Estimate:
    """The kernel distance of `samples` `[m, d]` and `real` `[n, d]`, of all rows.

    From 256 features on dot products are float32 (their error averages out: a billionth of the kernel's
    mean in 10,000 rows). NaN, said so, where a value is not finite.

    Raises:
        DataError: fewer than two rows on a side, or of different widths.
    """
    return kid_of(compare(real, samples, balls=False, two_sample=False, run=run))


def kid_of(compared: Comparison) -> Estimate:
    """See `kid`. The interval is the jackknife of 20 shards of rows, left out of both sets at a time; the
    value is the U-statistic itself, which has no bias to correct."""
    n, m = compared.n, compared.m
    if min(n, m) < 2:
        raise DataError(
            f"a kernel distance needs two examples on each side, and there are {n} real and {m} samples: give more"
        )
    if not compared.finite:
        return Estimate(math.nan, why="a feature is not finite")
    tables = [compared.kernel[pair] for pair in ((REAL, REAL), (SAMPLES, SAMPLES), (REAL, SAMPLES))]
    whole = float(_statistic([table.sum() for table in tables], n, m))
    if min(n, m) < 2 * SHARDS:
        return Estimate(whole, why=f"fewer than {2 * SHARDS} examples on a side do not fill 20 shards")
    counts = [np.bincount(intervals.shard_of(size), minlength=SHARDS) for size in (n, m)]
    # A shard's row and column of a table are left out; what both have was taken away twice.
    sums = [t.sum() - t.sum(axis=0) - t.sum(axis=1) + np.diagonal(t) for t in tables]
    found = intervals.jackknife(whole, _statistic(sums, n - counts[0], m - counts[1]))
    shift = whole - found.value
    return replace(
        found, value=whole, low=found.low + shift, high=found.high + shift, method=f"group {found.method}"
    )


def _statistic(sums: Sequence[Any], n: Any, m: Any) -> Any:
    """The statistic of the three sums over n and m rows, numbers or arrays alike."""
    real, samples, both = sums
    return real / (n * (n - 1)) + samples / (m * (m - 1)) - 2 * both / (n * m)


def kid_reference(
    real: np.ndarray, samples: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 2020
) -> Estimate:
    """The kernel distance as torch-fidelity 0.4 and most papers have it: the mean over seeded `subsets` of
    `size` rows each, drawn without replacement; in float64.

    `extra` has the standard deviation over subsets that papers print after ±. It is no standard error (two
    to three times as wide), and no interval is made of it.

    Raises:
        DataError: fewer rows on a side than a subset takes.
    """
    if min(len(real), len(samples)) < size or size < 2 or subsets < 1:
        raise DataError(
            f"a kernel distance of subsets of {size} needs as many examples on each side, and there are {len(real)} "
            f"real and {len(samples)} samples: give more or take smaller subsets"
        )
    if not (np.isfinite(real).all() and np.isfinite(samples).all()):
        return Estimate(math.nan, why="a feature is not finite")
    random = np.random.RandomState(seed)  # whose stream never changes
    found = np.empty(subsets)
    for number in range(subsets):
        x = real[random.choice(len(real), size, replace=False)].astype(np.float64)
        y = samples[random.choice(len(samples), size, replace=False)].astype(np.float64)
        own, other, both = (_kernel(*pair) for pair in ((x, x), (y, y), (x, y)))
        sums = (own.sum() - np.trace(own), other.sum() - np.trace(other), both.sum())
        found[number] = _statistic(sums, size, size)
    spread = {"subsets_std": float(found.std()), "subsets": subsets, "size": size, "seed": seed}
    return Estimate(float(found.mean()), why="the spread over subsets is no standard error", extra=spread)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3

"""Two-sample tests by distances between distributions: of each feature (Kolmogorov–Smirnov) and of all (energy).

`extra` has the p-value `p` of the hypothesis that both are drawn alike. Groups: components.metrics.two_sample.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from components.metrics.intervals import LEVEL, SHARDS, Estimate, holm, jackknife
from components.metrics.two_sample import checked, joined, not_finite

PERMUTATIONS = 499


def margins_two_sample(real: np.ndarray, samples: np.ndarray) -> Estimate:
    """The largest Kolmogorov–Smirnov distance between the two distributions of one feature.

    `extra`: the distance and p-value (Kolmogorov's limit, a little too large for few rows) of each feature, which of
    them differ after Holm's adjustment, and the adjusted p of all together. Bounds are Massart's of both
    empirical distributions, for all features at once: wide, but sound for any number of rows.

    Raises:
        DataError: no rows, or other numbers of features.
    """
    real, samples = checked(real, samples, 1)
    why = not_finite(real, samples)
    if why:
        return Estimate(math.nan, why=why, extra={"p": math.nan})
    n, m, d = len(real), len(samples), real.shape[1]
    distance = np.array([kolmogorov_smirnov(real[:, k], samples[:, k]) for k in range(d)])
    root = math.sqrt(n * m / (n + m))
    p = np.array([_kolmogorov_tail(root * float(one)) for one in distance])
    extra: dict[str, Any] = {"p": min(1.0, d * float(p.min())), "differ": np.flatnonzero(holm(p)).tolist()}
    extra |= {"distances": distance.tolist(), "p_values": p.tolist()}
    reach = sum(math.sqrt(math.log(4 * d / (1 - LEVEL)) / (2 * size)) for size in (n, m))
    value = float(distance.max())
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach), "Massart's bound", extra=extra)


def energy_distance(
    real: np.ndarray,
    samples: np.ndarray,
    *,
    real_groups: np.ndarray | None = None,
    sample_groups: np.ndarray | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Estimate:
    """2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖ (Székely & Rizzo 2004), 0 only where they are alike.

    The value is corrected by the jackknife over shards of whole groups; `extra` has the uncorrected one,
    `plain`, never below 0, and its `p` by permutation of whole groups. Memory is (n + m)² numbers.

    Raises:
        DataError: fewer than two rows on a side.
    """
    real, samples = checked(real, samples, 2)
    why = not_finite(real, samples)
    if why:
        return Estimate(math.nan, why=why, extra={"p": math.nan})
    y = np.repeat([0, 1], [len(real), len(samples)])
    groups = joined(len(real), len(samples), real_groups, sample_groups)
    apart = _distances(np.concatenate([real, samples]))
    # Sums over pairs of groups are all that follows needs: [G, G], and how many rows each group has.
    names, of = np.unique(groups, return_inverse=True)
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(len(names)))
    sums = np.add.reduceat(np.add.reduceat(apart[order][:, order], starts, axis=0), starts, axis=1)
    counts, kind = np.bincount(of), y[order][starts]
    plain = _energy(sums, counts, kind[None])[0]
    random = np.random.default_rng(seed)
    mixed = np.stack([random.permutation(kind) for _ in range(permutations)])
    p = (1 + int((_energy(sums, counts, mixed) >= plain - 1e-12 * abs(plain)).sum())) / (permutations + 1)
    extra = {"p": p, "plain": float(plain)}
    fewest = int(min(np.bincount(kind)))
    if fewest < 2 * SHARDS:
        why = f"{fewest} rows or groups on a side are fewer than two a shard"
        return Estimate(float(plain), why=why, extra=extra)
    shard = np.empty(len(names), np.int64)
    for side in (0, 1):
        shard[kind == side] = np.arange(int((kind == side).sum())) % SHARDS
    without = []
    for number in range(SHARDS):
        left = shard != number
        without.append(_energy(sums[np.ix_(left, left)], counts[left], kind[left][None])[0])
    found = jackknife(float(plain), np.array(without))
    return replace(found, extra={**found.extra, **extra})


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference between the empirical distributions of `a` `[n]` and `b` `[m]`."""
    a, b = np.sort(a), np.sort(b)
    places = np.concatenate([a, b])
    gap = np.searchsorted(a, places, "right") / len(a) - np.searchsorted(b, places, "right") / len(b)
    return float(np.abs(gap).max())


def _energy(sums: np.ndarray, counts: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The energy distance `[R]` for the kinds `[R, G]` of groups, from the sums of distances `[G, G]`."""
    rows = kinds @ counts
    sign = np.where(kinds == 1, 1 / rows[:, None], -1 / (counts.sum() - rows)[:, None])
    return -np.einsum("rg,rg->r", sign @ sums, sign)


def _kolmogorov_tail(x: float) -> float:
    """P(sup |Brownian bridge| > x) = 2 Σ (-1)^(j-1) exp(-2 j² x²)."""
    if x < 0.2:
        return 1.0
    j = np.arange(1, 101)
    return float(np.clip(2 * ((-1.0) ** (j - 1) * np.exp(-2 * np.square(j * x))).sum(), 0, 1))


def _distances(x: np.ndarray) -> np.ndarray:
    """Euclidean `[n, n]`, 0 on the diagonal."""
    x = x - x.mean(axis=0)
    squared = np.square(x).sum(axis=1)
    apart = squared[:, None] + squared - 2 * (x @ x.T)
    np.fill_diagonal(apart, 0)
    return np.sqrt(np.maximum(apart, 0))

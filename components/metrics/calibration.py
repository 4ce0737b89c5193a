"""Whether an ensemble's spread is honest: its intervals hold their share, and the truth ranks anywhere in it.

If truth and members are drawn alike, the truth is equally likely at each of s + 1 ranks, so the interval
between the j-th and the k-th of s members holds it with probability (k - j) / (s + 1). Quantiles are
therefore taken at p (s + 1): the usual ones, at p (s - 1) + 1, make honest small ensembles look too narrow.
"""

from __future__ import annotations

import math

import numpy as np

from components.metrics.dependent import Units
from components.metrics.intervals import Estimate

LEVELS = (0.5, 0.8, 0.95)
BINS = 10
FEWEST_UNITS = 20  # below which the spread between units gives no p-value


def interval_hits(truth: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of LEVELS whether `truth` `[...]` lies in the central interval of `members` `[s, ...]`
    (bounds included), bool `[levels, ...]`, and the interval's width, NaN where s members do not reach it."""
    s = len(members)
    hit, width = np.zeros((len(LEVELS), *truth.shape), bool), np.full((len(LEVELS), *truth.shape), np.nan)
    for number, level in enumerate(LEVELS):
        tail = (1 - level) / 2
        if tail * (s + 1) < 1 - 1e-9:
            continue
        low, high = np.quantile(members, [tail, 1 - tail], axis=0, method="weibull")
        hit[number], width[number] = (low <= truth) & (truth <= high), high - low
    return hit, width


def ranks(truth: np.ndarray, members: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The rank 0..s `[...]` of `truth` among `members` `[s, ...]`, ties broken by chance (Hamill 2001)."""
    below, equal = (members < truth).sum(axis=0), (members == truth).sum(axis=0)
    return below + (random.random(truth.shape) * (equal + 1)).astype(np.int64)


def chi_squared(rank: np.ndarray, members: int, units: Units) -> Estimate:
    """χ² per degree of freedom of the histogram of ranks `[n]` in at most ten bins: near 1 where it is flat.

    Ranks of one unit depend on one another, which inflates χ²: it is divided by the mean design effect of
    the bins (Rao & Scott 1981), estimated from the spread between units or blocks of them. `extra` has the
    share of each bin, the share that each should have, and the p-value on the corrected χ².
    """
    bins = min(BINS, members + 1)
    edge = (np.arange(members + 1) * bins) // (members + 1)  # the bin of each rank
    expected = np.bincount(edge, minlength=bins) / (members + 1)
    place = edge[rank]
    n = len(place)
    shares = np.bincount(place, minlength=bins) / n
    plain = n * float((np.square(shares - expected) / expected).sum())
    extra = {"shares": shares.tolist(), "expected": expected.tolist()}
    degrees = bins - 1
    draws = units.of // units.block
    count = len(np.unique(draws))
    if count < FEWEST_UNITS:
        why = f"{count} {units.name} are fewer than {FEWEST_UNITS}: ranks that depend on one another cannot be tested"
        return Estimate(plain / degrees, why=why, extra={**extra, "p": math.nan, "design_effect": math.nan})
    effect = _design_effect(place, draws, expected, shares)
    corrected = plain / effect
    extra |= {"p": _survival(corrected, degrees), "design_effect": effect}
    return Estimate(corrected / degrees, why="a test: see its p-value", extra=extra)


def _design_effect(place: np.ndarray, unit: np.ndarray, expected: np.ndarray, shares: np.ndarray) -> float:
    """How many times the bins' variance is that of independent ranks: Σ (n/π_b) var(p̂_b) / (bins - 1)."""
    numbers, unit = np.unique(unit, return_inverse=True)
    bins, count, n = len(expected), len(numbers), len(place)
    table = np.bincount(unit * bins + place, minlength=count * bins).reshape(count, bins)
    residual = table - table.sum(axis=1, keepdims=True) * shares
    variance = count / (count - 1) * np.square(residual).sum(axis=0) / n**2
    return max(float((n * variance / expected).sum()) / (bins - 1), 1e-12)


def _survival(value: float, degrees: int) -> float:
    """P(χ² > value), by its finite sum for a whole number of degrees (Abramowitz & Stegun 26.4.4-5)."""
    half = value / 2
    if half > 700:
        return 0.0
    if degrees % 2 == 0:
        term, total = 1.0, 1.0
        for k in range(1, degrees // 2):
            term *= half / k
            total += term
        return min(math.exp(-half) * total, 1.0)
    term, total = math.sqrt(half / math.pi) * 2, 0.0
    for k in range(1, (degrees + 1) // 2):
        total += term
        term *= half / (k + 0.5)
    return min(math.erfc(math.sqrt(half)) + math.exp(-half) * total, 1.0)

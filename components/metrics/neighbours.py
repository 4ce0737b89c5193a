"""Metrics of neighbours: precision, recall, density, coverage and the 1-NN two-sample test.

All read what components.metrics.comparison found in one exact pass. Distances are Euclidean; those that
differ by rounding alone are equal.

Precision: the share of samples inside at least one ball around a real example that reaches to its k-th
nearest other one; recall swaps the roles (Kynkäänniemi et al. 2019). Density: the balls that a sample is
in, on average and over k; coverage: the share of real examples whose own ball holds a sample (Naeem et
al. 2020). All change with n, m and k: compare at equal ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.comparison import REAL, SAMPLES, Comparison, compare
from components.metrics.intervals import Estimate
from components.metrics.pairs import Run, here
from components.metrics.rows import Rows

NOT_FINITE = "a feature is not finite"


@dataclass(frozen=True)
class Convention:
    """How many neighbours make a ball, and whether it is without its boundary."""

    k: int
    strict: bool


# Ours: as many neighbours as all four numbers are published with, and the boundary inside. Without it the
# very neighbour that makes a ball lies outside of it, and where distances tie (few-valued features,
# repeats) equal sets would not cover each other. Where none tie, ours and prdc's counts are the same.
CONVENTIONS = {
    "mozart": Convention(5, strict=False),
    "prdc": Convention(5, strict=True),
    "kynkaanniemi": Convention(3, strict=False),
}


def neighbourhood(
    real: np.ndarray | Rows,
    samples: np.ndarray | Rows,
    k: int | None = None,
    *,
    convention: str = "mozart",
    run: Run = here,
) -> dict[str, Estimate]:
    """precision, recall, f1, density, coverage and duplicate_rate of `samples` `[m, d]` against `real` `[n, d]`.

    Args:
        k: another number of neighbours than the convention's.
        convention: one of CONVENTIONS.

    Raises:
        DataError: no more than k examples on a side, or of different widths.
    """
    rule = CONVENTIONS[convention]
    compared = compare(
        real, samples, k or rule.k, strict=rule.strict, two_sample=False, kernel=False, run=run
    )
    return neighbourhood_of(compared)


def neighbourhood_of(compared: Comparison) -> dict[str, Estimate]:
    """See `neighbourhood`. Intervals are over the examples asked, the balls being what they are: a share's
    is Wilson's. NaN, said so, where a value is not finite.
    """
    if not compared.finite:
        names = ("precision", "recall", "f1", "density", "coverage", "duplicate_rate")
        return {name: Estimate(math.nan, why=NOT_FINITE) for name in names}
    n, m, k = compared.n, compared.m, compared.k
    precision, recall = intervals.share(compared.inside()), intervals.share(compared.reached)
    coverage = replace(intervals.share(compared.covered), extra={"expected": expected_coverage(n, m, k)})
    repeats = {
        name: count / size for (name, count), size in zip(compared.repeats.items(), (n, m), strict=True)
    }
    return {
        "precision": precision,
        "recall": recall,
        "f1": _f1(precision, recall),
        "density": intervals.mean(compared.balls / k),
        "coverage": coverage,
        "duplicate_rate": replace(intervals.exactly(repeats[SAMPLES]), extra={"real": repeats[REAL]}),
    }


def expected_coverage(n: int, m: int, k: int) -> float:
    """What `m` samples of the very distribution of `n` real examples cover: 1 - Π (n - i)/(m + n - i), i to k.

    1 - 2⁻ᵏ for many and n = m (Naeem et al. 2020, lemma 2): the coverage of a perfect model is not 1.
    """
    return 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))


def _f1(precision: Estimate, recall: Estimate) -> Estimate:
    """2PR/(P + R), with the two intervals carried over by its slopes (Zou & Donner 2008)."""

    def f1(p: float, r: float) -> float:
        return 2 * p * r / max(1e-5, p + r)

    p, r = precision.value, recall.value
    slopes = [2 * (other / max(1e-5, p + r)) ** 2 for other in (r, p)]
    parts = list(zip(slopes, (precision, recall), strict=True))
    low = f1(p, r) - math.hypot(*(slope * (part.value - part.low) for slope, part in parts))
    high = f1(p, r) + math.hypot(*(slope * (part.high - part.value) for slope, part in parts))
    if not p + r:
        high = f1(precision.high, recall.high)
    without = tuple(f1(*pair) for pair in zip(precision.without, recall.without, strict=False))
    if len(precision.without) != len(recall.without):
        without = ()
    return Estimate(f1(p, r), max(low, 0.0), min(high, 1.0), "Wilson, of both shares", without=without)


def two_sample(real: np.ndarray | Rows, samples: np.ndarray | Rows, *, run: Run = here) -> Estimate:
    """1-NN two-sample test of `samples` `[m, d]` and `real` `[n, d]`: see `two_sample_of`."""
    return two_sample_of(compare(real, samples, balls=False, kernel=False, run=run))


def two_sample_of(compared: Comparison) -> Estimate:
    """The share of all rows whose nearest other row is of their own set: 0.5 where nothing tells the sets
    apart (Lopez-Paz & Oquab 2017), which takes as many samples as real examples.

    `extra` has the share of each half: below 0.5 for samples that are copies, near 1 for the real half of
    a collapsed model. A tie counts as half. Rows that are each other's nearest are right or wrong
    together: Wilson's interval is for so many fewer rows (Schilling 1986).

    Raises:
        DataError: fewer than two on a side.
    """
    if min(compared.n, compared.m) < 2:
        raise DataError(
            f"a 1-NN test needs two examples on each side, and there are {compared.n} real and {compared.m} "
            "samples: give more"
        )
    if not compared.finite:
        return Estimate(math.nan, why=NOT_FINITE)
    flags, nearest_of = [], []  # of all rows, the real ones first
    for name, own_start, other_start in ((REAL, 0, compared.n), (SAMPLES, compared.n, 0)):
        own, cross = compared.own[name], compared.cross[name]
        flags.append(np.where(own == cross, 0.5, own < cross))
        own_index, cross_index = compared.own_index[name], compared.cross_index[name]
        nearest_of.append(np.where(own <= cross, own_index + own_start, cross_index + other_start))
    every, whose = np.concatenate(flags), np.concatenate(nearest_of)
    mutual = float((whose[whose] == np.arange(len(whose))).mean())
    value, rows = float(every.mean()), round(len(every) / (1 + mutual))
    found = intervals.wilson(round(value * rows), rows)
    halves = {name: float(flag.mean()) for name, flag in zip((REAL, SAMPLES), flags, strict=True)}
    extra = {**halves, "ties": int((every == 0.5).sum()), "mutual": mutual}
    return replace(found, value=value, low=min(found.low, value), high=max(found.high, value), extra=extra)


def realism(
    real: np.ndarray | Rows, samples: np.ndarray | Rows, k: int = 3, *, run: Run = here
) -> np.ndarray:
    """How far inside the support of `real` each sample lies, float64 `[m]`: the largest ratio of a real
    example's radius to its distance, over balls no larger than the median one (Kynkäänniemi et al. 2019).

    Above 1 inside of such a ball, infinite for a copy. NaN where a value is not finite.

    Raises:
        DataError: no more than k examples on a side.
    """
    compared = compare(real, samples, k, two_sample=False, kernel=False, realism=True, run=run)
    return compared.realism if compared.finite else np.full(compared.m, math.nan)

"""Metrics of neighbours: precision, recall, density, coverage, the 1-NN test, and copies of training examples.

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
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.closest import nearest_rows
from components.metrics.comparison import REAL, SAMPLES, Comparison, compare
from components.metrics.intervals import Estimate
from components.metrics.pairs import Run, here
from components.metrics.rows import Frame, InMemory, Rows, rows_of

EVIDENCE = 20  # pairs of a sample and a training example that are shown
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

    Above 1 inside of such a ball. From 256 features on it holds to three digits (float32). NaN where a
    value is not finite.

    Raises:
        DataError: no more than k examples on a side.
    """
    compared = compare(real, samples, k, two_sample=False, kernel=False, realism=True, run=run)
    return compared.realism if compared.finite else np.full(compared.m, math.nan)


def nearest(
    samples: np.ndarray | Rows, training: np.ndarray | Rows, *, run: Run = here
) -> tuple[np.ndarray, np.ndarray]:
    """Index `[m]` of and distance `[m]` to the nearest training example of each sample.

    Arrays of any equal trailing shape are taken as flat vectors. Of equally near examples one counts,
    always the same. All distances are NaN where a value is not finite.

    Raises:
        DataError: no training examples, or of another width.
    """
    rows, known = rows_of(samples), rows_of(training)
    if not len(known):
        raise DataError("there are no training examples to look for neighbours in")
    frame = Frame.of(known, rows) if len(rows) else None
    if frame is None:
        return np.zeros(len(rows), np.int64), np.full(len(rows), math.nan)
    squared, index = nearest_rows(rows, known, 1, frame, run=run)
    return index[:, 0], frame.distance(squared[:, 0])


@dataclass(frozen=True)
class Copies:
    """What a search for copies of training examples found, by one rule for samples and held-out examples."""

    rate: Estimate  # share of samples that are copies
    expected: Estimate  # share of held-out examples that the same rule calls copies
    excess: Estimate  # rate - expected
    authentic: (
        Estimate  # share of samples further from their nearest training example than that is from its own
    )
    threshold: float  # distance below which a sample is a copy
    pairs: tuple[dict[str, Any], ...]  # the nearest: {"sample", "training", "distance"}, at most EVIDENCE


def copies(
    samples: np.ndarray | Rows,
    training: np.ndarray | Rows,
    held_out: np.ndarray | Rows,
    quantile: float = 0.01,
    *,
    run: Run = here,
) -> Copies:
    """How many of `samples` lie nearer to a training example than unseen real ones do.

    A copy is nearer to its nearest training example than the `quantile` of `held_out` examples, or
    equal to one. Strictly nearer, because distances of binary or coarse images tie: with "at most"
    a twentieth of honest samples could sit on the threshold and count. Equal ones count even where
    the threshold is 0 (held-out data with duplicates of training data); `expected` says how many
    held-out examples the same rule would call copies. The interval of `excess` takes both shares as
    uncertain, since the threshold is an estimate. `authentic`: Alaa et al. (2022).

    Raises:
        DataError: one of the three is empty, or of another width.
    """
    rows, known, unseen = rows_of(samples), rows_of(training), rows_of(held_out)
    if not len(rows) or not len(unseen):
        raise DataError(f"a copy rate needs samples and held-out examples: {len(rows)} and {len(unseen)}")
    if not len(known):
        raise DataError("there are no training examples to look for neighbours in")
    frame = Frame.of(known, rows, unseen)
    if frame is None:
        nan = Estimate(math.nan, why=NOT_FINITE)
        return Copies(nan, nan, nan, nan, math.nan, ())
    sizes = frame.sizes(known)
    squared, index = nearest_rows(rows, known, 1, frame, sizes=sizes, run=run)
    theirs, _ = nearest_rows(unseen, known, 1, frame, sizes=sizes, run=run)
    own, others = (frame.distance(part[:, 0]) for part in (squared, theirs))
    threshold = float(np.quantile(others, quantile))
    rate, expected = (_share((part < threshold) | (part == 0)) for part in (own, others))
    first = np.argsort(own, kind="stable")[:EVIDENCE].tolist()
    return Copies(
        rate,
        expected,
        intervals.difference(rate, expected),
        _share(squared[:, 0] > _apart(known, index[:, 0], frame, sizes, run)),
        threshold,
        tuple({"sample": i, "training": int(index[i, 0]), "distance": float(own[i])} for i in first),
    )


def _apart(known: Rows, index: np.ndarray, frame: Frame, sizes: np.ndarray, run: Run) -> np.ndarray:
    """Squared distance `[m]` of the training examples at `index` to their nearest other one."""
    if len(known) == 1:
        return np.zeros(len(index))
    places, back = np.unique(index, return_inverse=True)
    rows = InMemory(known.take(places), known.block)
    return nearest_rows(rows, known, 1, frame, own=places, sizes=sizes, run=run)[0][back, 0]


def _share(flags: np.ndarray) -> Estimate:
    """Wilson's share, without what it is on each shard: two sets that are not paired are compared."""
    return intervals.wilson(int(flags.sum()), len(flags))


def precision_recall(real: np.ndarray, samples: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Precision and recall alone: see `neighbourhood`."""
    found = neighbourhood(real, samples, k)
    return found["precision"].value, found["recall"].value


def copy_rate(
    samples: np.ndarray, training: np.ndarray, held_out: np.ndarray, quantile: float = 0.01
) -> float:
    """The share of samples that are copies: see `copies`. An honest model shows about `quantile`."""
    return copies(samples, training, held_out, quantile).rate.value

"""Copies of training examples among samples, by a rule calibrated on examples that were held out.

Distances are Euclidean and exact (components.metrics.pairs); those that differ by rounding alone are equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.closest import nearest_rows
from components.metrics.intervals import Estimate
from components.metrics.pairs import Run, here
from components.metrics.rows import Frame, InMemory, Rows, rows_of

EVIDENCE = 20  # pairs of a sample and a training example that are shown


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
    held-out examples the same rule calls copies, each by the threshold of the others: as a sample has
    no part in it either. The interval of `excess` takes both shares as
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
        nan = Estimate(math.nan, why="a feature is not finite")
        return Copies(nan, nan, nan, nan, math.nan, ())
    sizes = frame.sizes(known)
    squared, index = nearest_rows(rows, known, 1, frame, sizes=sizes, run=run)
    theirs, _ = nearest_rows(unseen, known, 1, frame, sizes=sizes, run=run)
    own, others = (frame.distance(part[:, 0]) for part in (squared, theirs))
    threshold = float(np.quantile(others, quantile))
    rate = _share((own < threshold) | (own == 0))
    expected = _share((others < _without_each(others, quantile)) | (others == 0))
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


def _without_each(values: np.ndarray, quantile: float) -> np.ndarray:
    """The `quantile` of `values` `[n]` without each of them, as np.quantile interpolates; alone, itself."""
    if len(values) == 1:
        return values
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values))
    place = quantile * (len(values) - 2)
    near = [int(place), min(int(place) + 1, len(values) - 2)]
    low, high = (values[order][rank + (rank >= ranks)] for rank in near)
    return low + (high - low) * (place - near[0])


def _share(flags: np.ndarray) -> Estimate:
    """Wilson's share, without what it is on each shard: two sets that are not paired are compared."""
    return intervals.wilson(int(flags.sum()), len(flags))

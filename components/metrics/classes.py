"""Classes that a classifier sees in samples: their shares, how far those are from the real ones, and whether
a conditional model draws what it was asked for. Mode collapse and unequal treatment show here first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import SHARDS, Estimate, shard_of


def class_shares(predicted: np.ndarray, classes: int) -> np.ndarray:
    """The share `[classes]` of each class among `predicted` (int `[n]`, each in [0, classes)).

    Raises:
        ValueError: nothing predicted, or a class out of range.
    """
    predicted = np.asarray(predicted)
    if not predicted.size or predicted.min() < 0 or predicted.max() >= classes:
        raise ValueError(f"predictions are one or more classes from 0 to {classes - 1}")
    return np.bincount(predicted, minlength=classes) / predicted.size


def share_intervals(predicted: np.ndarray, classes: int) -> list[Estimate]:
    """The share of each class with Wilson's interval, in the order of the classes. Errors as `class_shares`."""
    class_shares(predicted, classes)
    return [intervals.share(np.asarray(predicted) == c) for c in range(classes)]


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """½ Σ |p - q| of two distributions `[C]`: 0 where equal, 1 where they share no class."""
    return float(np.abs(np.asarray(p, np.float64) - np.asarray(q, np.float64)).sum() / 2)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two distributions `[C]` in bits (Lin 1991): 0 where equal, 1 where they
    share no class."""
    p, q = (np.asarray(part, np.float64) for part in (p, q))
    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        return math.nan
    middle = (p + q) / 2
    total = 0.0
    for part in (p, q):
        held = part > 0
        total += float((part[held] * np.log2(part[held] / middle[held])).sum()) / 2
    return max(total, 0.0)


def histogram_distance(predicted: np.ndarray, real: np.ndarray, classes: int) -> Estimate:
    """Total variation between the class shares of samples `[n]` and of real examples `[m]`.

    Two finite sets are never equal, so the plain distance (`extra["plain"]`) is too large: the value is the
    jackknife's. Its correction is in doubt near 0, where the distance has a corner; so the upper bound is
    taken around the plain value, and the lower one is 0 unless the plain value is out of what two sets of
    the same shares give. `extra["jensen_shannon"]` is the plain divergence in bits.

    Raises:
        ValueError: nothing predicted, or a class out of range.
    """
    sides = [np.asarray(side) for side in (predicted, real)]
    shares = [class_shares(side, classes) for side in sides]
    whole = total_variation(*shares)
    extra = {"plain": whole, "jensen_shannon": jensen_shannon(*shares)}
    if min(map(len, sides)) < 2 * SHARDS:
        return Estimate(whole, why=f"{min(map(len, sides))} examples are fewer than two a shard", extra=extra)
    without = [
        total_variation(*(class_shares(side[shard_of(len(side)) != k], classes) for side in sides))
        for k in range(SHARDS)
    ]
    found = intervals.jackknife(whole, without)
    pooled = np.average(shares, axis=0, weights=[len(side) for side in sides])
    spread = np.sqrt(pooled * (1 - pooled) * sum(1 / len(side) for side in sides))
    # Were the shares equal, each difference were normal: its absolute value has mean s √(2/π).
    chance = spread.sum() / 2 * math.sqrt(2 / math.pi)
    chance += 1.96 * math.sqrt(np.square(spread).sum() * (1 - 2 / math.pi)) / 2
    return replace(
        found,
        value=min(max(found.value, 0.0), 1.0),
        low=max(found.low, 0.0) if whole > chance else 0.0,
        high=min(whole + (found.high - found.value), 1.0),
        extra={**found.extra, **extra},
    )


def classes_covered(shares: np.ndarray, real_shares: np.ndarray, fraction: float = 0.25) -> int:
    """How many classes get at least `fraction` of their real share; absent classes do not count."""
    shares, real_shares = np.asarray(shares), np.asarray(real_shares)
    return int(((shares >= fraction * real_shares) & (real_shares > 0)).sum())


def agreement(
    predicted: np.ndarray, wanted: np.ndarray, names: Sequence[str] | None = None
) -> dict[str, Estimate]:
    """How often a conditional model draws what it was asked for, as a classifier sees it; Wilson intervals.

    Of labels `[n]`: `accuracy`, and `accuracy/NAME` of each class that was asked for. Of attributes
    `[n, A]`: `accuracy` is the share of samples with all of them right, and `accuracy/NAME` of each
    attribute. Either way `accuracy` has the `worst` name and its share in `extra`. What the classifier
    itself gets wrong counts against the model: compare with the same number on real examples.

    Args:
        predicted: int labels `[n]`, or 0 and 1 `[n, A]`.
        wanted: what was asked for, of the same shape.
        names: of the classes or attributes; their numbers otherwise.

    Raises:
        DataError: no samples, shapes that differ, or too few names.
    """
    predicted, wanted = np.asarray(predicted), np.asarray(wanted)
    if predicted.shape != wanted.shape or predicted.ndim not in (1, 2) or not len(predicted):
        raise DataError(
            f"agreement compares labels [n] or attributes [n, A] one by one, n > 0, and these are "
            f"{list(predicted.shape)} and {list(wanted.shape)}"
        )
    right = predicted == wanted
    if predicted.ndim == 1:
        parts = {int(c): right[wanted == c] for c in np.unique(wanted)}
    else:
        parts = {a: right[:, a] for a in range(right.shape[1])}
        right = right.all(axis=1)
    if names is not None and len(names) <= max(parts):
        raise DataError(f"there are {len(names)} names, and class or attribute {max(parts)} has none")
    found = {
        f"{key if names is None else names[key]}": intervals.share(flags) for key, flags in parts.items()
    }
    worst = min(found, key=lambda name: found[name].value)
    extra: dict[str, Any] = {"worst": worst, "worst_share": found[worst].value}
    whole = replace(intervals.share(right), extra=extra)
    return {"accuracy": whole, **{f"accuracy/{name}": part for name, part in found.items()}}

"""How alike two distributions are: total variation, Jensen–Shannon, KL and the overlapping area.

KL and overlapping area are those of smoothed densities (the idea of MGEval; Yang & Lerch 2020), both taken
at the same places: one grid over the union of both sets. On a grid each, as MGEval has it, a set and the
same set moved by 1000 would look equal.

Each distance is a function of sums over rows, so that a jackknife leaves out a shard of both sets at a time.
It takes away a bias that goes with 1/n, that of Jensen–Shannon and KL: percentiles of a bootstrap would not,
as that draws noise in again. Total variation and the overlapping area have a bias that goes with the root of
1/n, and bounds of their own (`variation`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from components.metrics.intervals import SHARDS, Estimate, jackknife, shard_of

SKEW = 0.001  # of p in the q of KL: which is then at most ln 1000 = 6.9 nats, never infinite
CELLS = 4  # of the grid in a bandwidth
REACH = 4 * CELLS  # of the kernel, in cells

Without = Callable[[int], np.ndarray]  # shard k → counts of all rows but its own; -1: of all rows
Statistic = Callable[[np.ndarray, np.ndarray], float]


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Half of Σ|p - q|, of two distributions over the same cells, given as counts or weights."""
    return float(np.abs(_difference(p, q)).sum() / 2)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen–Shannon divergence in bits, 0 to 1, of two distributions given as counts or weights."""
    p, q = p / p.sum(), q / q.sum()
    middle, found = (p + q) / 2, 0.0
    for one in (p, q):
        inside = one > 0
        found += float((one[inside] * np.log2(one[inside] / middle[inside])).sum()) / 2
    return max(found, 0.0)


def kullback_leibler(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p ‖ 0.999 q + 0.001 p) in nats: the skew divergence (Lee 1999), 0 only where they are equal and at
    most 6.9 where nothing of p is in q."""
    p, q = p / p.sum(), q / q.sum()
    inside = p > 0
    p, q = p[inside], q[inside]
    return max(float((p * np.log(p / ((1 - SKEW) * q + SKEW * p))).sum()), 0.0)


def compared(statistic: Statistic, own: Without, other: Without, rows: int) -> Estimate:
    """`statistic` of the counts of two sets, with the jackknife of shards of both; `rows` are those of the
    smaller set."""
    whole = own(-1), other(-1)
    if not (whole[0].any() and whole[1].any()):
        return Estimate(math.nan, why="there is nothing to count on one side")
    value = statistic(*whole)
    if rows < 2 * SHARDS:
        return Estimate(value, why=f"{rows} rows are fewer than two a shard")
    rest = [(own(k), other(k)) for k in range(SHARDS)]
    if not all(a.any() and b.any() for a, b in rest):
        return Estimate(value, why="without some shard there is nothing to count")
    return jackknife(value, [statistic(a, b) for a, b in rest])


def variation(own: Without, other: Without, rows: int) -> Estimate:
    """Total variation of the counts of two sets, see `compared`.

    Chance makes it larger: by the triangle inequality the true one is at least the estimate less half of
    Σ|noise|, whose mean (`by_chance` in `extra`: what two equal sets would show) comes from the spread of each
    cell over the shards; by Jensen's the estimate is on average no smaller than the truth. The value is
    corrected by the jackknife, which takes away about half of the bias.
    """
    found = compared(total_variation, own, other, rows)
    if not found.estimable:
        return found
    whole = _difference(own(-1), other(-1))
    sums, squares = np.zeros_like(whole), np.zeros_like(whole)
    for k in range(SHARDS):
        change = _difference(own(k), other(k)) - whole
        sums += change
        squares += np.square(change)
    spread = np.maximum(squares - np.square(sums) / SHARDS, 0) * (SHARDS - 1) / SHARDS
    chance = math.sqrt(2 / math.pi) * float(np.sqrt(spread).sum()) / 2
    half = found.high - found.value
    return replace(
        found,
        value=max(found.value, 0.0),
        low=max(found.plain - chance - half, 0.0),
        high=min(found.plain + half, 1.0),
        method=f"{found.method}, bounds of a norm",
        extra={**found.extra, "by_chance": chance},
    )


def _difference(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return p / p.sum() - q / q.sum()


def overlapping_area(own: Without, other: Without, rows: int) -> Estimate:
    """∫ min(p, q), 0 to 1: what total variation leaves of 1, with its bounds."""
    found = variation(own, other, rows)
    turned = {"plain": 1 - found.plain}
    without = tuple(1 - value for value in found.without)
    return replace(
        found,
        value=1 - found.value,
        low=1 - found.high,
        high=1 - found.low,
        extra={**found.extra, **turned},
        without=without,
    )


def histogram_distance(samples: np.ndarray, real: np.ndarray) -> Estimate:
    """Jensen–Shannon divergence in bits of the mean histograms of rows `[n, cells]` and `[m, cells]`.

    Each row is first made to sum to one, so that a long piece counts as much as a short one. Rows that sum
    to nothing are left out; `extra` has how many.
    """
    sides, counts, empty = [], [], []
    for rows in (samples, real):
        rows = np.asarray(rows, np.float64)
        sums = rows.sum(axis=1, keepdims=True)
        sides.append(_without(np.divide(rows, sums, out=np.zeros_like(rows), where=sums > 0)))
        counts.append(int((sums > 0).sum()))
        empty.append(len(rows) - counts[-1])
    found = compared(jensen_shannon, sides[0], sides[1], min(counts))
    return replace(found, extra={**found.extra, "empty": empty[0], "real_empty": empty[1]})


def _without(rows: np.ndarray) -> Without:
    table = np.zeros((SHARDS, rows.shape[1]))
    np.add.at(table, shard_of(len(rows)), rows)
    return lambda k: table[np.arange(SHARDS) != k].sum(axis=0)


def density_distances(samples: np.ndarray, real: np.ndarray) -> tuple[Estimate, Estimate]:
    """KL(real ‖ samples) in nats and the overlapping area of the densities of values `[n]` and `[m]`.

    Values that are not finite are left out; `extra` has how many (`empty`, `real_empty`), the means of both
    sets and the bandwidth: Scott's (1992) of the real values; of the samples where the real ones are all
    equal; a hundredth of the range where all samples are too.
    """
    parts = [np.asarray(values, np.float64).ravel() for values in (samples, real)]
    finite = [np.isfinite(values) for values in parts]
    kept = [values[rows] for values, rows in zip(parts, finite, strict=True)]
    empty, real_empty = (len(part) - len(rest) for part, rest in zip(parts, kept, strict=True))
    extra: dict[str, float] = {"empty": empty, "real_empty": real_empty}
    if not (len(kept[0]) and len(kept[1])):
        nothing = Estimate(math.nan, why="there is no finite value on one side", extra=dict(extra))
        return nothing, nothing
    width = _bandwidth(*kept)
    cells = _one_grid(kept[0], kept[1], width / CELLS)
    size = int(max(cell.max() for cell in cells)) + 1
    kernel = np.exp(-np.square(np.arange(-REACH, REACH + 1) / CELLS) / 2)

    def side(cell: np.ndarray, rows: np.ndarray) -> Without:
        shard = shard_of(len(rows))[rows]
        return lambda k: np.convolve(np.bincount(cell[shard != k], minlength=size), kernel)

    sides = side(cells[0], finite[0]), side(cells[1], finite[1])
    extra |= {"mean": float(kept[0].mean()), "real_mean": float(kept[1].mean()), "bandwidth": width}
    rows = min(len(kept[0]), len(kept[1]))
    divergence = compared(lambda own, other: kullback_leibler(other, own), *sides, rows)
    area = overlapping_area(*sides, rows)
    return replace(divergence, extra={**divergence.extra, **extra}), replace(
        area, extra={**area.extra, **extra}
    )


def _bandwidth(samples: np.ndarray, real: np.ndarray) -> float:
    for values in (real, samples):
        spread = float(values.std())
        if spread > 1e-9 * float(np.abs(values).max()):
            return spread * len(values) ** -0.2
    return float(abs(samples.mean() - real.mean())) / 100 or 1.0


def _one_grid(samples: np.ndarray, real: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """The cell int64 of each value on one grid. Stretches that no kernel reaches are cut out of it, so that
    its size is bounded whatever the values are."""
    both = np.concatenate([samples, real])
    places, which = np.unique(np.floor((both - both.min()) / width), return_inverse=True)
    steps = np.minimum(np.diff(places), 2 * REACH + 1).astype(np.int64)
    cell = np.concatenate([[0], np.cumsum(steps)])[which]
    return cell[: len(samples)], cell[len(samples) :]

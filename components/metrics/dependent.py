"""Intervals where rows depend on one another: whole series, users or stretches of time are drawn, not rows.

Each metric here is a function of sums over units (a series, a user, a step of time), so that drawing units
again costs next to nothing whatever the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.errors import DataError
from components.metrics.intervals import LEVEL, Estimate, student, wilson

FEWEST = 5  # units below which their spread says nothing
REPLICATES = 1000
MOST = 2000  # units that are drawn from
AT_ONCE = 2**18  # units drawn in one go: 2 MB


@dataclass(frozen=True)
class Units:
    """What is drawn: the unit `of` int64 each row, how many there are, the `block` of neighbouring units
    drawn together, and their `name` for people."""

    of: np.ndarray
    count: int
    block: int
    name: str

    @property
    def independent(self) -> int:
        """How many draws there are to take: units, or blocks of them."""
        return self.count // self.block

    def merged(self, most: int = MOST) -> Units:
        """At most so many units, so that drawing them costs the same for any number of rows: independent
        ones are dealt out, ordered ones joined with their neighbours."""
        if self.count <= most:
            return self
        if self.block == 1:
            return replace(self, of=self.of % most, count=most, name=f"groups of {self.name}")
        of, count = self.of * most // self.count, most
        block = max(2, -(-self.block * most // self.count))
        return replace(self, of=of, count=count, block=block)

    def sums(self, *columns: np.ndarray) -> np.ndarray:
        """The sums `[count, columns]` over the rows of each unit; each column is of the shape of `of`."""
        rows = self.of.ravel()
        return np.stack([np.bincount(rows, np.ravel(c).astype(np.float64), self.count) for c in columns], 1)


def units_of(groups: np.ndarray, name: str) -> Units:
    """Rows with the same number in `groups` int `[n]` are one unit."""
    numbers, of = np.unique(np.asarray(groups), return_inverse=True)
    return Units(of.reshape(np.shape(groups)), len(numbers), 1, name)


def again(sums: np.ndarray, units: Units, *, seed: int = 0, replicates: int = REPLICATES) -> np.ndarray:
    """The total of `sums` `[count, columns]` over units drawn again, `[replicates, columns]`: as many as there
    are, with replacement (Efron 1979), in runs of neighbours where a block has several (Künsch 1989)."""
    random = np.random.default_rng(seed)
    blocks, offsets = -(-units.count // units.block), np.arange(units.block)
    found = np.empty((replicates, sums.shape[1]))
    step = max(1, AT_ONCE // units.count)
    for first in range(0, replicates, step):
        size = min(step, replicates - first)
        starts = random.integers(0, units.count - units.block + 1, (size, blocks))
        chosen = (starts[..., None] + offsets).reshape(size, -1)[:, : units.count]
        flat = (chosen + units.count * np.arange(size)[:, None]).ravel()
        times = np.bincount(flat, minlength=size * units.count).reshape(size, units.count)
        found[first : first + size] = times @ sums
    return found


def drawn(
    sums: np.ndarray, units: Units, statistic: Callable[[np.ndarray], np.ndarray], *, seed: int = 0
) -> Estimate:
    """`statistic` (`[..., columns]` → `[...]`) of the total of the unit sums `[count, columns]`, with a
    bootstrap over the units.

    The percentile interval is widened to Student's, as it is too narrow for few units (Hesterberg 2015,
    "What teachers should know about the bootstrap": expanded percentiles).
    """
    whole = float(statistic(sums.sum(axis=0)))
    if not math.isfinite(whole):
        return Estimate(whole, why="a value is not finite")
    if units.independent < FEWEST:
        return Estimate(whole, why=_few(units))
    found = statistic(again(sums, units, seed=seed))
    if not np.isfinite(found).all():
        return Estimate(whole, why=f"without some {units.name} there is nothing to count")
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    wider = _wider(units.independent)
    low, high = (whole + wider * (float(bound) - whole) for bound in (low, high))
    return Estimate(whole, low, high, _method(units))


def ratio_over(above: np.ndarray, below: np.ndarray, units: Units, *, seed: int = 0) -> Estimate:
    """Σ above / Σ below over all rows, with a bootstrap over the units that have any. NaN where Σ below is 0.

    Args:
        above: a number for each row, of the shape of `units.of`.
        below: the weight of each row, at least 0; one of 0 leaves the row out.
    """
    sums = units.sums(above, below)
    if not sums[:, 1].sum() > 0:
        return Estimate(math.nan, why="there is nothing to count")
    if units.block == 1:
        sums = sums[sums[:, 1] > 0]
        units = replace(units, count=len(sums))
    return drawn(sums, units, _ratio, seed=seed)


def share_over(hits: np.ndarray, below: np.ndarray, units: Units, *, seed: int = 0) -> Estimate:
    """As `ratio_over` for a share of hits. Where all or none are hits, drawing again shows no spread: the
    interval is then Wilson's for as many trials as there are units."""
    found = ratio_over(hits, below, units, seed=seed)
    if found.estimable and found.value in (0.0, 1.0):
        trials = units.independent
        bounds = wilson(round(found.value * trials), trials)
        return replace(bounds, method=f"Wilson over {trials} {units.name}")
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0)) if found.estimable else found


def distance_over(
    a: np.ndarray,
    b: np.ndarray,
    norm: Callable[[np.ndarray], np.ndarray],
    units: tuple[Units, Units],
    *,
    value: float | None = None,
    seed: int = 0,
) -> Estimate:
    """‖mean a - mean b‖ of rows `a` `[n, p]` and `b` `[m, p]`, each entry's mean over the rows where it is
    not NaN, with `norm_bounds`; NaN where an entry is NaN in all rows of a side.

    Args:
        norm: a norm `[..., p]` → `[...]`.
        value: the distance where it is known better than from these rows.
    """
    means, drawn = [], []
    for number, (rows, one) in enumerate(zip((a, b), units, strict=True)):
        some = np.isfinite(rows)
        both = np.concatenate([np.where(some, rows, 0.0), some], axis=1)
        sums = np.zeros((one.count, both.shape[1]))
        np.add.at(sums, one.of, both)
        means.append(_mean(sums.sum(axis=0)))
        few = one.independent < FEWEST
        drawn.append(np.empty((0, rows.shape[1])) if few else _mean(again(sums, one, seed=2 * seed + number)))
    plain = float(norm(means[0] - means[1])) if value is None else value
    if min(len(part) for part in drawn) == 0:
        return norm_bounds(plain, np.empty(0), np.empty(0), units)
    between = drawn[0] - drawn[1]
    return norm_bounds(plain, norm(between), norm(between - (means[0] - means[1])), units)


def norm_bounds(value: float, replicates: np.ndarray, noise: np.ndarray, units: Sequence[Units]) -> Estimate:
    """Bounds for a norm ‖a - b‖ of two averages that is estimated as `value` and so is too large by chance.

    The triangle inequality bounds it from below, value - ‖noise‖, which is 0 where the two may be equal;
    Jensen's (a norm is convex: its estimate is too large on average) from above, where only the spread of
    the estimate is added. An interval of percentiles would lie above the truth.

    Args:
        replicates: the norm of averages drawn again, `[R]`.
        noise: the norm of what drawing again changed, `[R]`.
        units: what was drawn on each side.
    """
    fewest = min(units, key=lambda one: one.independent)
    if fewest.independent < FEWEST:
        return Estimate(value, why=_few(fewest))
    if not (math.isfinite(value) and np.isfinite(replicates).all() and np.isfinite(noise).all()):
        return Estimate(value, why="a value is not finite")
    wider = _wider(fewest.independent)
    low = value - wider * float(np.quantile(noise, (1 + LEVEL) / 2))
    high = value + wider * float(replicates.mean() - np.quantile(replicates, (1 - LEVEL) / 2))
    return Estimate(value, max(low, 0.0), high, f"{_method(fewest)}, bounds of a norm")


def _few(units: Units) -> str:
    return f"{units.independent} {units.name} are fewer than {FEWEST}"


def _method(units: Units) -> str:
    return f"bootstrap over {units.independent} {units.name}"


def _wider(count: int) -> float:
    """Student's quantile over the normal one, with the variance's n / (n - 1)."""
    return student(count - 1) / student(10**9) * math.sqrt(count / (count - 1))


def _mean(sums: np.ndarray) -> np.ndarray:
    """Means `[..., p]` from sums and counts side by side `[..., 2 p]`."""
    half = sums.shape[-1] // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., :half] / sums[..., half:]


def _ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def check_shape(name: str, values: np.ndarray, dimensions: int, like: str) -> np.ndarray:
    """`values` as float64 with so many dimensions and at least one row.

    Raises:
        DataError: another number of dimensions, or nothing in it.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != dimensions or not values.size:
        raise DataError(f"{name} has shape {list(values.shape)}: give {like} with at least one entry")
    return values

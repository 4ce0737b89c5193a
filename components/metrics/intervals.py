"""A number with its interval: what every metric returns, and the ways by which an interval is found.

Bounds are of 95 %. Where the examples do not carry one, the bounds are NaN and `why` says so: a gate
then has nothing to decide on, which is better than a bound that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from components.errors import DataError

LEVEL = 0.95
SHARDS = 20  # that a set of rows is cut into for the jackknife


@dataclass(frozen=True)
class Estimate:
    """`value` with bounds `low` and `high`, the `method` of the interval or `why` there is none.

    `extra` is what else belongs to the number (JSON-like), such as the uncorrected value as `plain`.
    `without` `[SHARDS]` are the values without each shard of the rows, where they are known: two estimates
    on the same shards then compare as a pair.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    method: str = ""
    why: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    without: tuple[float, ...] = field(default=(), repr=False)

    @property
    def estimable(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def plain(self) -> float:
        """The value before any correction: what `without` belongs to."""
        return float(self.extra.get("plain", self.value))

    def scaled(self, factor: float) -> Estimate:
        """This number times a positive factor."""
        numbers: dict[str, Any] = {
            name: factor * self.extra[name] for name in ("plain", "standard_error") if name in self.extra
        }
        without = tuple(factor * value for value in self.without)
        low, high = factor * self.low, factor * self.high
        extra = {**self.extra, **numbers}
        return Estimate(factor * self.value, low, high, self.method, self.why, extra, without)

    def mapped(self, rising: Callable[[float], float]) -> Estimate:
        """A rising function of the uncorrected number and of the bounds, such as exp of nats per token."""
        without = tuple(rising(value) for value in self.without)
        low, high = rising(self.low), rising(self.high)
        return Estimate(rising(self.plain), low, high, self.method, self.why, without=without)

    def told(self) -> dict[str, Any]:
        """As a record keeps it: value, bounds, how they were found or why there are none."""
        said: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        said |= {"interval": self.method} if self.estimable else {"no_interval": self.why}
        return {**said, **self.extra}


def shard_of(n: int) -> np.ndarray:
    """The shard int64 `[n]` of each of n rows, whose order is drawn by hash: row i is in i mod 20."""
    return np.arange(n) % SHARDS


def wilson(successes: int, n: int) -> Estimate:
    """A share with its score interval (Wilson 1927), sound also at 0 and at 1.

    Raises:
        DataError: nothing was counted, or more successes than trials.
    """
    if not 0 <= successes <= n or not n:
        raise DataError(f"a share needs 0 to n successes of n > 0 trials, and these are {successes} of {n}")
    z = _normal_quantile((1 + LEVEL) / 2)
    share, squared = successes / n, z * z
    centre = (share + squared / (2 * n)) / (1 + squared / n)
    half = z / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    # At the ends the bound is the end itself: rounding would cut off the value.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(share, low, high, "Wilson")


def share(flags: np.ndarray) -> Estimate:
    """The share of true ones among `flags` bool `[n]`: Wilson's interval, and what it is without each shard."""
    flags = np.asarray(flags, bool)
    found = wilson(int(flags.sum()), len(flags))
    return replace(found, without=_without(flags.astype(np.float64)))


def exactly(value: float) -> Estimate:
    """A count of what is there, which has no sampling error: its bounds are itself."""
    return Estimate(float(value), float(value), float(value), "counted")


def mean(values: np.ndarray) -> Estimate:
    """The mean of independent `values` `[n]` with Student's interval; `extra` has the standard error.

    Raises:
        DataError: no values.
    """
    values = np.asarray(values, np.float64).ravel()
    if not values.size:
        raise DataError("a mean needs at least one value")
    with np.errstate(invalid="ignore"):
        centre = float(values.mean())
    if not math.isfinite(centre):
        return Estimate(centre, why="a value is not finite")
    if values.size == 1:
        return Estimate(centre, why="one value has no spread")
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    half = student(values.size - 1) * error
    bounds = (centre - half, centre + half)
    return Estimate(
        centre, *bounds, "standard error", extra={"standard_error": error}, without=_without(values)
    )


def ratio(above: np.ndarray, below: np.ndarray) -> Estimate:
    """Σ above / Σ below of `[n]` rows each, such as nats by tokens: a ratio of sums, with the jackknife.

    Raises:
        DataError: no rows, or a sum below the line that is not positive.
    """
    above, below = (np.asarray(part, np.float64).ravel() for part in (above, below))
    if not above.size or above.size != below.size or not below.sum() > 0:
        raise DataError("a ratio of sums needs rows on both sides and a positive sum below the line")
    sums = [np.bincount(shard_of(len(part)), part, SHARDS) for part in (above, below)]
    whole = float(above.sum() / below.sum())
    rest = sums[1].sum() - sums[1]
    if above.size < 2 * SHARDS or not (rest > 0).all():
        return Estimate(whole, why=f"{above.size} rows are fewer than two a shard")
    return jackknife(whole, (sums[0].sum() - sums[0]) / rest)


def jackknife(whole: float, without: Sequence[float] | np.ndarray) -> Estimate:
    """Delete-a-shard jackknife (Quenouille 1956; Tukey 1958): value corrected for a bias in 1/n, with an
    interval of Student's t on K - 1 degrees; `extra` has the uncorrected value `plain`.

    Args:
        whole: the statistic of all rows.
        without: the statistic of all rows but those of shard k, `[K]`; the shards are of equal size.

    Raises:
        DataError: fewer than two shards.
    """
    parts = np.asarray(without, np.float64)
    count = len(parts)
    if count < 2:
        raise DataError(f"a jackknife needs two shards or more, and there are {count}")
    extra = {"plain": float(whole)}
    if not (math.isfinite(whole) and np.isfinite(parts).all()):
        return Estimate(float(whole), why="a value is not finite", extra=extra)
    centre = float(parts.mean())
    corrected = count * float(whole) - (count - 1) * centre
    error = math.sqrt((count - 1) / count * float(np.square(parts - centre).sum()))
    half = student(count - 1) * error
    return Estimate(
        corrected,
        corrected - half,
        corrected + half,
        f"jackknife of {count} shards",
        extra={**extra, "standard_error": error},
        without=tuple(parts.tolist()),
    )


def difference(own: Estimate, other: Estimate) -> Estimate:
    """`own` - `other`, of two models: as a pair where both know what they are without each shard (what
    they share then cancels), else from the two intervals as if they were independent, which is wider
    (Zou & Donner 2008)."""
    if len(own.without) == len(other.without) == SHARDS:
        paired = jackknife(own.plain - other.plain, np.subtract(own.without, other.without))
        if paired.estimable:
            return Estimate(paired.value, paired.low, paired.high, f"paired {paired.method}")
    value = own.value - other.value
    if not (own.estimable and other.estimable):
        return Estimate(value, why=own.why or other.why or "there is no interval")
    low = math.hypot(own.value - own.low, other.high - other.value)
    high = math.hypot(own.high - own.value, other.value - other.low)
    return Estimate(value, value - low, value + high, "two independent intervals")


def _without(values: np.ndarray) -> tuple[float, ...]:
    """The mean of `values` `[n]` without each shard; nothing for fewer rows than two a shard."""
    if len(values) < 2 * SHARDS:
        return ()
    shards = shard_of(len(values))
    sums, counts = np.bincount(shards, values, SHARDS), np.bincount(shards, minlength=SHARDS)
    return tuple(((sums.sum() - sums) / (len(values) - counts)).tolist())


def bootstrap(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    *,
    block: int = 1,
    replicates: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Percentile interval of `statistic` over resampled rows of `values` `[n, ...]` (Efron 1979).

    With `block` > 1 runs of so many neighbouring rows are drawn (Künsch 1989), for rows that depend on
    one another over time.

    Raises:
        DataError: no rows, or a block longer than they are.
    """
    values = np.asarray(values)
    n = len(values)
    if not n or block < 1 or block > n:
        raise DataError(f"a bootstrap draws blocks of 1 to n rows, and {block} of {n} were asked for")
    whole = float(statistic(values))
    if n < 2 * block:
        return Estimate(whole, why=f"{n} rows hold fewer than two blocks of {block}")
    random = np.random.default_rng(seed)
    offsets = np.arange(block)
    found = np.empty(replicates)
    for i in range(replicates):
        starts = random.integers(0, n - block + 1, -(-n // block))
        found[i] = statistic(values[(starts[:, None] + offsets).ravel()[:n]])
    if not (math.isfinite(whole) and np.isfinite(found).all()):
        return Estimate(whole, why="a value is not finite")
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    method = "bootstrap" if block == 1 else f"bootstrap of blocks of {block}"
    return Estimate(whole, float(low), float(high), method)


def holm(p: Sequence[float] | np.ndarray, level: float = 1 - LEVEL) -> np.ndarray:
    """Which hypotheses are rejected, bool `[m]`, with a chance of at most `level` of any false one (Holm
    1979). A NaN is never rejected and does not count."""
    p = np.asarray(p, np.float64)
    rejected = np.zeros(p.shape, bool)
    order = np.argsort(p, kind="stable")  # NaN last
    left = int(np.isfinite(p).sum())
    for place in order[:left]:
        if p[place] > level / left:
            break
        rejected[place] = True
        left -= 1
    return rejected


def student(degrees: int, level: float = LEVEL) -> float:
    """The two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))


def _normal_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))

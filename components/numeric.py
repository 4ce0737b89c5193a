"""Numbers of one feature: exact moments and a histogram, mergeable (see components.accumulators).

Moments merge by Chan, Golub & LeVeque 1979. Up to 1,024 distinct values the histogram is exact; beyond
that its buckets have a relative width, which is the idea of DDSketch (Masson, Rim & Lee 2019): a
quantile is at most 1 % off, and merging adds counts. Whether exact or in buckets depends on the values
only, never on how they were cut into parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from components.buckets import EXACT_VALUES, bounds_of, buckets_of, collapsed, histogram_of, middles, summed


@dataclass(frozen=True, eq=False)
class Numeric:
    """Numbers of one feature. `count`, the moments and the histogram are of the finite ones.

    Attributes:
        missing, nan, infinite: how many were None, not a number, infinite.
        mean, m2: the mean and the sum of squared deviations from it, float64.
        min, max: of the finite values; 0.0 where there are none.
        exact: whether `places` are values (float64, rising); bucket numbers (int64, rising) otherwise.
        counts: int64 `[len(places)]`.
    """

    count: int = 0
    missing: int = 0
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    mean: float = 0.0
    m2: float = 0.0
    min: float = 0.0
    max: float = 0.0
    exact: bool = True
    places: np.ndarray = field(default_factory=lambda: np.empty(0, np.float64))
    counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, values: Any, missing: int = 0) -> Numeric:
        """Numbers of any dtype and shape: a NumPy array, an Arrow array with nulls, or a sequence with
        None. `missing` more are known to be absent."""
        values, absent = _present(values)
        missing += absent
        if values.dtype == np.uint8 or values.dtype == np.bool_:
            counts = np.bincount(values.ravel(), minlength=256)
            return cls.of_counts(np.arange(len(counts)), counts, missing)
        values = values.astype(np.float64, copy=False).ravel() + 0.0  # -0.0 is 0.0
        finite = np.isfinite(values)
        nan, odd = 0, values.size - int(np.count_nonzero(finite))
        if odd:
            nan = int(np.count_nonzero(np.isnan(values)))
            values = values[finite]
        if not values.size:
            return cls(missing=missing, nan=nan, infinite=odd - nan)
        mean, m2 = _moments(values, np.ones(1))
        exact, places, counts = histogram_of(values)
        return cls(
            count=values.size,
            missing=missing,
            nan=nan,
            infinite=odd - nan,
            zeros=int(values.size - np.count_nonzero(values)),
            mean=mean,
            m2=m2,
            min=float(values.min()),
            max=float(values.max()),
            exact=exact,
            places=places,
            counts=counts,
        )

    @classmethod
    def of_counts(cls, values: Any, counts: Any, missing: int = 0) -> Numeric:
        """Distinct finite numbers and how often each occurs, both `[n]`: the quick way where they are
        counted already, as the 256 levels of pixels are."""
        values, counts = np.asarray(values, np.float64) + 0.0, np.asarray(counts, np.int64)
        kept = np.flatnonzero(counts)
        kept = kept[np.argsort(values[kept])]
        values, counts = values[kept], counts[kept]
        if not counts.size:
            return cls(missing=missing)
        mean, m2 = _moments(values, counts)
        made = cls(
            count=int(counts.sum()),
            missing=missing,
            zeros=int(counts[values == 0].sum()),
            mean=mean,
            m2=m2,
            min=float(values[0]),
            max=float(values[-1]),
            places=values,
            counts=counts,
        )
        return made if values.size <= EXACT_VALUES else made._in_buckets()

    def merge(self, other: Numeric) -> Numeric:
        """The statistics of both."""
        a, b = self, other
        if not (a.count and b.count):
            a, b = (a, b) if a.count else (b, a)  # a has the values, if there are any
            mean, m2, low, high = a.mean, a.m2, a.min, a.max
        else:
            low, high = min(a.min, b.min), max(a.max, b.max)
            mean, m2 = _merged_moments(a, b)
        if a.exact and b.exact:
            places, counts = _added(a, b)
        else:
            places, counts = collapsed(*_added(a._in_buckets(), b._in_buckets()))
        made = Numeric(
            count=a.count + b.count,
            missing=a.missing + b.missing,
            nan=a.nan + b.nan,
            infinite=a.infinite + b.infinite,
            zeros=a.zeros + b.zeros,
            mean=mean,
            m2=m2,
            min=low,
            max=high,
            exact=a.exact and b.exact,
            places=places,
            counts=counts,
        )
        return made._in_buckets() if made.exact and places.size > EXACT_VALUES else made

    @property
    def std(self) -> float:
        """Standard deviation of the finite values (of the population: over n); 0.0 without values."""
        return math.sqrt(self.m2 / self.count) if self.count else 0.0

    @property
    def total(self) -> int:
        """All that was given: numbers, missing, not a number, infinite."""
        return self.count + self.missing + self.nan + self.infinite

    @property
    def whole(self) -> bool:
        """Whether all values are known one by one and are whole numbers."""
        return self.exact and bool(np.all(self.places == np.rint(self.places)))

    @property
    def values(self) -> np.ndarray:
        """What each of `counts` stands for, float64, rising: the value itself, or its bucket's middle."""
        return self.places if self.exact else np.clip(middles(self.places), self.min, self.max)

    def quantile(self, q: float) -> float:
        """The value below which a share `q` in [0, 1] lies: NumPy's method "lower", exact or at most 1 %
        off; NaN without values."""
        if not self.count:
            return math.nan
        rank = math.floor(q * (self.count - 1))
        if rank == 0 or rank == self.count - 1:
            return self.max if rank else self.min
        return float(self.values[np.searchsorted(np.cumsum(self.counts), rank, side="right")])

    def histogram(
        self, bins: int = 20, low: float | None = None, high: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Counts int64 `[bins]` and edges float64 `[bins + 1]`, of equal width from `low` to `high`
        (by default the least and the greatest value). A bucket is taken to be evenly filled."""
        low, high = self.min if low is None else low, self.max if high is None else high
        if self.exact:
            counts, edges = np.histogram(self.places, bins, (low, high), weights=self.counts)
            return counts.astype(np.int64), edges
        edges = np.linspace(low, high, bins + 1)
        bounds = np.clip(np.stack(bounds_of(self.places), 1), self.min, self.max).ravel()
        below = np.concatenate([[0], np.cumsum(self.counts)])
        shares = np.interp(edges, bounds, np.stack([below[:-1], below[1:]], 1).ravel())
        return np.diff(np.rint(shares).astype(np.int64)), edges

    def as_json(self) -> dict[str, Any]:
        """JSON-like; `from_json` gives the same back."""
        return {
            "kind": "numeric",
            "count": self.count,
            "missing": self.missing,
            "nan": self.nan,
            "infinite": self.infinite,
            "zeros": self.zeros,
            "mean": self.mean,
            "m2": self.m2 if math.isfinite(self.m2) else None,  # squares of numbers beyond 1e154
            "min": self.min,
            "max": self.max,
            "exact": self.exact,
            "places": [_short(place) for place in self.places.tolist()],
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Numeric:
        """See as_json."""
        told = {key: value for key, value in told.items() if key != "kind"}
        return cls(
            **{
                **told,
                "m2": math.inf if told["m2"] is None else told["m2"],
                "places": np.array(told["places"], np.float64 if told["exact"] else np.int64),
                "counts": np.array(told["counts"], np.int64),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numeric) and self.as_json() == other.as_json()

    def _in_buckets(self) -> Numeric:
        """The same with bucket numbers in place of values."""
        if not self.exact:
            return self
        places, counts = summed(buckets_of(self.places), self.counts)
        places, counts = collapsed(places, counts)
        return Numeric(**{**self.__dict__, "exact": False, "places": places, "counts": counts})


def _present(values: Any) -> tuple[np.ndarray, int]:
    """The values that are not None, and how many are."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values, 0
    if isinstance(values, pa.Array | pa.ChunkedArray):
        present = values.drop_null()
        numbers = present.to_numpy() if isinstance(present, pa.ChunkedArray) else present.to_numpy(False)
        return numbers, len(values) - len(present)
    values = list(values)
    kept = [value for value in values if value is not None]
    return np.asarray(kept, np.float64), len(values) - len(kept)


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean and sum of squared deviations of `values` `[n]`, weights `[n]` or `[1]` for all alike."""
    total = float(weights.sum()) if weights.size == values.size else float(values.size)
    scale = max(1.0, float(np.abs(values).max()) / 2**500)  # so that no sum overflows
    mean = float((values / scale * weights).sum() / total) * scale
    mean = min(max(mean, float(values.min())), float(values.max()))  # the mean of equals is their value
    with np.errstate(over="ignore"):
        return mean, float((np.square(values - mean) * weights).sum())


def _merged_moments(a: Numeric, b: Numeric) -> tuple[float, float]:
    share = b.count / (a.count + b.count)
    mean = a.mean * (1 - share) + b.mean * share if a.mean != b.mean else a.mean
    delta = b.mean - a.mean
    return mean, a.m2 + b.m2 + delta * delta * a.count * share


def _added(a: Numeric, b: Numeric) -> tuple[np.ndarray, np.ndarray]:
    return summed(np.concatenate([a.places, b.places]), np.concatenate([a.counts, b.counts]))


def _short(place: float) -> float:
    """Whole numbers without their `.0`, which half of a file would consist of."""
    return int(place) if float(place).is_integer() and abs(place) < 2**53 else place

"""Drift: how far two samples of one feature lie apart, and whether chance alone would do that.

Categories: the Jensen-Shannon divergence in bits (Lin 1991), 0 for equal shares, 1 for none in common.
With K categories and n and m observations of one distribution it is about s·χ² with K - 1 degrees of
freedom, s = (1/n + 1/m) / (8 ln 2) (a Taylor expansion of the divergence). Its expectation s·(K - 1) is
what chance adds, so the limit is put on top of it.

Numbers: the Kolmogorov-Smirnov distance, the greatest difference of two distribution functions. Chance
exceeds √(-ln(α/2)/2 · (1/n + 1/m)) with probability α.

So a feature has drifted where its distance is both above the limit and beyond chance. Few records are
never an alarm by being few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from components.accumulators import Categorical, Feature, Numeric
from components.buckets import buckets_of
from components.modalities import Summary
from components.settings import DriftSettings

FALSE_ALARMS = 0.001  # probability that any feature of equal samples counts as beyond chance
FEWEST = 5  # a category expected less often than this in the smaller sample counts among the others
UNTOLD = " missing"  # joins the name of a feature of numbers: the shares of those that are none


@dataclass(frozen=True)
class Finding:
    """The distance of one feature between two samples.

    Attributes:
        limit: what the distance may be: the setting, raised to what chance explains.
        drifted: whether it is more.
        most: the category whose share changed most, or nothing for numbers.
    """

    feature: str
    measure: Literal["jensen_shannon", "kolmogorov_smirnov"]
    distance: float
    limit: float
    drifted: bool
    most: str = ""


def compare(current: Summary, reference: Summary, settings: DriftSettings) -> list[Finding]:
    """The features that both have, by name. None where either has no record."""
    shared = _comparable(current, reference)
    level = FALSE_ALARMS / max(len(shared), 1)
    found = []
    for name, a, b in shared:
        sizes = _independent(a, current.records), _independent(b, reference.records)
        if isinstance(a, Numeric) and isinstance(b, Numeric):
            distance = kolmogorov_smirnov(a, b)
            limit = max(settings.kolmogorov_smirnov, critical_distance(*sizes, level))
            found.append(
                Finding(name, "kolmogorov_smirnov", round(distance, 6), round(limit, 6), distance > limit)
            )
        elif isinstance(a, Categorical) and isinstance(b, Categorical):
            found.append(_of_categories(name, a, b, sizes, level, settings.jensen_shannon))
    return found


def kolmogorov_smirnov(a: Numeric, b: Numeric) -> float:
    """The greatest difference of the two distribution functions, in [0, 1]; to a bucket's width."""
    exact = a.exact and b.exact
    places = [n.places if exact or not n.exact else buckets_of(n.places) for n in (a, b)]
    points = np.union1d(*places)
    shares = [
        np.cumsum(np.bincount(np.searchsorted(points, at), numeric.counts, points.size)) / numeric.count
        for at, numeric in zip(places, (a, b), strict=True)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def critical_distance(n: float, m: float, level: float) -> float:
    """The Kolmogorov-Smirnov distance that two samples of `n` and `m` of one distribution exceed with
    probability `level` at most."""
    return math.sqrt(-math.log(level / 2) / 2 * (1 / n + 1 / m))


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """The divergence of two distributions `[k]`, in bits, in [0, 1]."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(p > 0, p * np.log2(p / middle), 0) + np.where(q > 0, q * np.log2(q / middle), 0)
    return float(min(max(bits.sum() / 2, 0.0), 1.0))


def _of_categories(
    name: str, a: Categorical, b: Categorical, sizes: tuple[float, float], level: float, limit: float
) -> Finding:
    names, p, q = _shares(a, b, min(sizes))
    distance = jensen_shannon(p, q)
    scale = (1 / sizes[0] + 1 / sizes[1]) / (8 * math.log(2))
    by_chance = scale * (len(p) - 1)
    allowed = max(limit + by_chance, scale * _chi_squared(len(p) - 1, level))
    most = names[int(np.abs(p - q).argmax())]
    return Finding(name, "jensen_shannon", round(distance, 6), round(allowed, 6), distance > allowed, most)


def _comparable(current: Summary, reference: Summary) -> list[tuple[str, Feature, Feature]]:
    """Name and both samples of every feature of one kind with values on both sides; how many values are
    missing, not a number or infinite is a feature of its own."""
    found: list[tuple[str, Feature, Feature]] = []
    for name in sorted(current.features.keys() & reference.features.keys()):
        a, b = current.features[name], reference.features[name]
        if type(a) is not type(b) or not (a.total and b.total):
            continue
        if isinstance(a, Categorical) or (a.count and b.count):
            found.append((name, a, b))
        if isinstance(a, Numeric) and (a.count < a.total or b.count < b.total):
            found.append((name + UNTOLD, _told(a), _told(b)))
    return found


def _told(numeric: Numeric) -> Categorical:
    return Categorical(
        {
            "number": numeric.count,
            "missing": numeric.missing,
            "not a number": numeric.nan,
            "infinite": numeric.infinite,
        }
    )


def _independent(feature: Feature, records: int) -> float:
    """How many independent observations the values are worth. Those of one record resemble each other:
    they are worth no less than one and no more than their number; taken is the geometric mean."""
    values = feature.count if isinstance(feature, Numeric) else feature.total
    return float(values) if values <= records else math.sqrt(values * max(records, 1))


def _shares(a: Categorical, b: Categorical, smaller: float) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, and their shares in both `[k]`; the last two are the missing and the others, where a name too
    rare for a comparison of `smaller` observations is among the others."""
    names = sorted(a.counts.keys() | b.counts.keys())
    shares = [np.array([c.counts.get(name, 0) for name in names], float) / c.total for c in (a, b)]
    kept = (shares[0] + shares[1]) / 2 * smaller >= FEWEST
    ends = [
        [c.missing / c.total, c.others / c.total + share[~kept].sum()]
        for c, share in zip((a, b), shares, strict=True)
    ]
    p, q = (np.concatenate([share[kept], end]) for share, end in zip(shares, ends, strict=True))
    told = [*(name for name, keep in zip(names, kept, strict=True) if keep), "(missing)", "(others)"]
    there = (p > 0) | (q > 0)
    return [name for name, is_there in zip(told, there, strict=True) if is_there], p[there], q[there]


def _chi_squared(degrees: int, level: float) -> float:
    """What χ² with so many degrees of freedom exceeds with probability `level` (Wilson & Hilferty 1931)."""
    if degrees < 1:
        return 0.0
    part = 2 / (9 * degrees)
    return degrees * (1 - part + NormalDist().inv_cdf(1 - level) * math.sqrt(part)) ** 3

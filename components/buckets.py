"""Histogram buckets of a relative width: a double's sign, exponent and first bits of mantissa.

So an octave has 64 buckets (the fast mapping of DDSketch, Masson, Rim & Lee 2019), the number rises
with the value, and no logarithm, which machines round differently, decides where a value belongs.
"""

from __future__ import annotations

import numpy as np

EXACT_VALUES = 1024  # distinct values that are counted one by one
BUCKETS = 2048  # magnitudes that buckets tell apart; the smallest beyond are one
SHIFT = 52 - 6  # bits of the mantissa that a bucket does not tell apart
HAIR = 1e-200
ACCURACY = 1 / 128  # relative error of a bucket's middle: half of a 64th of an octave


def histogram_of(values: np.ndarray) -> tuple[bool, np.ndarray, np.ndarray]:
    """Whether exact, places and counts of finite `values` `[n]`."""
    few = np.unique(values[: 4 * EXACT_VALUES])  # too many distinct ones are mostly seen at once
    if few.size <= EXACT_VALUES:
        places, counts = np.unique(values, return_counts=True)
        if places.size <= EXACT_VALUES:
            return True, places, counts.astype(np.int64)
    places, counts = np.unique(buckets_of(values), return_counts=True)
    return False, *collapsed(places, counts.astype(np.int64))


def buckets_of(values: np.ndarray) -> np.ndarray:
    """Bucket numbers int64 `[n]`, rising with the values; 0 for zero, -b for -x where x has b."""
    magnitudes = (np.abs(values).view(np.int64) >> SHIFT) + 1
    return np.where(values > 0, magnitudes, np.where(values < 0, -magnitudes, 0))


def middles(buckets: np.ndarray) -> np.ndarray:
    """The value in the middle of each bucket, float64 `[n]`."""
    magnitudes = np.maximum(np.abs(buckets) - 1, 0).astype(np.int64)
    low = (magnitudes << SHIFT).view(np.float64)
    middles = (magnitudes << SHIFT | 1 << (SHIFT - 1)).view(np.float64)
    return np.sign(buckets) * np.where(np.isfinite(middles), middles, low)


def bounds_of(buckets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each bucket, float64 `[n]` each; a hair's width for zero."""
    magnitudes = np.maximum(np.abs(buckets) - 1, 0).astype(np.int64)
    inner, outer = ((magnitudes + more << SHIFT).view(np.float64) for more in (0, 1))
    outer = np.where(np.isfinite(outer), outer, np.finfo(np.float64).max)
    low = np.where(buckets > 0, inner, -outer)
    high = np.where(buckets > 0, outer, -inner)
    return np.where(buckets == 0, 0.0, low), np.where(buckets == 0, HAIR, high)


def summed(places: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal places become one, rising."""
    unique, inverse = np.unique(places, return_inverse=True)
    summed = np.zeros(unique.size, np.int64)
    np.add.at(summed, inverse, counts)
    return unique, summed


def collapsed(places: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most BUCKETS magnitudes: smaller ones join the smallest that is kept. Zero stays apart.

    Parts that were collapsed and the whole give the same, because a merge keeps the greatest.
    """
    if places.size <= BUCKETS:
        return places, counts
    magnitudes = np.unique(np.abs(places[places != 0]))
    if magnitudes.size <= BUCKETS:
        return places, counts
    least = magnitudes[-BUCKETS]
    return summed(np.sign(places) * np.maximum(np.abs(places), least), counts)

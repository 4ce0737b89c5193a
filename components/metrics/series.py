"""Generated series against real ones, window by window: memory, spectrum, values, channels, copies.

Each distance is between averages over windows, so its interval is found by drawing windows again: single
ones, whole series, or blocks of neighbouring windows of one series. Samples are given the gaps of real
windows: a short window shows less memory than a long one, and that is no fault of the model. A distance between two sets of real
windows is not 0 either: `extra["floor"]` has that of training windows, as many as there are samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import neighbours, windows
from components.metrics.copies import copies
from components.metrics.dependent import FEWEST, Units, check_shape, distance_over, units_of
from components.metrics.energy import kolmogorov_smirnov
from components.metrics.intervals import Estimate
from components.metrics.two_sample import classifier_two_sample

GRID = 128  # points at which distributions are compared for intervals
UNITS = 400  # units drawn for intervals: each has hundreds of numbers
ROWS = 2000  # windows on each side of a two-sample test
COMPLETE = 0.5  # of a window that must be seen for it to be compared with copies

ABOUT = {
    "autocorrelation_distance": ("lower", "mean difference between the autocorrelations of samples and of real windows"),
    "spectrum_distance": ("lower", "total variation between the mean power spectra of samples and of real windows"),
    "marginal_ks": ("lower", "Kolmogorov–Smirnov distance between the values of samples and real ones, mean over channels"),
    "marginal_wasserstein": ("lower", "Wasserstein-1 distance between values, in standard deviations of the real channel"),
    "channel_correlation_distance": ("lower", "mean difference between the correlations of channels"),
    "two_sample_accuracy": ("lower", "share of samples and real windows whose nearest other is of their own kind"),
    "classifier_accuracy": ("lower", "held-out accuracy of a logistic regression at telling samples from real windows"),
}  # fmt: skip


@dataclass(frozen=True)
class Windows:
    """Values `x` float64 `[n, l, c]`, 0 where not `seen`, and what is drawn again for intervals."""

    x: np.ndarray
    seen: np.ndarray
    units: Units

    def part(self, rows: np.ndarray) -> Windows:
        """Some rows, each a unit."""
        return Windows(self.x[rows], self.seen[rows], Units(np.arange(len(rows)), len(rows), 1, "windows"))


def series_metrics(
    samples: np.ndarray,
    real: np.ndarray,
    training: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    *,
    training_mask: np.ndarray | None = None,
    series: np.ndarray | None = None,
    block: int = 1,
    lags: int | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All of `ABOUT`, and `copy_rate` and `copy_excess` where training windows are given.

    Args:
        samples: `[n, l, c]`, generated windows, complete.
        real: `[m, l, c]`, windows that training did not see.
        training: `[t, l, c]`, windows that it did, for copies and for the floor.
        mask: `[m, l, c]`, 0 where a real window is missing or padded; NaN is missing too.
        training_mask: the same for training.
        series: int `[m]`, the series of each real window: from five on, whole series are drawn.
        block: real windows in order of time that are drawn together where there are fewer series.
        lags: of the autocorrelation; half a window by default.
        seed: of intervals and tests.

    Raises:
        DataError: shapes that do not belong together, no windows, more lags than a window has.
    """
    samples = check_shape("samples", samples, 3, "[windows, steps, channels]")
    length = samples.shape[1]
    lags = length // 2 if lags is None else lags
    if not 0 <= lags < length:
        raise DataError(f"windows of {length} steps have lags up to {length - 1}, and {lags} were asked for")
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).any(axis=(1, 2)).sum())
        names = [*ABOUT, "copy_rate", "copy_excess"] if training is not None else ABOUT
        return {
            name: Estimate(math.nan, why=f"{bad} of {len(samples)} samples are not finite") for name in names
        }
    held_out = _windows("real", real, mask, samples.shape, series, block)
    drawn = _windows("samples", samples, None, samples.shape, None, 1)
    known = (
        None if training is None else _windows("training", training, training_mask, samples.shape, None, 1)
    )
    floor = None if known is None else known.part(_spread(len(known.x), len(samples)))
    gaps = np.random.default_rng(seed).permutation(np.arange(len(samples)) % len(held_out.x))
    alike = replace(drawn, seen=held_out.seen[gaps])
    found = {}
    for name, distance in _distances(lags).items():
        found[name] = distance(drawn if name == "spectrum_distance" else alike, held_out, seed)
        if floor is not None:
            least = distance(floor, held_out, seed).value
            found[name] = replace(found[name], extra={**found[name].extra, "floor": least})
    found |= _two_sample(alike, held_out, seed)
    found = {name: found[name] for name in ABOUT}
    return found if known is None else found | _copies(drawn, known, held_out)


def _windows(
    name: str,
    x: np.ndarray,
    mask: np.ndarray | None,
    shape: tuple[int, ...],
    series: np.ndarray | None,
    block: int,
) -> Windows:
    x = check_shape(name, x, 3, "[windows, steps, channels]")
    if x.shape[1:] != shape[1:] or (mask is not None and np.shape(mask) != x.shape):
        raise DataError(
            f"{name} has shape {list(x.shape)}{'' if mask is None else f' and mask {list(np.shape(mask))}'}, and "
            f"samples have {list(shape)}: give windows of the same steps and channels"
        )
    seen = ~np.isnan(x) if mask is None else ~np.isnan(x) & (np.asarray(mask) > 0)
    if np.isinf(x[seen]).any():
        raise DataError(f"a value of {name} is infinite: mark it as missing in the mask")
    n = len(x)
    if series is not None and len(series) != n:
        raise DataError(f"there are {len(series)} names of series for {n} windows of {name}")
    if not 1 <= block <= n:
        raise DataError(f"blocks of {block} windows cannot be drawn from {n}")
    if series is not None and len(np.unique(series)) >= FEWEST:
        units = units_of(np.asarray(series), "series")
    else:
        units = Units(np.arange(n), n, block, "windows" if block == 1 else f"blocks of {block} windows")
    return Windows(np.where(seen, x, 0.0), seen, units.merged(UNITS))


Distance = Callable[[Windows, Windows, int], Estimate]


def _distances(lags: int) -> dict[str, Distance]:
    def mean(gap: np.ndarray) -> np.ndarray:
        return np.abs(gap).mean(axis=-1)

    def memory(a: Windows, b: Windows, seed: int) -> Estimate:
        shown = [windows.autocorrelation(one.x, one.seen, lags) for one in (a, b)]
        return _between(shown, a, b, mean, seed)

    def power(a: Windows, b: Windows, seed: int) -> Estimate:
        def variation(gap: np.ndarray) -> np.ndarray:
            return np.abs(gap).sum(axis=-1) / 2 / a.x.shape[2]

        return _between([windows.spectrum(one.x, one.seen) for one in (a, b)], a, b, variation, seed)

    def channels(a: Windows, b: Windows, seed: int) -> Estimate:
        if a.x.shape[2] == 1:
            return Estimate(math.nan, why="there is one channel")
        return _between([windows.channel_correlation(one.x, one.seen) for one in (a, b)], a, b, mean, seed)

    return {
        "autocorrelation_distance": memory,
        "spectrum_distance": power,
        "channel_correlation_distance": channels,
        "marginal_ks": _marginal_ks,
        "marginal_wasserstein": _marginal_wasserstein,
    }


def _between(
    shown: list[np.ndarray],
    a: Windows,
    b: Windows,
    norm: Callable[[np.ndarray], np.ndarray],
    seed: int,
) -> Estimate:
    """The distance of what windows show; `extra` counts the windows that show nothing."""
    rows = [one.reshape(len(one), -1) for one in shown]
    if not rows[0].shape[1]:
        return Estimate(math.nan, why=f"windows of {a.x.shape[1]} steps are too short")
    silent = [int((~np.isfinite(one)).all(axis=1).sum()) for one in rows]
    extra: dict[str, Any] = {"samples_left_out": silent[0], "real_left_out": silent[1]}
    if any(not np.isfinite(one).any(axis=0).all() for one in rows):
        why = (
            f"{silent[0]} of {len(rows[0])} samples and {silent[1]} of {len(rows[1])} real windows do not change or "
            "have gaps: nothing is left to compare"
        )
        return Estimate(math.nan, why=why, extra=extra)
    return replace(distance_over(rows[0], rows[1], norm, (a.units, b.units), seed=seed), extra=extra)


def _marginal_ks(a: Windows, b: Windows, seed: int) -> Estimate:
    channels = range(a.x.shape[2])
    pooled = [[one.x[..., c][one.seen[..., c]] for c in channels] for one in (a, b)]
    if any(not len(values) for side in pooled for values in side):
        return Estimate(math.nan, why="a channel was never seen")
    value = float(np.mean([kolmogorov_smirnov(x, y) for x, y in zip(*pooled, strict=True)]))

    def norm(gap: np.ndarray) -> np.ndarray:
        return np.abs(gap.reshape(*gap.shape[:-1], GRID, -1)).max(axis=-2).mean(axis=-1)

    return _marginal(a, b, _grid(pooled), norm, value, seed)


def _marginal_wasserstein(a: Windows, b: Windows, seed: int) -> Estimate:
    channels = range(a.x.shape[2])
    pooled = [[one.x[..., c][one.seen[..., c]] for c in channels] for one in (a, b)]
    if any(not len(values) for side in pooled for values in side):
        return Estimate(math.nan, why="a channel was never seen")
    unit = np.array([values.std() for values in pooled[1]])
    if not (unit > 0).all():
        return Estimate(math.nan, why="a real channel does not change: there is no unit for its distance")
    value = float(np.mean([wasserstein(x, y) for x, y in zip(*pooled, strict=True)] / unit))
    grid = _grid(pooled)
    width = np.diff(grid, axis=0, append=grid[-1:]) / unit  # [GRID, c]

    def norm(gap: np.ndarray) -> np.ndarray:
        return (np.abs(gap.reshape(*gap.shape[:-1], GRID, -1)) * width).sum(axis=-2).mean(axis=-1)

    return _marginal(a, b, grid, norm, value, seed)


def _marginal(
    a: Windows,
    b: Windows,
    grid: np.ndarray,
    norm: Callable[[np.ndarray], np.ndarray],
    value: float,
    seed: int,
) -> Estimate:
    """Windows count alike on the grid, steps in the value: the same but for windows with gaps."""
    rows = [windows.below(one.x, one.seen, grid).reshape(len(one.x), -1) for one in (a, b)]
    return distance_over(rows[0], rows[1], norm, (a.units, b.units), value=value, seed=seed)


def _grid(pooled: list[list[np.ndarray]]) -> np.ndarray:
    """Quantiles `[GRID, c]` of both sides' values, each side as heavy as the other."""
    quantiles = np.linspace(0, 1, GRID // 2)
    sides = zip(*pooled, strict=True)
    return np.stack([np.sort(np.concatenate([np.quantile(v, quantiles) for v in s])) for s in sides], axis=1)


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """∫ |F - G| of the values `a` `[n]` and `b` `[m]`: what it takes to move one distribution onto the other."""
    a, b = np.sort(a), np.sort(b)
    places = np.sort(np.concatenate([a, b]))
    gap = np.searchsorted(a, places[:-1], "right") / len(a) - np.searchsorted(b, places[:-1], "right") / len(
        b
    )
    return float((np.abs(gap) * np.diff(places)).sum())


def _two_sample(drawn: Windows, held_out: Windows, seed: int) -> dict[str, Estimate]:
    """As many of both, each window a row of plain features."""
    count = min(len(drawn.x), len(held_out.x), ROWS)
    rows = [_spread(len(one.x), count) for one in (drawn, held_out)]
    mine, real = (
        windows.features(one.x[kept], one.seen[kept])
        for one, kept in zip((drawn, held_out), rows, strict=True)
    )
    groups = held_out.units.of[rows[1]] // held_out.units.block
    spread = np.concatenate([mine, real]).std(axis=0)
    kept = spread > 1e-12 * np.abs(real).max(axis=0, initial=0)
    found = {}
    tests: dict[str, Callable[[], Estimate]] = {
        "two_sample_accuracy": lambda: neighbours.two_sample(
            real[:, kept] / spread[kept], mine[:, kept] / spread[kept]
        ),
        "classifier_accuracy": lambda: classifier_two_sample(real, mine, real_groups=groups, seed=seed),
    }
    for name, test in tests.items():
        try:
            found[name] = test()
        except DataError as error:  # a suite says which of its numbers it could not find
            found[name] = Estimate(math.nan, why=str(error))
    return found


def _copies(drawn: Windows, known: Windows, held_out: Windows) -> dict[str, Estimate]:
    """See components.metrics.neighbours.copies; gaps are 0 as models see them, and windows of which less than
    half was seen are left out."""
    training, real = ((one.x, one.seen.mean(axis=(1, 2)) >= COMPLETE) for one in (known, held_out))
    if not training[1].any() or not real[1].any():
        why = "less than half was seen of each training or each held-out window"
        return {name: Estimate(math.nan, why=why) for name in ("copy_rate", "copy_excess")}
    found = copies(drawn.x, training[0][training[1]], real[0][real[1]])
    extra = {"expected": found.expected.value, "threshold": found.threshold, "pairs": list(found.pairs)}
    return {"copy_rate": replace(found.rate, extra=extra), "copy_excess": found.excess}


def _spread(n: int, most: int) -> np.ndarray:
    """At most so many of n rows, evenly over them all."""
    return np.arange(n) if n <= most else np.arange(most) * n // most

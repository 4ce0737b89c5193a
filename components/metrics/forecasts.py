"""Forecasts against what came: points (sMAPE, MASE), whole distributions (CRPS, energy score) and intervals.

A forecast is an ensemble of members drawn from the predicted distribution; its point is their median. All
means are over the steps that were observed; of complete windows they are those of the M4 competition.
CRPS: Gneiting & Raftery 2007; fair version: Ferro 2014; MASE: Hyndman & Koehler 2006.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics.calibration import LEVELS, chi_squared, interval_hits, ranks
from components.metrics.dependent import (
    FEWEST,
    Units,
    again,
    check_shape,
    norm_bounds,
    ratio_over,
    share_over,
    units_of,
)
from components.metrics.intervals import Estimate

BLOCK = 2**21  # members of an ensemble taken at once: 16 MB
ROUNDING = 1e-12  # of a history's own size, below which it does not change
QUANTILES = np.arange(1, 10) / 10
MANY_WINDOWS = 10  # of one series, from which whole windows are drawn together

ABOUT = {
    "smape": ("lower", "symmetric mean absolute percentage error of the median forecast, M4's, 0 to 200 %"),
    "mase": ("lower", "mean absolute error of the median forecast over that of the seasonal naive in the history"),
    "crps": ("lower", "continuous ranked probability score of the ensemble, in units of the data"),
    "fair_crps": ("lower", "CRPS corrected for the size of the ensemble"),
    "energy_score": ("lower", "CRPS of whole windows: distance to what came less half that among members"),
    "weighted_quantile_loss": ("lower", "mean pinball loss of nine quantiles, doubled, over the mean of |truth|"),
    "interval_coverage_50": ("higher", "share of steps inside the central 50 % interval: 0.5 at best"),
    "interval_coverage_80": ("higher", "share of steps inside the central 80 % interval: 0.8 at best"),
    "interval_coverage_95": ("higher", "share of steps inside the central 95 % interval: 0.95 at best"),
    "interval_width_50": ("lower", "mean width of the central 50 % interval, in units of the data"),
    "interval_width_80": ("lower", "mean width of the central 80 % interval, in units of the data"),
    "interval_width_95": ("lower", "mean width of the central 95 % interval, in units of the data"),
    "calibration_error": ("lower", "mean difference between the coverage of intervals and their level"),
    "rank_chi2": ("lower", "χ² per degree of the histogram of where the truth ranks in the ensemble: near 1 if flat"),
}  # fmt: skip


def smape(truth: np.ndarray, point: np.ndarray) -> np.ndarray:
    """200 |y - ŷ| / (|y| + |ŷ|) in percent, entry by entry; 0/0 is 0 (Makridakis et al. 2020)."""
    truth, point = np.asarray(truth, np.float64), np.asarray(point, np.float64)
    size = np.abs(truth) + np.abs(point)
    return 200 * np.abs(truth - point) / np.where(size == 0, 1.0, size)


def naive_error(history: np.ndarray, season: int = 1) -> np.ndarray:
    """The scale of MASE, `[n, c]`: mean |y_t - y_{t-season}| over `history` `[n, t, c]`, NaN where missing.

    NaN where no two observed steps are a season apart, and where the history repeats itself up to rounding:
    an error cannot be told in units of 0.
    """
    history = np.asarray(history, np.float64)
    apart = np.abs(history[:, season:] - history[:, :-season])
    there = np.isfinite(apart)
    count = there.sum(axis=1)
    scale = np.where(there, apart, 0).sum(axis=1) / np.maximum(count, 1)
    size = np.where(np.isfinite(history), np.abs(history), 0).max(axis=1, initial=0)
    return np.where((count > 0) & (scale > ROUNDING * size), scale, np.nan)


def crps(truth: np.ndarray, members: np.ndarray, *, fair: bool = False) -> np.ndarray:
    """CRPS of ensembles `members` `[s, ...]` for `truth` `[...]`, entry by entry, in O(s log s).

    ∫ (F(x) - 1{x ≥ y})² dx, summed over the gaps between the sorted members and y: no difference of large
    numbers, so never below 0. With `fair` the expected score of infinitely many members (mean distance
    among s - 1 others), which may be below 0, and is NaN for one member. NaN where a value is not finite.
    """
    truth, members = np.asarray(truth, np.float64), _last(members)  # [...], [..., s]
    s = members.shape[-1]
    finite = np.isfinite(members).all(axis=-1) & np.isfinite(truth)
    with np.errstate(invalid="ignore"):
        gaps = np.diff(np.sort(np.concatenate([members, truth[..., None]], axis=-1)))
        below = (members < truth[..., None]).sum(axis=-1, keepdims=True)
        place = np.arange(s)
        # Left of y there are place + 1 members below the gap; right of it y is one of the points.
        weight = np.where(place < below, (place + 1) / s, 1 - place / s)
        score = (np.square(weight) * gaps).sum(axis=-1)
        if fair:
            up = np.arange(1, s) / s
            spread = (up * (1 - up) * np.diff(np.sort(members))).sum(axis=-1)  # ½ mean |X - X'|
            score = score - spread / (s - 1) if s > 1 else np.full_like(score, np.nan)
    return np.where(finite, score, np.nan)


def energy_score(truth: np.ndarray, members: np.ndarray) -> np.ndarray:
    """mean ‖X - y‖ - ½ mean ‖X - X'‖ `[n]` of `truth` `[n, d]` and `members` `[s, n, d]`, in O(s² d).

    Differences are taken before they are squared, so that equal members have distance 0 exactly.
    """
    truth, members = np.asarray(truth, np.float64), np.asarray(members, np.float64)
    s = len(members)

    def lengths(differences: np.ndarray) -> np.ndarray:
        return _last(np.sqrt(np.square(differences).sum(axis=-1))).sum(axis=-1)

    spread = np.zeros(len(truth))
    for shift in range(1, s // 2 + 1):
        apart = lengths(members - np.roll(members, shift, axis=0))
        spread += apart / 2 if 2 * shift == s else apart  # half way round each pair comes twice
    return lengths(members - truth) / s - spread / s**2


def pinball(truth: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Mean over the deciles of 2 max(q (y - x_q), (q - 1)(y - x_q)), entry by entry (Koenker & Bassett 1978).

    Quantiles are interpolated linearly between members; nine of them are not the CRPS, only near it.
    """
    error = np.asarray(truth, np.float64) - np.quantile(np.asarray(members, np.float64), QUANTILES, axis=0)
    q = QUANTILES.reshape(-1, *[1] * (error.ndim - 1))
    return 2 * _last(np.maximum(q * error, (q - 1) * error)).mean(axis=-1)


def _last(values: np.ndarray) -> np.ndarray:
    """The first axis as the last, in order of memory: sums over it then round alike for any other shape."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(values, np.float64), 0, -1))


def forecast_metrics(
    truth: np.ndarray,
    samples: np.ndarray,
    history: np.ndarray,
    season: int = 1,
    mask: np.ndarray | None = None,
    *,
    series: np.ndarray | None = None,
    block: int | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All of `ABOUT` for forecasts of n windows of h steps of c channels.

    Args:
        truth: `[n, h, c]`, what came; NaN where it was not observed.
        samples: `[s, n, h, c]`, s members of each forecast, in the same units.
        history: `[n, t, c]`, what was known before (of the training part); NaN where missing or padded.
        season: steps of a season, m of MASE.
        mask: `[n, h, c]`, 0 where the truth is not to be counted.
        series: int `[n]`, the series that each window is of; windows of a series in order of time. By
            default each is of its own. From five series on whole series are drawn for intervals, below that
            blocks of steps.
        block: steps drawn together where there are fewer series; by default the window's h where there are
            ten windows or more, else the cube root of all steps.
        seed: of intervals and of ties between truth and members.

    Raises:
        DataError: shapes that do not belong together, a season below 1, nothing observed.
    """
    truth = check_shape("truth", truth, 3, "[windows, steps, channels]")
    samples = check_shape("samples", samples, 4, "[members, windows, steps, channels]")
    history = check_shape("history", history, 3, "[windows, steps, channels]")
    _check(truth, samples, history, season)
    seen = ~np.isnan(truth) if mask is None else ~np.isnan(truth) & (np.asarray(mask) > 0)
    if not seen.any():
        raise DataError("no step of the truth was observed: there is nothing to judge forecasts by")
    if not np.isfinite(samples[:, seen]).all() or not np.isfinite(truth[seen]).all():
        bad = int((~np.isfinite(samples) & seen).any(axis=(0, 2, 3)).sum())
        why = f"forecasts of {bad} of {len(truth)} windows are not finite"
        return {name: Estimate(math.nan, why=why) for name in ABOUT}
    scores = _scores(np.where(seen, truth, 0.0), np.where(seen, samples, 0.0), seed)
    units = _units(truth.shape[:2], series, block)
    windows = _units((len(truth), 1), series, -(-units.block // truth.shape[1]))
    windows = replace(windows, of=windows.of[:, 0]).merged()
    units = replace(units, of=np.broadcast_to(units.of[..., None], truth.shape)).merged()
    scale = naive_error(history, season)
    return _estimates(scores, truth, seen, scale, units, windows, len(samples), seed)


def _check(truth: np.ndarray, samples: np.ndarray, history: np.ndarray, season: int) -> None:
    if samples.shape[1:] != truth.shape or (len(history), history.shape[2]) != (len(truth), truth.shape[2]):
        raise DataError(
            f"truth {list(truth.shape)}, samples {list(samples.shape)} and history {list(history.shape)} do "
            "not belong together: give [n, h, c], [s, n, h, c] and [n, t, c]"
        )
    if season < 1:
        raise DataError(f"a season has at least 1 step, and {season} were given")


def _units(shape: tuple[int, ...], series: np.ndarray | None, block: int | None) -> Units:
    """Which unit each step `[n, h]` belongs to: its series, or itself where there are few series."""
    n, h = shape
    numbers = np.arange(n) if series is None else np.asarray(series)
    if numbers.shape != (n,):
        raise DataError(f"series says of {list(numbers.shape)} windows which they are, and there are {n}")
    if len(np.unique(numbers)) >= FEWEST:
        return units_of(np.broadcast_to(numbers[:, None], shape), "series")
    order = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")  # one series after the other
    block = block or (h if n >= MANY_WINDOWS else math.ceil((n * h) ** (1 / 3)))
    name = "windows" if h == 1 else "steps"
    name = name if block == 1 else f"blocks of {block} {name}"
    return Units(order[:, None] * h + np.arange(h), n * h, block, name)


def _scores(truth: np.ndarray, samples: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """What each entry adds, `[n, h, c]` (energy `[n]`; hits and widths `[levels, n, h, c]`)."""
    random = np.random.default_rng(seed)
    parts: list[dict[str, np.ndarray]] = []
    for rows in _blocks(len(truth), samples[:, 0].size):
        y, x = truth[rows], samples[:, rows]
        point = np.median(x, axis=0)
        hit, width = interval_hits(y, x)
        part = {"absolute": np.abs(y - point), "smape": smape(y, point), "crps": crps(y, x)}
        part |= {"fair_crps": crps(y, x, fair=True), "pinball": pinball(y, x), "hit": hit, "width": width}
        part["rank"] = ranks(y, x, random)
        part["energy"] = energy_score(y.reshape(len(y), -1), x.reshape(len(x), len(y), -1))
        parts.append(part)
    axes = {"hit": 1, "width": 1}
    return {name: np.concatenate([p[name] for p in parts], axis=axes.get(name, 0)) for name in parts[0]}


def _blocks(n: int, each: int) -> Iterator[slice]:
    step = max(1, BLOCK // each)
    return (slice(start, start + step) for start in range(0, n, step))


def _estimates(
    scores: dict[str, np.ndarray],
    truth: np.ndarray,
    seen: np.ndarray,
    scale: np.ndarray,
    units: Units,
    windows: Units,
    members: int,
    seed: int,
) -> dict[str, Estimate]:
    def mean(values: np.ndarray, weight: np.ndarray = seen) -> Estimate:
        return ratio_over(np.where(weight, values, 0.0), weight, units, seed=seed)

    found = {name: mean(scores[name]) for name in ("smape", "crps")}
    found["mase"] = _mase(scores["absolute"], seen, scale, units, seed)
    one = Estimate(math.nan, why="one member has no spread to be corrected")
    found["fair_crps"] = mean(scores["fair_crps"]) if members > 1 else one
    some = np.any(seen, axis=(1, 2))
    found["energy_score"] = ratio_over(np.where(some, scores["energy"], 0.0), some, windows, seed=seed)
    size = np.where(seen, np.abs(truth), 0.0)
    found["weighted_quantile_loss"] = ratio_over(
        np.where(seen, scores["pinball"], 0.0), size, units, seed=seed
    )
    for number, level in enumerate(LEVELS):
        percent = round(100 * level)
        if np.isnan(scores["width"][number]).all():
            need = math.ceil(2 / (1 - level)) - 1
            few = Estimate(math.nan, why=f"{members} members reach no {percent} % interval: {need} would")
            found[f"interval_coverage_{percent}"] = found[f"interval_width_{percent}"] = few
            continue
        hits = scores["hit"][number] & seen
        found[f"interval_coverage_{percent}"] = share_over(hits, seen, units, seed=seed)
        found[f"interval_width_{percent}"] = mean(scores["width"][number])
    found["calibration_error"] = _calibration_error(scores, seen, units, seed)
    found["rank_chi2"] = chi_squared(scores["rank"][seen], members, _only(units, seen))
    return {name: found[name] for name in ABOUT}


def _mase(absolute: np.ndarray, seen: np.ndarray, scale: np.ndarray, units: Units, seed: int) -> Estimate:
    """MASE over the rows and channels that have a scale; `extra` counts those set aside."""
    known = seen & np.isfinite(scale)[:, None]
    error = np.where(known, absolute / np.where(np.isfinite(scale), scale, 1.0)[:, None], 0.0)
    found = ratio_over(error, known, units, seed=seed)
    needed = np.any(seen, axis=1)
    extra: dict[str, Any] = {"set_aside": int((needed & ~np.isfinite(scale)).sum()), "of": int(needed.sum())}
    if not known.any():
        return Estimate(math.nan, why="no history is long enough and changes over a season", extra=extra)
    return replace(found, extra=extra)


def _calibration_error(scores: dict[str, np.ndarray], seen: np.ndarray, units: Units, seed: int) -> Estimate:
    levels = [k for k in range(len(LEVELS)) if not np.isnan(scores["width"][k]).all()]
    if not levels:
        return Estimate(math.nan, why="too few members for any interval")
    asked = np.array([LEVELS[k] for k in levels])
    sums = units.sums(*(scores["hit"][k] & seen for k in levels), seen)

    def missed(total: np.ndarray) -> np.ndarray:
        return total[..., :-1] / total[..., -1:] - asked

    whole = missed(sums.sum(axis=0))
    value = float(np.abs(whole).mean())
    if units.independent < FEWEST:
        return norm_bounds(value, np.empty(0), np.empty(0), [units])
    drawn = missed(again(sums, units, seed=seed))
    return norm_bounds(value, np.abs(drawn).mean(axis=1), np.abs(drawn - whole).mean(axis=1), [units])


def _only(units: Units, seen: np.ndarray) -> Units:
    return replace(units, of=units.of[seen])

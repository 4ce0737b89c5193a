"""A two-sample test by a classifier: can it tell samples from real examples that it has not seen?

Rows of features, real `[n, d]` and samples `[m, d]`, that belong together (windows of one series, events of
one user) are named by groups and never parted. Neighbours: components.metrics.neighbours.two_sample;
distances: components.metrics.energy.
"""

from __future__ import annotations

import math

import numpy as np

from components.errors import DataError
from components.metrics.intervals import Estimate, wilson
from components.one_thread import one_thread

FOLDS = 5
REFITS = 39  # with permuted kinds, to learn the spread of the accuracy by guessing
NEWTON_STEPS = 50


def classifier_two_sample(
    real: np.ndarray,
    samples: np.ndarray,
    *,
    real_groups: np.ndarray | None = None,
    sample_groups: np.ndarray | None = None,
    folds: int = FOLDS,
    ridge: float = 1.0,
    seed: int = 0,
) -> Estimate:
    """Accuracy of a logistic regression at telling samples from real rows that it has not seen (Lopez-Paz &
    Oquab 2017): 0.5 where they are alike.

    As many rows of both (the larger set loses some by chance); each fold is judged by the regression on the
    others, features standardised by those, and no group lies in two folds. Folds share their training rows,
    so that hits are no independent guesses (a binomial test alarms twice too often): `p` and the rows in effect,
    which Wilson's interval is for, are from the mean and spread of the accuracy with the kinds of whole groups
    permuted.

    Raises:
        DataError: fewer than two rows a fold on a side, or fewer groups than folds.
    """
    x, y, groups, why = _both(real, samples, real_groups, sample_groups, 2 * folds, seed)
    if why:
        return Estimate(math.nan, why=why, extra={"p": math.nan})
    random = np.random.default_rng(seed)
    names, of = np.unique(groups, return_inverse=True)
    kinds = np.zeros(len(names), np.int64)
    kinds[of] = y
    # Two threads take turns at products of a microsecond: where others compute, thirty times as long.
    with one_thread():
        value = _accuracy(x, y, groups, folds, ridge, random)
        guessed = [
            _accuracy(x, random.permutation(kinds)[of], groups, folds, ridge, random) for _ in range(REFITS)
        ]
    mean, spread = float(np.mean(guessed)), max(float(np.std(guessed, ddof=1)), 0.5 / math.sqrt(len(y)))
    p = math.erfc((value - mean) / spread / math.sqrt(2)) / 2
    effective = max(round(0.25 / spread**2), 1)
    bounds = wilson(round(value * effective), effective)
    extra = {"p": p, "rows": len(y) // 2, "guessing": mean}
    low, high = min(bounds.low, value), max(bounds.high, value)
    return Estimate(value, low, high, f"Wilson for {effective} rows in effect", extra=extra)


def logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> np.ndarray:
    """Weights `[d + 1]`, the intercept last and not penalised, that minimise Σ weight · log-loss +
    ½ ridge |w|² of `x` `[n, d]` and `y` `[n]` in {0, 1}, by Newton's method with halved steps."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = np.append(np.full(x.shape[1] - 1, ridge), 0.0)
    w = np.zeros(x.shape[1])

    def loss(w: np.ndarray) -> float:
        score = x @ w
        return float((weight * (np.logaddexp(0, score) - y * score)).sum() + (penalty * w * w).sum() / 2)

    now = loss(w)
    for _ in range(NEWTON_STEPS):
        chance = 0.5 * (1 + np.tanh(x @ w / 2))
        slope = x.T @ (weight * (chance - y)) + penalty * w
        curve = (x * (weight * chance * (1 - chance))[:, None]).T @ x + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while (then := loss(w - size * step)) > now and size > 1e-6:
            size /= 2
        w, before, now = w - size * step, now, min(then, now)
        if before - now <= 1e-12 * max(abs(now), 1.0):
            break
    return w


def _accuracy(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, folds: int, ridge: float, random: np.random.Generator
) -> float:
    """The mean of the two kinds' shares of held-out hits."""
    fold = _folds(y, groups, folds, random)
    hits = np.zeros(len(y), bool)
    for number in range(folds):
        inside = fold != number
        hits[~inside] = _guesses(x[inside], y[inside], x[~inside], ridge) == y[~inside]
    return float((hits[y == 0].mean() + hits[y == 1].mean()) / 2)


def _guesses(x: np.ndarray, y: np.ndarray, unseen: np.ndarray, ridge: float) -> np.ndarray:
    mean, std = x.mean(axis=0), x.std(axis=0)
    std = np.where(std > 1e-12 * np.abs(mean), std, np.inf)  # a constant feature says nothing
    weight = 0.5 * len(y) / np.bincount(y, minlength=2)[y]  # both kinds weigh the same
    w = logistic((x - mean) / std, y, weight, ridge)
    return ((unseen - mean) / std @ w[:-1] + w[-1] > 0).astype(np.int64)


def _folds(y: np.ndarray, groups: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """The fold `[n]` of each row: the groups of each kind by chance, the largest first, to the fold that has
    the fewest of that kind."""
    fold = np.empty(len(y), np.int64)
    names, of, counts = np.unique(groups, return_inverse=True, return_counts=True)
    chosen = np.empty(len(names), np.int64)
    filled = np.zeros((2, folds), np.int64)
    kinds = np.zeros(len(names), np.int64)
    kinds[of] = y
    for group in sorted(random.permutation(len(names)), key=lambda g: -counts[g]):
        kind = kinds[group]
        chosen[group] = filled[kind].argmin()
        filled[kind, chosen[group]] += counts[group]
    if (filled == 0).any():
        raise DataError(
            f"a two-sample test in {folds} folds needs as many groups on each side, and there are "
            f"{int((kinds == 0).sum())} real and {int((kinds == 1).sum())} of samples"
        )
    fold[:] = chosen[of]
    return fold


def _both(
    real: np.ndarray,
    samples: np.ndarray,
    real_groups: np.ndarray | None,
    sample_groups: np.ndarray | None,
    least: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """As many rows of both `[2k, d]`, their kinds (1 for samples) and groups, or why there is no number."""
    real, samples = checked(real, samples, least)
    why = not_finite(real, samples)
    k = min(len(real), len(samples))
    groups = joined(len(real), len(samples), real_groups, sample_groups)
    random = np.random.default_rng(seed)
    rows = [np.sort(random.permutation(len(side))[:k]) for side in (real, samples)]
    kept = np.concatenate([groups[rows[0]], groups[len(real) + rows[1]]])
    return np.concatenate([real[rows[0]], samples[rows[1]]]), np.repeat([0, 1], k), kept, why


def checked(real: np.ndarray, samples: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 rows of the same features.

    Raises:
        DataError: rows of other features, or fewer than `least` on a side.
    """
    real, samples = np.asarray(real, np.float64), np.asarray(samples, np.float64)
    if real.ndim != 2 or samples.ndim != 2 or real.shape[1] != samples.shape[1]:
        raise DataError(
            f"a two-sample test compares rows of the same features, and these are {list(real.shape)} and "
            f"{list(samples.shape)}"
        )
    if min(len(real), len(samples)) < least:
        raise DataError(
            f"this two-sample test needs {least} rows on each side, and there are {len(real)} real ones and "
            f"{len(samples)} samples: draw more"
        )
    return real, samples


def not_finite(real: np.ndarray, samples: np.ndarray) -> str:
    """Why rows give no number, empty where they do."""
    bad = [int((~np.isfinite(side)).any(axis=1).sum()) for side in (real, samples)]
    return f"features of {bad[0]} real rows and {bad[1]} samples are not finite" if any(bad) else ""


def joined(n: int, m: int, real_groups: np.ndarray | None, sample_groups: np.ndarray | None) -> np.ndarray:
    """Groups `[n + m]` of both sides, none on both; a row without one is a group of its own."""
    sides = []
    for size, given in ((n, real_groups), (m, sample_groups)):
        if given is not None and len(given) != size:
            raise DataError(f"there are {len(given)} groups for {size} rows: give one for each row")
        sides.append(np.unique(np.arange(size) if given is None else given, return_inverse=True)[1])
    return np.concatenate([sides[0], sides[1] + n])

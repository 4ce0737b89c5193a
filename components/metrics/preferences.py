"""What people prefer: wins with their interval, the sign test, Bradley–Terry strengths of several models.

An answer compares model `first` with model `second` and scores 1 (first preferred), 0 (second) or ½ (no
difference). Bradley & Terry 1952: model i is preferred to j with probability p_i / (p_i + p_j). Strengths
are log p, centred at zero: a difference of log 3 means three to one. They are found by the MM algorithm of
Hunter 2004 (Annals of Statistics 32), a tie counting as half a win to both.
"""

from __future__ import annotations

import math

import numpy as np

from components.errors import DataError
from components.metrics.intervals import LEVEL, Estimate, wilson

FEW_JUDGES = 5  # below that, resampled judges are too few different sets to make an interval
CONVERGED = 1e-10  # relative change of a strength in one step
MOST_STEPS = 20_000


def preferred(wins: int, losses: int, ties: int = 0) -> Estimate:
    """The share of wins among the answers that prefer one, with Wilson's interval; ties are left out of it.

    `extra` has the counts, `half`, the share of all answers with a tie as half a win, and the sign test's `p`.

    Raises:
        DataError: a negative count, or no answer at all.
    """
    counts = {"wins": wins, "losses": losses, "ties": ties}
    total = wins + losses + ties
    if min(counts.values()) < 0 or not total:
        raise DataError(f"preferences need counts of answers, and these are {counts}")
    extra = {**counts, "half": (wins + ties / 2) / total, "p": sign_test(wins, losses)}
    if not wins + losses:
        return Estimate(math.nan, why="all answers are ties", extra=extra)
    found = wilson(wins, wins + losses)
    return Estimate(found.value, found.low, found.high, "Wilson, ties left out", extra=extra)


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided p of so uneven wins where both are equally likely: 2 P(X ≤ min), X ~ B(n, ½). Ties say
    nothing and are not given."""
    n, least = wins + losses, min(wins, losses)
    if 2 * least >= n:
        return 1.0
    k = np.arange(1, least + 1)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log(n - k + 1) - np.log(k))])  # of C(n, 0) … C(n, least)
    return min(1.0, 2 * float(np.exp(log_ways - n * math.log(2)).sum()))


def win_matrix(first: np.ndarray, second: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """`[count, count]`: how often model i was preferred to model j, a tie as a half, of answers `[n]` each.

    Raises:
        DataError: a model compared with itself, or a score outside 0 to 1.
    """
    first, second, score = np.asarray(first, np.int64), np.asarray(second, np.int64), np.asarray(score)
    if (first == second).any() or not ((score >= 0) & (score <= 1)).all():
        raise DataError("an answer compares two different models and scores between 0 and 1")
    wins = np.zeros((count, count))
    np.add.at(wins, (first, second), score)
    np.add.at(wins, (second, first), 1 - score)
    return wins


def bradley_terry(wins: np.ndarray) -> np.ndarray:
    """Log strengths `[..., K]`, of mean zero, that make `wins` `[..., K, K]` most likely.

    NaN where there is no such: a set of models that never won against the rest has strengths without bound
    (Ford 1957: the graph of who beat whom must be strongly connected).

    Raises:
        DataError: fewer than two models, or a count that is negative or not finite.
    """
    wins = np.asarray(wins, np.float64)
    models = wins.shape[-1]
    if wins.ndim < 2 or wins.shape[-2] != models or models < 2:
        raise DataError(f"Bradley–Terry needs wins [K, K] of two models or more, not {list(wins.shape)}")
    if not (np.isfinite(wins) & (wins >= 0)).all():
        raise DataError("Bradley–Terry needs counts of wins that are finite and not negative")
    stack = wins.reshape(-1, models, models)
    found = np.full((len(stack), models), np.nan)
    rows = np.flatnonzero(_connected(stack))
    found[rows] = _by_mm(stack[rows])
    return found.reshape(wins.shape[:-1])


def _connected(wins: np.ndarray) -> np.ndarray:
    """Whether each graph of `[R, K, K]` leads from every model to every other by wins: bool `[R]`."""
    models = wins.shape[-1]
    reached = (wins > 0) | np.eye(models, dtype=bool)
    for _ in range(max(1, math.ceil(math.log2(models)))):
        reached = reached @ reached
    return np.asarray(reached.all(axis=(1, 2)))


def _by_mm(wins: np.ndarray) -> np.ndarray:
    """p_i ← W_i / Σ_j n_ij / (p_i + p_j) until nothing moves; log strengths `[R, K]`."""
    total = wins * (1 - np.eye(wins.shape[-1]))  # the diagonal is nobody's win
    won, played = total.sum(axis=2), total + total.transpose(0, 2, 1)
    strength = np.ones_like(won)
    left = np.arange(len(wins))
    for _ in range(MOST_STEPS):
        if not len(left):
            break
        old = strength[left]
        new = won[left] / (played[left] / (old[:, :, None] + old[:, None, :])).sum(axis=2)
        new /= np.exp(np.log(new).mean(axis=1, keepdims=True))
        strength[left] = new
        left = left[np.abs(new / old - 1).max(axis=1) > CONVERGED]
    strength[left] = np.nan  # did not settle
    return np.log(strength)


def strengths(
    first: np.ndarray,
    second: np.ndarray,
    score: np.ndarray,
    judge: np.ndarray,
    count: int,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """Bradley–Terry log strengths of `count` models from answers `[n]`, with percentile intervals.

    Judges are resampled whole, since the answers of one belong together; of fewer than five judges their
    answers are, which is too narrow where judges differ, and `method` says which. A resample without
    strengths counts as beyond both bounds: where these are 2.5 % or more, there is no interval.

    Raises:
        DataError: no answers, or what `win_matrix` and `bradley_terry` raise.
    """
    first, second, score = np.asarray(first), np.asarray(second), np.asarray(score, np.float64)
    if not len(first):
        raise DataError("strengths need at least one answer")
    whole = bradley_terry(win_matrix(first, second, score, count))
    if not np.isfinite(whole).all():
        why = "some models won or lost every comparison with the others: no finite strengths fit"
        return [Estimate(math.nan, why=why) for _ in range(count)]
    names, of = np.unique(np.asarray(judge), return_inverse=True)
    by_judge = len(names) >= FEW_JUDGES
    unit = of if by_judge else np.arange(len(first))
    method = f"bootstrap of {len(names)} judges" if by_judge else f"bootstrap of {len(first)} answers"
    random = np.random.default_rng(seed)
    units = int(unit.max()) + 1
    found = np.empty((replicates, count, count))
    for i in range(replicates):
        weight = np.bincount(random.integers(0, units, units), minlength=units)[unit]
        found[i] = _weighted(first, second, score, weight, count)
    drawn = bradley_terry(found)
    tail = (1 - LEVEL) / 2
    low = np.quantile(np.where(np.isnan(drawn), -np.inf, drawn), tail, axis=0, method="lower")
    high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), 1 - tail, axis=0, method="higher")
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        lost = float(np.isnan(drawn[:, 0]).mean())
        why = f"in {lost:.0%} of the resamples some models won or lost everything: more answers are needed"
        return [Estimate(float(value), why=why) for value in whole]
    return [
        Estimate(float(value), float(a), float(b), method)
        for value, a, b in zip(whole, low, high, strict=True)
    ]


def _weighted(
    first: np.ndarray, second: np.ndarray, score: np.ndarray, weight: np.ndarray, count: int
) -> np.ndarray:
    """`win_matrix` with each answer counted `weight` times."""
    size = count * count
    won = np.bincount(first * count + second, weight * score, size)
    won += np.bincount(second * count + first, weight * (1 - score), size)
    return won.reshape(count, count)

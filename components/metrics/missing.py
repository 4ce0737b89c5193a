"""Classes that samples leave out beyond what chance explains: exact one-sided tests, all classes together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from components.errors import DataError
from components.metrics.intervals import holm


@dataclass(frozen=True)
class Missing:
    """Classes that samples leave out.

    `counts` and `expected` `[C]` are samples of each class and how many there should be; `p` `[C]` is the
    chance of so few or fewer; `rejected` is Holm's verdict on them; `mass` is the expected share of the
    classes without a single sample, and `p_value` the chance that a sound generator shows any class as bad
    as the worst one here.
    """

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    p: tuple[float, ...]
    rejected: tuple[bool, ...]
    mass: float
    p_value: float

    def starved(self, fraction: float = 0.1, level: float = 1e-3) -> list[int]:
        """Classes with less than `fraction` of what is expected, which chance gives with p < `level`."""
        rows = enumerate(zip(self.counts, self.expected, self.p))
        return [c for c, (count, expected, p) in rows if count < fraction * expected and p < level]


def missing_mass(predicted: np.ndarray, shares: np.ndarray, *, counted_on: int = 0) -> Missing:
    """Which classes samples leave out beyond chance: an exact one-sided test of each class, with Holm's rule.

    Where the shares are known the test is binomial; where they were counted on so many real examples it is
    Fisher's exact test, because the real counts vary too.

    Args:
        predicted: the class of each sample, int `[n]`.
        shares: expected ones, `[C]`.
        counted_on: how many real examples the shares are of; 0 where they are known.

    Raises:
        DataError: nothing predicted, a class out of range, or shares that do not sum to one.
    """
    shares = np.asarray(shares, np.float64)
    if shares.ndim != 1 or not (shares >= 0).all() or not math.isclose(shares.sum(), 1, abs_tol=1e-6):
        raise DataError("expected class shares are not negative and sum to one")
    counts = counted(predicted, len(shares))
    n = int(counts.sum())
    logs = _log_factorials(n + counted_on)
    real = np.rint(shares * counted_on).astype(int)
    p = np.array(
        [
            _fisher_lower(int(count), n, int(real[c]), counted_on, logs)
            if counted_on
            else _binomial_lower(int(count), n, float(shares[c]), logs)
            for c, count in enumerate(counts)
        ]
    )
    return Missing(
        tuple(counts.tolist()),
        tuple((n * shares).tolist()),
        tuple(p.tolist()),
        tuple(holm(p).tolist()),
        float(shares[counts == 0].sum()),
        float(min(p.min() * len(p), 1.0)),
    )


def counted(predicted: np.ndarray, modes: int) -> np.ndarray:
    """How many of `predicted` int `[n]` are of each mode, int `[modes]`.

    Raises:
        DataError: nothing predicted, or a mode out of range.
    """
    predicted = np.asarray(predicted)
    if not predicted.size or predicted.min() < 0 or predicted.max() >= modes:
        raise DataError(f"modes are counted of one or more predictions from 0 to {modes - 1}")
    return np.bincount(predicted, minlength=modes)


def _log_factorials(n: int) -> np.ndarray:
    """log k! for k from 0 to n."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def _binomial_lower(count: int, n: int, share: float, logs: np.ndarray) -> float:
    """P(X ≤ count) of a binomial X."""
    if share in (0.0, 1.0):
        return float(share == 0.0 or count == n)
    x = np.arange(count + 1)
    terms = logs[n] - logs[x] - logs[n - x] + x * math.log(share) + (n - x) * math.log1p(-share)
    return _summed(terms)


def _fisher_lower(count: int, n: int, real: int, m: int, logs: np.ndarray) -> float:
    """P(X ≤ count) where `count` + `real` marked ones lie at random among n samples and m real examples."""
    marked = count + real
    x = np.arange(max(0, marked - m), count + 1)
    ways = logs[n] - logs[x] - logs[n - x] + logs[m] - logs[marked - x] - logs[m - marked + x]
    return _summed(ways - (logs[n + m] - logs[marked] - logs[n + m - marked]))


def _summed(log_terms: np.ndarray) -> float:
    top = log_terms.max()
    return min(float(math.exp(top) * np.exp(log_terms - top).sum()), 1.0)
